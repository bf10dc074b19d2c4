"""Figure of the transfer rate of every direction."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from sat.report.heatmap import MARKED, WRITTEN, mark_cells, write_cells
from sat.report.page import head, map_side, name_rows, names_height, sheet, short
from sat.similarity.affinity import directed_log_odds


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
    below = np.zeros(rate.shape, bool)
    row_of, column_of = (dict(zip(names, range(len(names)), strict=True)) for names in (strongest, most_fragile))
    for row in table.itertuples():
        for source, target, p in (
            (row.model_a, row.model_b, row.noise_p_holm_ab),
            (row.model_b, row.model_a, row.noise_p_holm_ba),
        ):
            below[row_of[source], column_of[target]] = not p <= alpha
    side = map_side(strongest)
    pitch = 72 * side / len(rate)
    figure, ((axes,),) = sheet(side + 0.3 + names_height(strongest, side))
    least = float(rate.where(rate > 0).fillna(100.0).min(axis=None))
    image = axes.imshow(
        # 0 has no place on a scale of logarithms; it takes the colour of the smallest rate.
        rate.clip(lower=least).to_numpy(float),
        norm=LogNorm(min(least, 99.0), 100),
        cmap="viridis",
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_facecolor("0.88")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2)
    bar = figure.colorbar(image, ax=axes, label="images that fool the target (%)", shrink=0.6, aspect=30)
    bar.set_ticks([tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if tick >= least])
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    for which, names in (("y", strongest), ("x", most_fragile)):
        if not name_rows(axes, list(names), pitch, which):
            ends = [0, len(names) - 1]
            axes.set(**{f"{which}ticks": ends, f"{which}ticklabels": [short(names[end], 16) for end in ends]})
    axes.set(xlabel="target, the most fragile on the left", ylabel="source, the strongest on top")
    if pitch >= MARKED:
        mark_cells(axes, below)
    if pitch >= WRITTEN:
        texts = rate.map(lambda value: "" if np.isnan(value) else f"{value:.0f}" if value >= 9.95 else f"{value:.1f}")
        write_cells(axes, rate.clip(lower=least).to_numpy(float), texts.to_numpy(), image, min(6.0, 0.36 * pitch))
    mark = "◥ " if pitch >= MARKED and below.any() else ""
    head(
        figure,
        f"Strongest source: {short(strongest[0], 24)}; most fragile target: {short(most_fragile[0], 24)}",
        f"{mark}{'N' if not mark else 'n'}ot above random noise: {below.sum()} of {2 * len(table)} directions "
        "(p adjusted by Holm for all of them).",
    )
    return figure
