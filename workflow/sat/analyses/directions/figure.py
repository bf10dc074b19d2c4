"""Figure of the transfer rate of every direction."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sat.report.style import STYLE
from sat.similarity.affinity import directed_log_odds

ANNOTATED = 24
"""Models up to which the rates are written into the cells."""


def directions_figure(pairs: pd.DataFrame, table: pd.DataFrame, alpha: float) -> Figure:
    """Draw the rates as a heat map: rows are sources, columns are targets.

    The source with the largest mean log-odds stands on top, and the target with the largest on the left.

    Parameters
    ----------
    pairs : DataFrame
        The pair table.
    table : DataFrame
        From `sat.analyses.directions.rates.two_way_table`.
    alpha : float
        A direction whose adjusted p-value is larger is marked.

    Returns
    -------
    Figure
    """
    rate = 100 * pairs.pivot(index="source", columns="target", values="rate")
    odds = directed_log_odds(pairs, list(rate.index)).mask(np.eye(len(rate), dtype=bool))
    strongest, most_fragile = (
        odds.mean(axis=axis).sort_values(ascending=False, kind="stable").index for axis in (1, 0)
    )
    rate = rate.loc[strongest, most_fragile]
    text = rate.map(lambda value: "" if np.isnan(value) else f"{value:.0f}" if value >= 9.95 else f"{value:.1f}")
    below = 0
    for row in table.itertuples():
        for source, target, p in (
            (row.model_a, row.model_b, row.noise_p_holm_ab),
            (row.model_b, row.model_a, row.noise_p_holm_ba),
        ):
            if not p <= alpha:
                text.loc[source, target] += "n"
                below += 1
    size = max(5.0, 0.3 * len(rate) + 2)
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(size + 1.2, size), layout="constrained")
    least = float(rate.where(rate > 0).fillna(100.0).min(axis=None))
    sns.heatmap(
        # 0 has no place on a scale of logarithms; it takes the colour of the smallest rate.
        rate.clip(lower=least),
        norm=LogNorm(min(least, 99.0), 100),
        cmap="rocket",
        annot=text if len(rate) <= ANNOTATED else None,
        fmt="",
        annot_kws={"size": 7},
        square=True,
        xticklabels=True,
        yticklabels=True,
        linewidths=0.3 if len(rate) <= 40 else 0,
        cbar_kws={"label": "images that fool the target (%)", "shrink": 0.7},
        ax=axes,
    )
    bar = axes.collections[0].colorbar
    assert bar is not None
    bar.set_ticks([tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if tick >= least])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.minorticks_off()
    axes.tick_params(labelsize=8)
    axes.set(xlabel="target, the most fragile on the left", ylabel="source, the strongest on top")
    mark = "n: " if len(rate) <= ANNOTATED else ""
    axes.set_title(
        f"{mark}not above random noise: {below} of {2 * len(table)} directions\n(p adjusted by Holm for all of them)",
        loc="left",
        fontsize=9,
    )
    return figure
