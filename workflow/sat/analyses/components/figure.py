"""Figure of the components' importances and differences."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.style import BLUE, GREY, STYLE, nothing_to_draw


def components_figure(ranked: pd.DataFrame, r2: pd.DataFrame, differences: pd.DataFrame, reason: str = "") -> Figure:
    """Draw importances beside mean differences, one row per component.

    Parameters
    ----------
    ranked : DataFrame
        From `sat.analyses.components.importance.ranking`.
    r2 : DataFrame
        From `r2_table`.
    differences : DataFrame
        From `MeanDifferences.by_component`.
    reason : str
        Why there is no regression; empty if there is one.

    Returns
    -------
    Figure
    """
    known = ranked[ranked["importance"].notna()] if len(ranked) else ranked
    names = list(known["component"]) or list(differences.sort_values("difference", ascending=False)["component"])
    if not names:
        return nothing_to_draw("No component is known.")
    place = pd.Series(np.arange(len(names))[::-1], index=names)
    with matplotlib.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10, 1.4 + 0.33 * len(names)), sharey=True, layout="constrained"
        )
    for row in known.itertuples():
        inside = not row.p_adjusted <= 0.05
        left.barh(
            place[row.component], row.importance, color="none" if inside else BLUE, edgecolor=GREY if inside else BLUE
        )
        if np.isfinite(row.low):
            left.plot([row.low, row.high], [place[row.component]] * 2, color="black", lw=1)
        left.plot(row.held_out, place[row.component], "D", color="black", ms=4)
    left.axvline(0, color="black", lw=0.6)
    left.set(xlabel="importance: fall of R² when shuffled\n(diamond: on pairs of models not seen)")
    if reason:
        left.text(0.5, 0.5, f"no regression: {reason}", transform=left.transAxes, ha="center", wrap=True, fontsize=8)
    for row in differences[differences["component"].isin(names)].itertuples():
        certain = row.p_adjusted <= 0.05
        right.barh(
            place[row.component],
            row.difference,
            color=BLUE if certain else "none",
            edgecolor=BLUE if certain else GREY,
        )
    right.axvline(0, color="black", lw=0.6)
    right.set(xlabel="mean SAT of pairs that share it - pairs that differ\n(hollow: adjusted p > 0.05)")
    left.set_yticks(place, [name.replace("_", " ") for name in names])
    words = [f"{row.kind.replace('_', ' ')} {row.r2:.2f}" for row in r2.itertuples() if np.isfinite(row.r2)]
    if words:
        figure.suptitle(f"R²: {', '.join(words)}", fontsize=9, ha="left", x=0.02)
    return figure
