"""Figure of other measures against SAT and affinity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sat.report.page import area, dot, head, legend, nothing_to_draw, relation, wrapped
from sat.report.panels import panel_rows
from sat.report.style import CERTAIN, RED
from sat.units import module
from sat.units.analysis import SIMILARITIES

KINDS = {"across": "#5b86a6", "within": RED}
"""Colours of pairs across families and of pairs within a family. The latter are few, and are drawn on top."""
MARKERS = {"across": "o", "within": "^"}


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
    drawn: dict[str, list[tuple[Any, str]]] = {}
    for row in compared.itertuples():
        y = str(row.measure) if row.of == "sat" else f"{row.measure}_rest"
        if pairs[[str(row.of), y]].notna().all(axis=1).any():
            drawn.setdefault(str(row.of), []).append((row, y))
    if not drawn:
        return nothing_to_draw("No measure knows a pair of models that SAT knows too.")
    same = pairs["model_a"].map(families) == pairs["model_b"].map(families)
    figure, panels = panel_rows({of: len(rows) for of, rows in drawn.items()})
    for of, rows in drawn.items():
        for axes, (row, y) in zip(panels[of], rows, strict=True):
            for kind, colour in KINDS.items():
                part = pairs[same if kind == "within" else ~same]
                axes.scatter(
                    part[of],
                    part[y],
                    s=area(len(pairs)),
                    color=colour,
                    marker=MARKERS[kind],
                    alpha=0.8,
                    lw=0,
                    rasterized=len(part) > 2000,
                )
            title = module("measures", str(row.measure)).UNIT.title.partition("\n")[0]
            axes.set_xlabel(SIMILARITIES[of])
            words = title if of == "sat" else f"{title}, without levels"
            axes.set_ylabel("\n".join(wrapped(words, 6, 78)), fontsize=6)
            axes.set_title(relation(row.spearman, row.mantel_p).replace(" (", "\n("), fontsize=6)
    legend(figure, [dot(KINDS["within"], "pair within a family", "^"), dot(KINDS["across"], "pair across families")])
    head(
        figure,
        "\n".join(_answer(SIMILARITIES[of], [row for row, _ in rows]) for of, rows in drawn.items()),
        "\u03c1: rank correlation; p by permutations of the models.",
    )
    return figure


def _answer(name: str, rows: list[Any]) -> str:
    """Count the measures that are related to SAT or affinity."""
    related = [row for row in rows if row.mantel_p <= CERTAIN]
    if not related:
        least = min(row.mantel_p for row in rows)
        return f"{name}: no relation to {len(rows)} other measures shown" + (
            f" (smallest p = {least:.2f})" if least == least else ""
        )
    most = max(related, key=lambda row: abs(row.spearman))
    number = f"\u03c1 = {most.spearman:.2f}"
    return f"{name}: related to {len(related)} of {len(rows)} other measures, most to {most.measure} ({number})"
