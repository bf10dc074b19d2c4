"""Figure of how many images a matrix needs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from sat.report.page import head, legend, nothing_to_draw, sheet
from sat.report.style import GREY, INK, OF
from sat.units.analysis import SIMILARITIES

MARKERS = {"sat": "o", "affinity": "s"}


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
    figure, ((axes,),) = sheet(2.4)
    answers: list[str] = []
    handles: list[Line2D | Patch] = []
    for of, colour in OF.items():
        name, part = SIMILARITIES[of], curve[curve["of"] == of]
        if part.empty:
            continue
        axes.fill_between(part["images"], part["p05"], part["p95"], color=colour, alpha=0.2, linewidth=0)
        axes.plot(part["images"], part["mean"], MARKERS[of] + "-", color=colour, ms=3)
        handles.append(Line2D([], [], color=colour, marker=MARKERS[of], ms=3, label=f"{name}: mean of the draws"))
        if (least := enough[of]) is None:
            best = part.iloc[-1]
            answers.append(
                f"{name}: {correlation:g} is not reached in 95 % of the draws with {best['images']:.0f} images per "
                f"sample, half of all (mean correlation {best['mean']:.2f})"
            )
        else:
            axes.axvline(least, color=colour, linestyle=":")
            answers.append(
                f"{name}: {least} images are enough for a correlation of {correlation:g} in 95 % of the draws"
            )
    axes.axhline(correlation, color=INK, linestyle="--", lw=0.8)
    handles.append(Patch(color=GREY, alpha=0.3, label="90 % of the draws"))
    handles.append(Line2D([], [], color=INK, ls="--", lw=0.8, label=f"target: {correlation:g}"))
    if any(enough.values()):
        handles.append(Line2D([], [], color=GREY, ls=":", label="enough images"))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(
        xlabel="images in each of two disjoint samples",
        ylabel="rank correlation of the two matrices",
        ylim=(min(0.0, float(curve["p05"].min())) - 0.02, 1.02),
    )
    legend(figure, handles)
    head(figure, "\n".join(answers), "Two matrices are measured on images that they do not share, again and again.")
    return figure
