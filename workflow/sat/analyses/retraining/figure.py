"""Figure of pairs of nets over their trainings."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sat.analyses.retraining.trainings import Trainings
from sat.report.panels import area, dot, panel_grid
from sat.report.style import BLUE, nothing_to_draw
from sat.units.analysis import SIMILARITIES

RED, BAND = "#c2452d", "#d9d9d9"


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
    figure, panels = panel_grid(len(shown))
    for axes, row in zip(panels, shown, strict=True):
        values = pd.Series((trainings.sat if row.measure == "sat" else trainings.affinity).to_numpy(float)[a, b])
        means = values.groupby(pair).transform("mean")
        ends = np.array([means.min(), means.max()])
        half = NormalDist().inv_cdf(0.975) * row.sd_images
        axes.fill_between(ends, ends - half, ends + half, color=BAND, linewidth=0)
        for mask, colour in ((~own, BLUE), (own, RED)):
            axes.scatter(means[mask], values[mask], s=area(len(values)), color=colour, alpha=0.7, linewidths=0)
        name = SIMILARITIES[row.measure]
        axes.set(xlabel=f"mean {name} of two nets", ylabel=f"{name} of two trainings")
        axes.set_title(f"seeds: {row.share:.0%} of the variance", fontsize=9)
    handles = [dot(BLUE, "two nets"), dot(RED, "one net, two seeds"), Patch(color=BAND, label="other images")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
