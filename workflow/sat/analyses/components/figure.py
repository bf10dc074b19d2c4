"""Figure of the components' importances, differences and contrasts."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sat.report.style import GREY, OF, STYLE, nothing_to_draw
from sat.units.analysis import SIMILARITIES

SHIFT = {"sat": 0.2, "affinity": -0.2}
"""SAT stands above affinity in the row of a component."""
CERTAIN = 0.05
"""Largest adjusted p of what is filled."""


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
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(
            1, 3, figsize=(12, 1.9 + 0.42 * len(names)), sharey=True, layout="constrained", width_ratios=[1, 1, 1.2]
        )
    left, middle, right = panels
    _bars(left, ranked, "importance", place)
    for row in ranked[ranked["component"].isin(names)].itertuples():
        y = place[row.component] + SHIFT[row.of]
        left.plot([row.low, row.high], [y, y], color="black", lw=1)
        left.plot(row.held_out, y, "D", color="black", ms=3)
    _bars(middle, differences, "difference", place)
    drawn = contrasts[contrasts["component"].isin(names)]
    for suffix, marker, shift in (("", "o", SHIFT["sat"]), ("_equal", "s", SHIFT["affinity"])):
        for _, row in drawn.iterrows():
            y = place[row["component"]] + shift
            certain = row[f"p_adjusted{suffix}"] <= CERTAIN
            shade = OF["affinity"] if certain else GREY
            right.plot([row[f"low{suffix}"], row[f"high{suffix}"]], [y, y], color=shade, lw=1)
            right.plot(row[f"half_contrast{suffix}"], y, marker, color=shade, mfc=shade if certain else "white", ms=5)
    left.set(title="importance in a regression", xlabel="fall of R² when shuffled")
    middle.set(title="same minus different", xlabel="difference of means (SAT: ln %; affinity: log-odds)")
    right.set(title="contrast (free of each model's level)", xlabel="half of W_a + W_b - 2 A_ab (log-odds)")
    for panel in panels:
        panel.axvline(0, color="black", lw=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.title.set_size(10)
    words = [f"no regression of {SIMILARITIES[of]}:\n{reason}" for of, reason in reasons.items()]
    left.text(0.98, 0.02, "\n".join(words), transform=left.transAxes, ha="right", fontsize=7)
    if drawn["half_contrast"].isna().all():
        right.text(0.5, 0.5, "\n".join(sorted(set(drawn["note"]))), transform=right.transAxes, ha="center", fontsize=8)
    left.set(ylim=(-0.7, len(names) - 0.3))
    left.set_yticks(place, [name.replace("_", " ") for name in names])
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    r2 = tables["components_r2"]
    r2 = r2[(r2["kind"] == "both_new") & r2["r2"].notna()]
    if len(r2):
        words = [f"{SIMILARITIES[row.of]} {row.r2:.2f}" for row in r2.itertuples()]
        figure.suptitle(f"R² for pairs of two models not seen: {', '.join(words)}", fontsize=9, ha="left", x=0.02)
    return figure


def _bars(panel: Axes, table: pd.DataFrame, column: str, place: pd.Series) -> None:
    """One bar for SAT and one for affinity; hollow where it is not told from chance."""
    for _, row in table[table["component"].isin(place.index)].iterrows():
        shade, certain = OF[row["of"]], row["p_adjusted"] <= CERTAIN
        panel.barh(
            place[row["component"]] + SHIFT[row["of"]],
            row[column],
            0.36,
            color=shade if certain else "none",
            edgecolor=shade,
        )


def _legend() -> list[Patch | Line2D]:
    return [
        *(Patch(color=shade, label=SIMILARITIES[of]) for of, shade in OF.items()),
        Patch(facecolor="none", edgecolor=GREY, label="hollow: adjusted p > 0.05"),
        Line2D([], [], color="black", marker="D", ms=3, ls="", label="importance for pairs of two models not seen"),
        Line2D([], [], color=GREY, marker="o", mfc="white", ls="", label="contrast: classes weighted by size"),
        Line2D([], [], color=GREY, marker="s", mfc="white", ls="", label="contrast: classes weighted equally"),
    ]
