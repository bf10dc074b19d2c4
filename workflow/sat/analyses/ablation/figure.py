"""Figure of the ablation: how far the matrix and the clusters depend on the attack."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sat.report.style import GREY, OF, STYLE
from sat.units.analysis import SIMILARITIES


def ablation_figure(table: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Draw each variant's agreement with the study and its white-box success, beside all rank correlations.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.ablation.agreement.ablation_table`, the study first.
    pairs : DataFrame
        From `ablation_pairs`.

    Returns
    -------
    Figure
    """
    rows = {of: part.set_index("variant") for of, part in table.groupby("of", sort=False)}
    names = table["variant"].unique().tolist()
    place = np.arange(len(names))
    side = 0.36 * len(names)
    with matplotlib.rc_context(STYLE):
        figure, (left, middle, right) = plt.subplots(
            1,
            3,
            figsize=(7.0 + 1.3 * side, 2.4 + side),
            width_ratios=[2.6, 1.8, 1.3 * side],
            sharey=True,
            layout="constrained",
        )
    for of, part in rows.items():
        left.plot(part["spearman"], place, "o", color=OF[of], label=f"rank correlation, {SIMILARITIES[of]}")
        # Where both agree, the smaller marker stays visible within the larger one.
        size = 7 if of == "sat" else 4
        middle.plot(part["rand"], place, "s", color=OF[of], ms=size, label=f"clusters of {SIMILARITIES[of]}")
    whitebox = table.groupby("variant", sort=False)["mean_whitebox"].first()
    low = (table.groupby("variant", sort=False)["n_low_whitebox"].first() > 0).to_numpy()
    left.plot(whitebox, place, "D", color="none", mec=GREY, label="white-box success")
    left.plot(whitebox[low], place[low], "D", color=GREY)
    known = pd.concat([table["spearman"], table["mean_whitebox"]]).dropna()
    least = min(0.0, known.min()) - 0.03
    left.set(xlim=(least, 1.03), xlabel="agreement with the study\n(filled diamond: some attacks fail)")
    middle.set(xlim=(min(0.0, table["rand"].min()) - 0.05, 1.05), xlabel="agreement with the study\n(adjusted Rand)")
    for axis in (left, middle):
        axis.grid(axis="x", lw=0.4)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, frameon=False)
    left.set_yticks(place, names)
    left.invert_yaxis()
    values = _both_triangles(pairs, names)
    right.imshow(values, vmin=min(0.0, np.nanmin(values)), vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if row != column and np.isfinite(value):
            shade = "black" if value > 0.6 else "white"
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=shade)
    right.set_xticks(place, names, rotation=60, ha="right")
    right.set_title("rank correlation of every two matrices\n(above the diagonal: SAT; below: affinity)", fontsize=9)
    return figure


def _both_triangles(pairs: pd.DataFrame, names: list[str]) -> NDArray[np.float64]:
    """Rank correlations of SAT above the diagonal, of affinity below, and 1 on it."""
    number = {name: place for place, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(values, 1.0)
    for pair in pairs.itertuples():
        a, b = number[pair.variant_a], number[pair.variant_b]
        values[(a, b) if pair.of == "sat" else (b, a)] = pair.spearman
    return values
