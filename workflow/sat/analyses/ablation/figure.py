"""Figure of the ablation: how far the matrix depends on the attack."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.style import BLUE, GREY, STYLE


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
    names = table["variant"].tolist()
    place = np.arange(len(names))
    square = pairs.pivot(index="variant_a", columns="variant_b", values="spearman").reindex(index=names, columns=names)
    values = square.combine_first(square.T).reindex(index=names, columns=names).to_numpy(float, copy=True)
    np.fill_diagonal(values, 1.0)
    side = 0.36 * len(names)
    with matplotlib.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1,
            2,
            figsize=(5.5 + 1.3 * side, 2.2 + side),
            width_ratios=[3.2, 1.3 * side],
            sharey=True,
            layout="constrained",
        )
    left.plot(table["spearman"], place, "o", color=BLUE, label="rank correlation with the study")
    left.plot(table["mean_whitebox"], place, "D", color="none", mec=GREY, label="white-box success")
    low = table["n_low_whitebox"] > 0
    left.plot(table["mean_whitebox"][low], place[low], "D", color=GREY)
    left.grid(axis="x", lw=0.4)
    known = pd.concat([table["spearman"], table["mean_whitebox"]]).dropna()
    left.set(xlim=(min(0.0, known.min()) - 0.03, 1.03), xlabel="filled diamond: some models' own attack fails")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8, frameon=False)
    left.set_yticks(place, names)
    left.invert_yaxis()
    right.imshow(values, vmin=min(0.0, np.nanmin(values)), vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if row != column and np.isfinite(value):
            shade = "black" if value > 0.6 else "white"
            right.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=shade)
    right.set_xticks(place, names, rotation=60, ha="right")
    right.set_title("rank correlation of every two matrices", fontsize=9)
    return figure
