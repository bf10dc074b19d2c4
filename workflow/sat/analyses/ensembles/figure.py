"""Figure of what ensembles gain, against the mean similarity of their members."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.panels import area, correlation, dot, panel_grid
from sat.report.style import nothing_to_draw

LABELS = {"sat": "mean SAT of the members", "affinity": "mean affinity of the members"}


def ensembles_figure(table: pd.DataFrame, relation: pd.DataFrame) -> Figure:
    """Draw what ensembles gain against the mean similarity of their members, one point per set.

    Each size has a panel of SAT and one of affinity. A panel without any known similarity is left out.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.ensembles.averaging.ensemble_table`, with clusters.
    relation : DataFrame
        From `sat.analyses.ensembles.averaging.gain_by_similarity`.

    Returns
    -------
    Figure
    """
    known = table[table["error_reduction"].notna()]
    parts = [known[(known["size"] == row.size) & known[f"mean_{row.of}"].notna()] for row in relation.itertuples()]
    drawn = [(row, part) for row, part in zip(relation.itertuples(), parts, strict=True) if len(part)]
    if not drawn:
        return nothing_to_draw("No ensemble of models whose SAT is known, and that err at all.")
    counts = sorted(known["n_clusters"].unique())
    shades = plt.get_cmap("viridis_r")(np.linspace(0.1, 0.95, len(counts)))
    colour = dict(zip(counts, shades, strict=True))
    figure, panels = panel_grid(len(drawn), sharey=True)
    for place, (axes, (row, part)) in enumerate(zip(panels, drawn, strict=True)):
        # The points are shuffled, so that no number of clusters hides the others.
        mixed = part.sample(frac=1, random_state=0)
        shade = [colour[count] for count in mixed["n_clusters"]]
        gain = 100 * mixed["error_reduction"]
        axes.scatter(mixed[f"mean_{row.of}"], gain, s=area(len(mixed)), c=shade, alpha=0.8, linewidths=0)
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel=LABELS[str(row.of)])
        if place % 4 == 0:
            axes.set_ylabel("error reduction compared with\nthe average member (%)")
        within = correlation(row.partial_spearman, row.partial_p).removeprefix("rank correlation ")
        axes.set_title(
            f"{row.size} members\n{correlation(row.spearman, row.p)}\nmodel effects removed: {within}", fontsize=8
        )
    figure.legend(
        handles=[dot(colour[count], str(count)) for count in counts],
        title="number of clusters that the members come from",
        title_fontsize=8,
        loc="outside lower center",
        ncols=len(counts),
        frameon=False,
        fontsize=8,
    )
    return figure
