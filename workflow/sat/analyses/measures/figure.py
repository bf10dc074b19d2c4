"""Figure of other measures against SAT."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from sat.report.panels import area, correlation, dot, panel_grid
from sat.report.style import nothing_to_draw
from sat.units import module

KINDS = {"across": "#7f9fb8", "within": "#c2452d"}
"""Colours of pairs across families and of pairs within a family. The latter are few, and are drawn on top."""


def measures_figure(pairs: pd.DataFrame, agreement: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw every measure against SAT, one point per pair of models.

    Parameters
    ----------
    pairs : DataFrame
        Columns model_a, model_b, sat, and one column per measure.
    agreement : DataFrame
        From `sat.analyses.measures.agreement.against_sat`.
    families : mapping of str to str
        Family of every model.

    Returns
    -------
    Figure
    """
    drawn = [row for row in agreement.itertuples() if pairs[[row.measure, "sat"]].notna().all(axis=1).any()]
    if not drawn:
        return nothing_to_draw("No measure knows a pair of models that SAT knows too.")
    same = pairs["model_a"].map(families) == pairs["model_b"].map(families)
    figure, panels = panel_grid(len(drawn))
    for axes, row in zip(panels, drawn, strict=True):
        for kind, colour in KINDS.items():
            part = pairs[same if kind == "within" else ~same]
            axes.scatter(part["sat"], part[row.measure], s=area(len(pairs)), color=colour, alpha=0.7, linewidths=0)
        axes.set(xlabel="SAT", ylabel=module("measures", row.measure).UNIT.title)
        axes.set_title(correlation(row.spearman, row.mantel_p), fontsize=9)
    handles = [
        dot(colour, f"{kind} {'a family' if kind == 'within' else 'families'}") for kind, colour in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
