"""Figure of every model's strength against its fragility."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat.report.labels import name_points
from sat.report.style import BLUE, GREY, STYLE, colours, nothing_to_draw


def effects_figure(models: pd.DataFrame, pool: pd.DataFrame) -> Figure:
    """Draw strength against fragility, or the one effect of each model where directions are not known.

    Parameters
    ----------
    models : DataFrame
        From `sat.analyses.effects.pool.model_table`.
    pool : DataFrame
        From `sat.analyses.effects.pool.pool_table`.

    Returns
    -------
    Figure
    """
    share = pool.set_index("quantity").loc["share_half"]
    if models["effect"].isna().all() and models["strength"].isna().all():
        return nothing_to_draw("Too few models, or too few common images, for effects of single models.")
    title = ""
    if np.isfinite(share["value"]):
        title = (
            f"The models' own levels explain {share['value']:.0%} of the variance of pairs "
            f"(by chance {share['chance']:.0%})"
        )
    with matplotlib.rc_context(STYLE):
        if models["strength"].isna().all():
            figure, axes = plt.subplots(figsize=(6.4, max(2.5, 0.2 * len(models) + 1)), layout="constrained")
            ordered = models.sort_values("effect")
            axes.plot(ordered["effect"], range(len(ordered)), "o", color=BLUE, markersize=4)
            axes.set_yticks(range(len(ordered)), ordered["model"], fontsize=7)
            axes.set_ylim(-1, len(ordered))
            axes.set_xlabel("effect of the model (log-odds): strength and fragility together")
        else:
            side = 5.2 + 0.06 * max(0, len(models) - 12)
            figure, axes = plt.subplots(figsize=(1.25 * side, side), layout="constrained")
            _points(axes, models)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, fontsize=9, loc="left")
    return figure


def _points(axes: Axes, models: pd.DataFrame) -> None:
    """A cross of both intervals for each model, coloured by family and named."""
    colour = colours(models["family"])
    x, y = models["fragility"].to_numpy(float), models["strength"].to_numpy(float)
    for row in models.itertuples():
        shade = colour[row.family]
        axes.plot([row.fragility_low, row.fragility_high], [row.strength] * 2, color=shade, linewidth=1)
        axes.plot([row.fragility] * 2, [row.strength_low, row.strength_high], color=shade, linewidth=1)
    for family, shade in colour.items():
        part = (models["family"] == family).to_numpy()
        axes.plot(x[part], y[part], "o", color=shade, markersize=4, label=family)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.margins(0.16, 0.08)
    axes.set_xlabel("fragility: how easily the others' images fool it (log-odds)")
    axes.set_ylabel("strength: how well its images fool the others (log-odds)")
    if len(colour) > 1:
        axes.legend(
            title="family", fontsize=7, title_fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
        )
    sides = models[["fragility_low", "strength", "fragility_high", "strength"]].to_numpy(float)
    heights = models[["fragility", "strength_low", "fragility", "strength_high"]].to_numpy(float)
    lines = np.vstack([sides, heights])
    name_points(axes, list(models["model"]), x, y, lines[np.isfinite(lines).all(axis=1)], 7 if len(models) < 40 else 6)
