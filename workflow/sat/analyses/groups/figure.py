"""Figure of the groups' mean SAT, and of their contrasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sat.analyses.groups.contrasts import OTHERS
from sat.report.page import filled, head, legend, nothing_to_draw, sheet, short, whisker, wrapped
from sat.report.style import CERTAIN, GREY, INK, OF, narrow, page_width
from sat.report.wording import p_words
from sat.statistics.pairs import holm

ROOM = 0.6
"""An axis goes beyond the values by this share of their span. Wider intervals leave the axis."""


def groups_figure(
    table: pd.DataFrame, contrasts: pd.DataFrame, overall: pd.DataFrame, compared: bool = False
) -> Figure:
    """Draw the mean SAT within groups beside each group's contrast with all others, one row of panels per column.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.groups.means.group_means`, with `column`.
    contrasts : DataFrame
        From `sat.analyses.groups.contrasts.group_contrasts`, with `column`.
    overall : DataFrame
        From `sat.statistics.contrasts.overall_contrasts`, with `column`.
    compared : bool
        Whether the other matrix is known to come from the same images and
        attack. If it is not, its name says so.

    Returns
    -------
    Figure
    """
    columns = list(dict.fromkeys(table["column"]))
    drawn = table[table["mean"].notna()]
    if not len(drawn[drawn["kind"] != "all"]):
        return nothing_to_draw("No group has two models with a SAT.")
    heights = [max(2, int((drawn["column"] == column).sum())) for column in columns]
    figure, panels = sheet(
        0.45 * len(columns) + 0.15 * sum(heights) + 0.35, len(columns), 2, height_ratios=heights, sharey="row"
    )
    for (left, right), column in zip(panels, columns, strict=True):
        rows = drawn[(drawn["column"] == column) & (drawn["kind"] != "all")]
        rows = rows.sort_values(["kind", "mean"], ascending=[True, False])
        _means(left, rows, drawn[(drawn["column"] == column) & (drawn["kind"] == "all")], compared)
        _contrasts(right, rows, contrasts[contrasts["column"] == column])
        left.set_title(column)
        left.set_ylim(-len(rows) + 0.4, 0.6)
    panels[-1, 0].set_xlabel("mean SAT of pairs within")
    panels[-1, 1].set_xlabel("contrast with all others" if narrow() else "contrast with all others (log-odds)")
    every = Line2D([], [], color=INK, ls="--", lw=0.8, label="mean of all pairs")
    legend(figure, [*filled("adjusted p"), whisker("interval (an arrow: it goes on)"), every])
    alone = table[(table["kind"] == "group") & table["mean"].isna()]
    head(
        figure,
        "\n".join(_in_words(row) for _, row in overall.iterrows()),
        "Left: SAT. Right: log-odds of transfer within a group compared with across, free of each model's own level. "
        "p is adjusted by Holm for the groups of a panel. A group of one pair has no p.",
        _left_out(alone),
    )
    return figure


def _left_out(alone: pd.DataFrame) -> str:
    """Name the groups without two models that have a SAT."""
    if alone.empty:
        return ""
    names = [short(str(name), 20) for name in alone["group"]]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"Not drawn, fewer than two models with a SAT: {', '.join(names[:8])}{more}."


def _means(panel: Axes, rows: pd.DataFrame, every: pd.DataFrame, compared: bool) -> None:
    names = {"within": "all groups", "compare": "other study" if compared else "other matrix"}
    labels = []
    certain = rows["p"].where(rows["kind"] == "group").to_numpy(float)
    adjusted = holm(certain)
    for number, row in enumerate(rows.itertuples()):
        name = names.get(row.kind, short(str(row.group), 18 if narrow() else 30))
        labels.append(f"{name} ({row.n_models:.0f})")
        p = adjusted[number] if row.kind == "group" else row.p
        shade = GREY if row.kind == "compare" else OF["sat"]
        panel.plot(row.mean, -number, "o", color=shade, mfc=shade if p <= CERTAIN else "white", ms=4, zorder=3)
    _intervals(panel, rows["mean"], rows["low"], rows["high"], [*rows["mean"], *every["mean"]])
    if len(every):
        panel.axvline(every["mean"].iloc[0], color=INK, ls="--", lw=0.8, zorder=0)
    panel.set_yticks(-np.arange(len(labels)), labels)


def _contrasts(panel: Axes, rows: pd.DataFrame, contrasts: pd.DataFrame) -> None:
    alone = contrasts[contrasts["second"] == OTHERS].set_index("first")
    if not len(alone):
        # With two groups, all others of one group are the other group.
        alone = pd.concat([contrasts.set_index("first"), contrasts.set_index("second")])
    found = alone.reindex(rows["group"])
    for number, row in enumerate(found.itertuples()):
        shade = OF["affinity"]
        face = shade if row.p_holm <= CERTAIN else "white"
        panel.plot(row.contrast, -number, "o", color=shade, mfc=face, ms=4, zorder=3)
    _intervals(panel, found["contrast"], found["low"], found["high"], [*found["contrast"].dropna(), 0.0])
    if found["contrast"].isna().all():
        reasons = sorted(set(contrasts["note"].dropna()) - {""}) or ["fewer than two groups"]
        room = 72 * page_width() / 3
        words = [line for reason in reasons for line in wrapped(reason, 6, room)]
        panel.text(0.5, 0.5, "\n".join(words), transform=panel.transAxes, ha="center", va="center", fontsize=6)
    panel.axvline(0, color=INK, lw=0.6, zorder=0)


def _intervals(panel: Axes, value: pd.Series, low: pd.Series, high: pd.Series, shown: list[float]) -> None:
    """Draw intervals, with an arrow where one leaves the axis, so that one wide interval does not set the scale."""
    room = ROOM * max(max(shown) - min(shown), 0.1)
    left, right = min(shown) - room, max(shown) + room
    for number, (start, end) in enumerate(zip(low, high, strict=True)):
        panel.plot([max(start, left), min(end, right)], [-number] * 2, color=INK, lw=0.8, zorder=2)
        for leaves, edge, arrow in ((start < left, left, "<"), (end > right, right, ">")):
            if leaves:
                panel.plot(edge, -number, arrow, color=INK, ms=3, clip_on=False)
    inside = [x for x in [*low, *high, *shown] if left <= x <= right]
    margin = 0.05 * (right - left)
    panel.set_xlim(
        left if (low < left).any() else min(inside) - margin, right if (high > right).any() else max(inside) + margin
    )


def _in_words(row: pd.Series) -> str:
    """Say whether groups matter beyond each model's level."""
    column = str(row["column"]).replace("_", " ")
    if np.isnan(row["half_contrast"]):
        return f"{column.capitalize()}: no contrast ({row['note']})"
    value = f"{p_words(row['p'])}, half contrast {round(row['half_contrast'], 2) + 0.0:.2f}"
    if not row["p"] <= CERTAIN:
        return f"{column.capitalize()}: no relation shown beyond each model's own level ({value})"
    how = "more" if row["half_contrast"] > 0 else "less"
    return f"Models of the same {column} are {how} alike than their own levels predict ({value})"
