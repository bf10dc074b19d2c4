"""Figure of what ensembles gain, against the mean SAT of their members."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.panels import area, correlation, dot, panel_grid
from sat.report.style import nothing_to_draw


def ensembles_figure(table: pd.DataFrame, relation: pd.DataFrame) -> Figure:
    """Draw what ensembles gain against the mean SAT of their members, one point per set and one panel per size.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.ensembles.averaging.ensemble_table`, with clusters.
    relation : DataFrame
        From `sat.analyses.ensembles.averaging.gain_by_sat`.

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
    figure, panels = panel_grid(len(rows), sharey=True)
    for place, (axes, row) in enumerate(zip(panels, rows, strict=True)):
        # The points are shuffled, so that no number of clusters hides the others.
        part = known[known["size"] == row.size].sample(frac=1, random_state=0)
        shade = [colour[count] for count in part["n_clusters"]]
        axes.scatter(
            part["mean_sat"], 100 * part["error_reduction"], s=area(len(part)), c=shade, alpha=0.8, linewidths=0
        )
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel="mean SAT of the members")
        if place % 4 == 0:
            axes.set_ylabel("fewer errors than a member\non average (%)")
        axes.set_title(f"{row.size} members\n{correlation(row.spearman, row.p)}", fontsize=9)
    figure.legend(
        handles=[dot(colour[count], str(count)) for count in counts],
        title="clusters that the members come from",
        title_fontsize=8,
        loc="outside lower center",
        ncols=len(counts),
        frameon=False,
        fontsize=8,
    )
    return figure
