"""Figure of other measures against SAT and affinity."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from sat.report.panels import area, correlation, dot, panel_grid
from sat.report.style import nothing_to_draw
from sat.units import module

KINDS = {"across": "#7f9fb8", "within": "#c2452d"}
"""Colours of pairs across families and of pairs within a family. The latter are few, and are drawn on top."""


def measures_figure(pairs: pd.DataFrame, compared: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw every measure against SAT, and its rest against affinity, one point per pair of models.

    Parameters
    ----------
    pairs : DataFrame
        Columns model_a, model_b, sat, affinity, and for each measure its name and <name>_rest.
    compared : DataFrame
        From `sat.analyses.measures.agreement.against`.
    families : mapping of str to str
        Family of every model.

    Returns
    -------
    Figure
    """
    drawn = []
    for row in compared.itertuples():
        y = row.measure if row.of == "sat" else f"{row.measure}_rest"
        if pairs[[row.of, y]].notna().all(axis=1).any():
            drawn.append((row, y))
    if not drawn:
        return nothing_to_draw("No measure knows a pair of models that SAT knows too.")
    same = pairs["model_a"].map(families) == pairs["model_b"].map(families)
    figure, panels = panel_grid(len(drawn))
    for axes, (row, y) in zip(panels, drawn, strict=True):
        for kind, colour in KINDS.items():
            part = pairs[same if kind == "within" else ~same]
            axes.scatter(part[row.of], part[y], s=area(len(pairs)), color=colour, alpha=0.7, linewidths=0)
        title = module("measures", row.measure).UNIT.title
        if row.of == "sat":
            axes.set(xlabel="SAT", ylabel=title)
        else:
            # Two lines, as the titles have them.
            axes.set(xlabel="affinity", ylabel=f"{title.partition(chr(10))[0]}\nwithout each model's level")
        axes.set_title(correlation(row.spearman, row.mantel_p), fontsize=9)
    handles = [
        dot(colour, f"{kind} {'a family' if kind == 'within' else 'families'}") for kind, colour in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
