"""Figure of how many images a matrix needs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from sat.report.style import OF, STYLE, nothing_to_draw
from sat.units.analysis import SIMILARITIES


def stability_figure(curve: pd.DataFrame, correlation: float, enough: Mapping[str, int | None]) -> Figure:
    """Draw the rank correlation of matrices from different images against the number of images.

    Parameters
    ----------
    curve : DataFrame
        From `sat.similarity.resampling.stability_curve`, one below the other: of (sat or affinity), images, n, mean,
        p05, p95.
    correlation : float
        The target of the study.
    enough : mapping of str to int or None
        Smallest number of images that reaches the target, by `of`.

    Returns
    -------
    Figure
    """
    if curve.empty:
        return nothing_to_draw("No rank correlation: it needs 3 pairs of models, and images for two samples.")
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    titles = []
    for of, colour in OF.items():
        name, part = SIMILARITIES[of], curve[curve["of"] == of]
        if part.empty:
            continue
        axes.fill_between(part["images"], part["p05"], part["p95"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(part["images"], part["mean"], "o-", color=colour, label=f"{name}: mean, and 90 % of the draws")
        if (least := enough[of]) is None:
            titles.append(f"{name}: the target is not reached, even with {part['images'].max()} images per sample")
        else:
            axes.axvline(least, color=colour, linestyle=":")
            titles.append(f"{name}: from {least} images on, 95 % of the draws reach {correlation:g}")
    axes.axhline(correlation, color="0.4", linestyle="--", label=f"target: {correlation:g}")
    axes.set_title("\n".join(titles), loc="left", fontsize=10)
    axes.set_xscale("log")
    # The first, the last, and as many between as there is room for.
    sizes = sorted(set(curve["images"]))
    shown = [sizes[0], *(size for size in sizes[-3::-2] if size > 1.3 * sizes[0]), sizes[-1]]
    axes.set_xticks(shown, labels=[str(size) for size in shown])
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
