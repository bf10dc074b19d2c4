"""Figure of every model's strength against its fragility."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sat.report.labels import name_points
from sat.report.page import LETTER, dot, head, legend, name_rows, nothing_to_draw, sheet, short, shorts, whisker
from sat.report.style import BLUE, GREY, TALLEST, family_colours, family_markers, family_words, narrow, page_width

CROWDED = 0.16
"""Largest share of the figure that names may cover; in a fuller one, only the extreme models are named."""
EXTREME = 5
"""Number of models that are named at either end of an axis."""


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
    shares = pool.set_index("quantity")
    share, of_sat = shares.loc["share_half"], shares["value"].get("share_sat", np.nan)
    if models["effect"].isna().all() and models["strength"].isna().all():
        return nothing_to_draw("Too few models, or too few common images, for effects of single models.")
    answer = "Effects of every model"
    if np.isfinite(share["value"]):
        answer = (
            f"The models' own levels explain {100 * share['value']:.0f} % of the variance of the log-odds of transfer ("
            + (f"of SAT: {100 * of_sat:.0f} %; " if np.isfinite(of_sat) else "")
            + f"by chance {100 * share['chance']:.0f} %)"
        )
    if models["strength"].isna().all():
        pitch = min(8.0, 72 * (TALLEST - 1) / len(models))
        figure, ((axes,),) = sheet(max(1.2, pitch * len(models) / 72) + 0.4)
        ordered = models.sort_values("effect")
        axes.plot(ordered["effect"], range(len(ordered)), "o", color=BLUE, markersize=min(3.0, 0.7 * pitch))
        if not name_rows(axes, list(ordered["model"]), pitch):
            _name_ends(axes, list(ordered["model"]))
        axes.set_ylim(-1, len(ordered))
        axes.set_xlabel("effect of the model (log-odds): strength and fragility together")
        head(figure, answer)
        return figure
    height = 3.0 if narrow() else 4.2
    figure, ((axes,),) = sheet(height)
    lines = _points(axes, models)
    families = models["family"]
    words, colour, marker = family_words(families), family_colours(families), family_markers(families)
    handles = {words[one]: dot(colour[one], words[one], marker[one]) for one in colour} if len(colour) > 1 else {}
    legend(figure, [*handles.values(), whisker("intervals", GREY)], "family")
    head(figure, answer)
    size = 5.5 if len(models) <= 40 else 4.8
    names = shorts(models["model"], 24)
    x, y = models["fragility"], models["strength"]
    if sum(map(len, names)) * LETTER * size * 1.2 * size < CROWDED * 72**2 * page_width() * height:
        name_points(axes, names, x, y, lines, size, 2.5)
    else:
        order = (np.argsort(column.to_numpy()).tolist() for column in (x, y))
        ends = list(dict.fromkeys(place for places in order for place in (*places[:EXTREME], *places[-EXTREME:])))
        name_points(axes, [names[i] for i in ends], x, y, lines, size, 2.5, ends)
    return figure


def _name_ends(axes: Axes, names: list[str]) -> None:
    """Name the models at both ends, where there is no room for all."""
    ends = [0, len(names) - 1]
    axes.set_yticks(ends, [short(names[end]) for end in ends])
    axes.set_ylabel(f"{len(names)} models")


def _points(axes: Axes, models: pd.DataFrame) -> NDArray[np.float64]:
    """A cross of both intervals for each model, coloured by family; return the lines of the crosses."""
    colour, marker = family_colours(models["family"]), family_markers(models["family"])
    x, y = models["fragility"].to_numpy(float), models["strength"].to_numpy(float)
    sides = models[["fragility_low", "strength", "fragility_high", "strength"]].to_numpy(float)
    heights = models[["fragility", "strength_low", "fragility", "strength_high"]].to_numpy(float)
    shades = [colour[family] for family in models["family"]]
    for lines in (sides, heights):
        axes.add_collection(LineCollection(lines.reshape(-1, 2, 2), colors=shades, linewidths=0.6, alpha=0.7))
    for family, shade in colour.items():
        part = (models["family"] == family).to_numpy()
        axes.plot(x[part], y[part], marker[family], color=shade, markersize=4)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    axes.margins(0.14, 0.08)
    axes.set_xlabel("fragility: how easily the others' images fool it (log-odds)")
    axes.set_ylabel("strength: how well its images\nfool the others (log-odds)")
    lines = np.vstack([sides, heights])
    return np.asarray(lines[np.isfinite(lines).all(axis=1)])
