"""Figures of the analyses `measures` and `ensembles`: small panels that share their axes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sat.report.figures import STYLE, nothing_to_draw

TITLES = {
    "agreement": "agreement of predictions\n(share of images)",
    "error_consistency": "error consistency\n(Cohen's kappa)",
    "jensen_shannon": "1 - Jensen-Shannon divergence\n(bits)",
    "cka": "CKA of features\n(debiased, linear)",
}
"""What the y axis of a measure says."""
KINDS = {"across": "#7f9fb8", "within": "#c2452d"}
"""Pairs of two families, and of one, which are few and drawn on top."""


def measures_figure(pairs: pd.DataFrame, agreement: pd.DataFrame, families: Mapping[str, str]) -> Figure:
    """Draw every measure against SAT, a point a pair of models.

    Parameters
    ----------
    pairs : DataFrame
        model_a, model_b, sat, and a column a measure.
    agreement : DataFrame
        From `sat.analysis.measures.against_sat`.
    families : mapping of str to str
        By model.

    Returns
    -------
    Figure
    """
    drawn = [row for row in agreement.itertuples() if pairs[[row.measure, "sat"]].notna().all(axis=1).any()]
    if not drawn:
        return nothing_to_draw("No measure knows a pair of models that SAT knows too.")
    same = pairs["model_a"].map(families) == pairs["model_b"].map(families)
    figure, panels = _panels(len(drawn))
    for axes, row in zip(panels, drawn, strict=True):
        for kind, colour in KINDS.items():
            part = pairs[same if kind == "within" else ~same]
            axes.scatter(part["sat"], part[row.measure], s=_area(len(pairs)), color=colour, alpha=0.7, linewidths=0)
        axes.set(xlabel="SAT", ylabel=TITLES.get(row.measure, row.measure))
        axes.set_title(_correlation(row.spearman, row.mantel_p), fontsize=9)
    handles = [
        _dot(colour, f"{kind} {'a family' if kind == 'within' else 'families'}") for kind, colour in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def ensembles_figure(table: pd.DataFrame, relation: pd.DataFrame) -> Figure:
    """Draw what ensembles gain against the mean SAT of their members, a point a set, a panel a size.

    Parameters
    ----------
    table : DataFrame
        From `sat.analysis.ensembles.ensemble_table`, with clusters.
    relation : DataFrame
        From `sat.analysis.ensembles.gain_by_sat`.

    Returns
    -------
    Figure
    """
    known = table[table["mean_sat"].notna() & table["error_reduction"].notna()]
    if known.empty:
        return nothing_to_draw("No ensemble of models whose SAT is known, and that err at all.")
    rows = [row for row in relation.itertuples() if (known["size"] == row.size).any()]
    counts = sorted(known["n_clusters"].unique())
    shades = plt.get_cmap("viridis_r")(np.linspace(0.1, 0.95, len(counts)))
    colour = dict(zip(counts, shades, strict=True))
    figure, panels = _panels(len(rows), sharey=True)
    for place, (axes, row) in enumerate(zip(panels, rows, strict=True)):
        # In no order, so that no number of clusters hides the others.
        part = known[known["size"] == row.size].sample(frac=1, random_state=0)
        shade = [colour[count] for count in part["n_clusters"]]
        axes.scatter(
            part["mean_sat"], 100 * part["error_reduction"], s=_area(len(part)), c=shade, alpha=0.8, linewidths=0
        )
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel="mean SAT of the members")
        if place % 4 == 0:
            axes.set_ylabel("fewer errors than a member\non average (%)")
        axes.set_title(f"{row.size} members\n{_correlation(row.spearman, row.p)}", fontsize=9)
    figure.legend(
        handles=[_dot(colour[count], str(count)) for count in counts],
        title="clusters that the members come from",
        title_fontsize=8,
        loc="outside lower center",
        ncols=len(counts),
        frameon=False,
        fontsize=8,
    )
    return figure


def _panels(number: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """At most four side by side."""
    columns = min(number, 4)
    lines = ceil(number / columns)
    with rc_context(STYLE):
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(max(3.6, 2.9 * columns), 3 * lines + 0.5),
            sharey=sharey,
            squeeze=False,
            layout="constrained",
        )
    panels = list(grid.flat)
    for axes in panels[number:]:
        axes.remove()
    for axes in panels[:number]:
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure, panels[:number]


def _area(number: int) -> float:
    """Of a point: smaller where there are many."""
    return 22 if number <= 100 else 10 if number <= 1000 else 5


def _correlation(value: float, p: float) -> str:
    if np.isnan(value):
        return "no rank correlation to be had"
    return f"rank correlation {value:.2f}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"


def _dot(colour: object, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker="o", linestyle="", markersize=5, label=label)  # type: ignore[arg-type]
