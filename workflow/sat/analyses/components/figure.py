"""Figure of the components' importances, differences and contrasts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sat.report.page import dot, head, legend, nothing_to_draw, sheet, short, whisker
from sat.report.style import CERTAIN, GREY, INK, OF, narrow
from sat.report.wording import p_words
from sat.units.analysis import SIMILARITIES

SHIFT = {"sat": 0.2, "affinity": -0.2}
"""SAT stands above affinity in the row of a component."""


def components_figure(tables: Mapping[str, pd.DataFrame], reasons: Mapping[str, str]) -> Figure:
    """Draw importances, mean differences and contrasts side by side, one row per component.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Those of the analysis, by name.
    reasons : mapping of str to str
        Reasons why a regression is missing, by what it would predict (sat, affinity).

    Returns
    -------
    Figure
    """
    ranked, differences, contrasts = (tables[f"components{name}"] for name in ("", "_differences", "_contrasts"))
    known = [*ranked.loc[ranked["importance"].notna(), "component"]]
    known += [*differences.loc[differences["difference"].notna(), "component"]]
    # In the order of the contrasts, since these are free of the models' levels.
    names = [name for name in contrasts["component"] if name in known]
    if not names:
        return nothing_to_draw("No component is known, or none differs.")
    place = pd.Series(np.arange(len(names))[::-1], index=names)
    body = 0.4 + 0.19 * len(names)
    # One column has no room for three panels side by side.
    figure, grid = sheet(3 * body, 3, 1) if narrow() else sheet(body, 1, 3, sharey=True, width_ratios=[1, 1, 1.2])
    panels = grid.ravel()
    left, middle, right = panels
    _bars(left, ranked, "importance", place)
    for row in ranked[ranked["component"].isin(names)].itertuples():
        y = place[row.component] + SHIFT[row.of]
        # The interval is that of the diamond: the importance for models that the regression has not seen.
        left.plot([row.held_out_low, row.held_out_high], [y, y], color=INK, lw=0.7)
        left.plot(row.held_out, y, "D", color=INK, mfc="white", ms=2.5, mew=0.7)
    _bars(middle, differences, "difference", place)
    drawn = contrasts[contrasts["component"].isin(names)]
    for suffix, marker, shift in (("", "o", SHIFT["sat"]), ("_equal", "s", SHIFT["affinity"])):
        for _, row in drawn.iterrows():
            y = place[row["component"]] + shift
            certain = row[f"p_adjusted{suffix}"] <= CERTAIN
            shade = OF["affinity"] if certain else GREY
            right.plot([row[f"low{suffix}"], row[f"high{suffix}"]], [y, y], color=shade, lw=0.8)
            right.plot(row[f"half_contrast{suffix}"], y, marker, color=shade, mfc=shade if certain else "white", ms=3.5)
    left.set(title="importance in a regression", xlabel="fall of R² when shuffled")
    middle.set(title="same minus different", xlabel="difference of means\n(SAT: ln %; affinity: log-odds)")
    right.set(title="contrast, free of levels", xlabel="half of W_a + W_b - 2 A_ab (log-odds)")
    for panel in panels:
        panel.axvline(0, color=INK, lw=0.6)
        panel.set(ylim=(-0.7, len(names) - 0.3))
        if panel is left or narrow():
            panel.set_yticks(place, [short(name.replace("_", " "), 24) for name in names])
    words = [f"no regression of {SIMILARITIES[of]}: {reason}" for of, reason in reasons.items()]
    if drawn["half_contrast"].isna().all():
        words += [f"no contrast: {note}" for note in sorted(set(drawn["note"].dropna()))]
    legend(figure, _legend())
    head(
        figure,
        _answer(drawn),
        "Importance: how much worse a regression on all components gets without one; the bar says it for all models, "
        "the diamond for pairs of two models not seen. Same minus different: as measured, so models' own levels count. "
        "Contrast: without them, so it alone says what makes models alike. One panel may show what others do not.",
        _seen(tables["components_r2"]),
        *words,
    )
    return figure


def _answer(contrasts: pd.DataFrame) -> str:
    """Name the components that matter beyond each model's level."""
    certain = contrasts[contrasts["p_adjusted"] <= CERTAIN]
    if contrasts["half_contrast"].isna().all():
        return "No contrast of components could be computed"
    if certain.empty:
        return f"No component shown to matter beyond each model's own level (smallest {_p(contrasts)})"
    first = certain.loc[certain["half_contrast"].abs().idxmax()]
    return (
        f"{len(certain)} of {contrasts['half_contrast'].notna().sum()} components matter beyond each model's own "
        f"level, most: {first['component'].replace('_', ' ')} (half contrast {first['half_contrast']:.2f})"
    )


def _p(contrasts: pd.DataFrame) -> str:
    return "adjusted " + p_words(float(contrasts["p_adjusted"].min()))


def _seen(r2: pd.DataFrame) -> str:
    """Say how well components predict pairs of two models that the regression has not seen, beside chance."""
    known = r2[r2["r2"].notna()].set_index(["of", "kind"])["r2"]
    words = []
    for of in SIMILARITIES:
        if (of, "both_new") in known:
            chance = f" (by chance {known[of, 'null']:.2f} on seen pairs)" if (of, "null") in known else ""
            words.append(f"{SIMILARITIES[of]} {known[of, 'both_new']:.2f}{chance}")
    return f"R² for pairs of two models not seen: {', '.join(words)}." if words else ""


def _bars(panel: Axes, table: pd.DataFrame, column: str, place: pd.Series) -> None:
    """One bar for SAT and one for affinity; hollow where it does not differ from chance."""
    for _, row in table[table["component"].isin(place.index)].iterrows():
        shade, certain = OF[row["of"]], row["p_adjusted"] <= CERTAIN
        panel.barh(
            place[row["component"]] + SHIFT[row["of"]],
            row[column],
            0.36,
            color=shade if certain else "none",
            edgecolor=shade,
            linewidth=0.7,
        )


def _legend() -> list[Patch | Line2D]:
    return [
        *(Patch(color=shade, label=SIMILARITIES[of]) for of, shade in OF.items()),
        Patch(facecolor=GREY, label="filled: adjusted p ≤ 0.05"),
        Patch(facecolor="none", edgecolor=GREY, label="hollow: larger"),
        Line2D([], [], color=INK, marker="D", mfc="white", ms=2.5, lw=0.7, label="unseen pairs, 90 % of the splits"),
        dot(GREY, "contrast: classes weighted by size"),
        dot(GREY, "contrast: classes weighted equally", "s"),
        whisker("interval of a contrast", GREY),
    ]
