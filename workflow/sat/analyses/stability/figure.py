"""Figure of how many images a matrix needs."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from sat.report.style import STYLE, nothing_to_draw


def stability_figure(curve: pd.DataFrame, correlation: float, enough: int | None) -> Figure:
    """Draw the rank correlation of matrices from different images against the number of images.

    Parameters
    ----------
    curve : DataFrame
        From `sat.similarity.resampling.stability_curve`: images, n, mean, p05, p95.
    correlation : float
        The target of the study.
    enough : int or None
        Smallest number of images that reaches the target.

    Returns
    -------
    Figure
    """
    if curve.empty:
        return nothing_to_draw("No rank correlation: it needs 3 pairs of models, and images for two samples.")
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.fill_between(curve["images"], curve["p05"], curve["p95"], color="C0", alpha=0.25, label="90 % of the draws")
    axes.plot(curve["images"], curve["mean"], "o-", color="C0", label="mean")
    axes.axhline(correlation, color="0.4", linestyle="--", label=f"asked for: {correlation:g}")
    largest = curve["images"].max()
    if enough is None:
        found = f"not even two samples of {largest} images agree so well in 95 % of the draws"
    else:
        axes.axvline(enough, color="0.4", linestyle=":")
        found = f"from {enough} images on, 95 % of the draws reach {correlation:g}"
    axes.set_title(found, loc="left", fontsize=10)
    axes.set_xscale("log")
    # Every other size has a label, counted from the largest; labels of all sizes would overlap.
    axes.set_xticks(curve["images"].to_numpy()[::-2], labels=[str(size) for size in curve["images"][::-2]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(
        xlabel="images of each of two disjoint samples",
        ylabel="Spearman's correlation of the two matrices",
        ylim=(min(0.0, float(curve["p05"].min())) - 0.02, 1.02),
    )
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    sns.despine(figure)
    return figure
