"""Figure of a study's SAT against the SAT of a reference."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from sat.report.style import BLUE, STYLE, nothing_to_draw


def reference_figure(pairs: pd.DataFrame, table: pd.DataFrame, settings: str) -> Figure:
    """Draw the study's SAT against the reference's, one point per pair.

    Parameters
    ----------
    pairs, table : DataFrame
        From `sat.analyses.reference.comparison.compare`.
    settings : str
        How the images and the attack of the reference differ from the study's, as far as is known.

    Returns
    -------
    Figure
    """
    if pairs.empty:
        return nothing_to_draw("No pair of models is in both matrices.")
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6, 5.5), layout="constrained")
    axes.plot(pairs["reference"], pairs["study"], ".", color=BLUE, alpha=0.5, ms=5)
    ends = [min(pairs[["study", "reference"]].min()), max(pairs[["study", "reference"]].max())]
    axes.plot(ends, ends, color="black", lw=0.8, ls="--")
    for row in pairs.head(3).itertuples():
        axes.annotate(f"{row.model_a}, {row.model_b}", (row.reference, row.study), fontsize=7)
    first = table.iloc[0]
    axes.set(
        xlabel="SAT of the reference",
        ylabel="SAT of this study",
        title=f"{int(first.n_pairs)} pairs: Spearman {first.spearman:.2f}, Pearson {first.pearson:.2f}, "
        f"mean offset {first.mean_offset:+.2f}\n{settings}",
    )
    axes.title.set_fontsize(9)
    return figure
