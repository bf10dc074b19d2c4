"""Figure of pairs of nets over their trainings."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sat.analyses.retraining.trainings import Trainings
from sat.report.page import area, dot, head, legend, nothing_to_draw, sheet
from sat.report.style import BLUE, PALE, RED, narrow
from sat.units.analysis import SIMILARITIES


def retraining_figure(trainings: Trainings, table: pd.DataFrame) -> Figure:
    """Draw every pair of models against the mean of the same two nets.

    Parameters
    ----------
    trainings : Trainings
    table : DataFrame
        From `sat.analyses.retraining.trainings.summary`.

    Returns
    -------
    Figure
    """
    shown = [row for row in table.itertuples() if np.isfinite(row.share)]
    if not shown:
        return nothing_to_draw("Too few pairs of nets have a value.")
    nets = trainings.nets.to_numpy()
    a, b = np.triu_indices(len(nets), 1)
    pair = pd.Series([" ".join(sorted((nets[i], nets[j]))) for i, j in zip(a, b, strict=True)])
    own = nets[a] == nets[b]
    rows = len(shown) if narrow() else 1
    figure, grid = sheet(2.4 * rows, rows, len(shown) // rows)
    for axes, row in zip(grid.flat, shown, strict=True):
        values = pd.Series((trainings.sat if row.measure == "sat" else trainings.affinity).to_numpy(float)[a, b])
        means = values.groupby(pair).transform("mean")
        ends = np.array([means.min(), means.max()])
        half = NormalDist().inv_cdf(0.975) * row.sd_images
        axes.fill_between(ends, ends - half, ends + half, color=PALE, linewidth=0)
        for mask, colour in ((~own, BLUE), (own, RED)):
            axes.scatter(
                means[mask],
                values[mask],
                s=area(len(values)),
                color=colour,
                alpha=0.7,
                linewidths=0,
                rasterized=len(values) > 2000,
            )
        name = SIMILARITIES[row.measure]
        axes.set(xlabel=f"mean {name} over all trainings of the two nets", ylabel=f"{name} of two trainings")
    handles: list[Line2D | Patch] = [
        dot(BLUE, "two different nets"),
        dot(RED, "two trainings of one net"),
        Patch(color=PALE, label="95 % interval over other images"),
    ]
    legend(figure, handles)
    shares = " and ".join(f"{100 * row.share:.0f} % of the variance of {SIMILARITIES[row.measure]}" for row in shown)
    head(
        figure,
        f"Training seeds explain {shares}",
        "Points outside the band differ by more than other images would explain.",
    )
    return figure
