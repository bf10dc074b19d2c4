"""Figure of the groups' mean SAT, and of their contrasts."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat.analyses.groups.contrasts import OTHERS
from sat.report.style import GREY, OF, STYLE, nothing_to_draw

CERTAIN = 0.05
"""Largest p of what is filled."""
ROOM = 0.6
"""Part of the span of the values by which an axis goes beyond them: wider intervals leave it."""


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
        attack. If it is not, its bar is hatched.

    Returns
    -------
    Figure
    """
    columns = list(dict.fromkeys(table["column"]))
    drawn = table[table["mean"].notna()]
    if not len(drawn[drawn["kind"] != "all"]):
        return nothing_to_draw("No group has two models with a SAT.")
    heights = [max(2, int((drawn["column"] == column).sum())) for column in columns]
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(columns),
            2,
            figsize=(10, 0.9 * len(columns) + 0.36 * sum(heights)),
            height_ratios=heights,
            sharey="row",
            squeeze=False,
            layout="constrained",
        )
    for (left, right), column in zip(panels, columns, strict=True):
        rows = drawn[(drawn["column"] == column) & (drawn["kind"] != "all")]
        rows = rows.sort_values(["kind", "mean"], ascending=[True, False])
        _means(left, rows, drawn[(drawn["column"] == column) & (drawn["kind"] == "all")], compared)
        _contrasts(right, rows, contrasts[contrasts["column"] == column])
        left.set_title(column, fontsize=9, loc="left")
        right.set_title(_in_words(overall[overall["column"] == column].iloc[0]), fontsize=8, loc="left")
        for panel in (left, right):
            panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("mean SAT of pairs within the group\n(dashed: all pairs; hollow: p > 0.05)")
    panels[-1, 1].set_xlabel(
        "contrast with all others (log-odds), free of each\nmodel's level (hollow: adjusted p > 0.05)"
    )
    return figure


def _means(panel: Axes, rows: pd.DataFrame, every: pd.DataFrame, compared: bool) -> None:
    names = {"within": "all groups", "compare": "other study" if compared else "other matrix"}
    labels = []
    for number, row in enumerate(rows.itertuples()):
        labels.append(f"{names.get(row.kind, row.group)}  ({row.n_models} models)")
        panel.barh(
            -number,
            row.mean,
            color=GREY if row.kind == "compare" else OF["sat"] if row.p <= CERTAIN else "none",
            edgecolor="white" if row.kind == "compare" else OF["sat"],
            hatch="///" if row.kind == "compare" and not compared else None,
        )
    _intervals(panel, rows["mean"], rows["low"], rows["high"], [*rows["mean"], *every["mean"], 0.0])
    if len(every):
        panel.axvline(every["mean"].iloc[0], color="black", ls="--", lw=1)
    panel.set_yticks(-np.arange(len(labels)), labels, fontsize=8)


def _contrasts(panel: Axes, rows: pd.DataFrame, contrasts: pd.DataFrame) -> None:
    alone = contrasts[contrasts["second"] == OTHERS].set_index("first")
    if not len(alone):
        # With two groups, all others of one group are the other group.
        alone = pd.concat([contrasts.set_index("first"), contrasts.set_index("second")])
    found = alone.reindex(rows["group"])
    for number, row in enumerate(found.itertuples()):
        panel.barh(
            -number,
            row.contrast,
            color=OF["affinity"] if row.p_holm <= CERTAIN else "none",
            edgecolor=OF["affinity"],
        )
    _intervals(panel, found["contrast"], found["low"], found["high"], [*found["contrast"].dropna(), 0.0])
    if found["contrast"].isna().all():
        reasons = sorted(set(contrasts["note"]) - {""}) or ["fewer than two groups"]
        panel.text(0.5, 0.5, "\n".join(reasons), transform=panel.transAxes, ha="center", fontsize=8)
    panel.axvline(0, color="black", lw=0.6)


def _intervals(panel: Axes, value: pd.Series, low: pd.Series, high: pd.Series, shown: list[float]) -> None:
    """Draw intervals; an arrow stands where one leaves the axis, which one wide interval must not dominate."""
    room = ROOM * max(max(shown) - min(shown), 0.1)
    left, right = min(shown) - room, max(shown) + room
    for number, (start, end) in enumerate(zip(low, high, strict=True)):
        panel.plot([max(start, left), min(end, right)], [-number] * 2, color="black", lw=1)
        for leaves, edge, arrow in ((start < left, left, "<"), (end > right, right, ">")):
            if leaves:
                panel.plot(edge, -number, arrow, color="black", ms=5, clip_on=False)
    inside = [x for x in [*low, *high] if left <= x <= right]
    margin = 0.03 * (right - left)
    panel.set_xlim(
        left if (low < left).any() else min([*shown, *inside]) - (margin if min([*shown, *inside]) < 0 else 0),
        right if (high > right).any() else max([*shown, *inside]) + margin,
    )


def _in_words(row: pd.Series) -> str:
    """The contrast of all groups."""
    if row["note"]:
        return f"all groups: {row['note']}"
    p = "< 0.001" if row["p"] < 0.001 else f"= {row['p']:.3f}"
    return f"all groups: half contrast {row['half_contrast']:.2f}, p {p}"
