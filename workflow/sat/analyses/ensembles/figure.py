"""Figure of what ensembles gain, against the mean similarity of their members."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from sat.report.page import area, dot, head, legend, nothing_to_draw, relation
from sat.report.panels import panel_rows
from sat.report.style import CERTAIN
from sat.report.wording import p_words
from sat.units.analysis import SIMILARITIES


def ensembles_figure(table: pd.DataFrame, found: pd.DataFrame) -> Figure:
    """Draw what ensembles gain against the mean similarity of their members, one point per set.

    Each size has a panel of SAT and one of affinity. A panel without any known similarity is left out.

    Parameters
    ----------
    table : DataFrame
        From `sat.analyses.ensembles.averaging.ensemble_table`, with clusters.
    found : DataFrame
        From `sat.analyses.ensembles.averaging.gain_by_similarity`.

    Returns
    -------
    Figure
    """
    known = table[table["error_reduction"].notna()]
    drawn: dict[str, list[tuple[pd.Series, pd.DataFrame]]] = {}
    for of in SIMILARITIES:
        for _, row in found[found["of"] == of].iterrows():
            part = known[(known["size"] == row["size"]) & known[f"mean_{of}"].notna()]
            if len(part):
                drawn.setdefault(of, []).append((row, part))
    if not drawn:
        return nothing_to_draw("No ensemble of models whose SAT is known, and that err at all.")
    counts = sorted(known["n_clusters"].unique())
    # From light to dark, but never so light that a dot is lost on paper.
    shades = plt.get_cmap("viridis")(np.linspace(0.85, 0.0, len(counts)))
    colour = {count: to_hex(shade) for count, shade in zip(counts, shades, strict=True)}
    figure, panels = panel_rows({of: len(rows) for of, rows in drawn.items()}, sharey=True)
    for of, rows in drawn.items():
        for place, (axes, (row, part)) in enumerate(zip(panels[of], rows, strict=True)):
            # The points are shuffled, so that no number of clusters hides the others.
            mixed = part.sample(frac=1, random_state=0)
            shade = [colour[count] for count in mixed["n_clusters"]]
            gain = 100 * mixed["error_reduction"]
            axes.scatter(mixed[f"mean_{of}"], gain, s=area(len(mixed)), c=shade, lw=0, rasterized=len(mixed) > 2000)
            axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
            axes.set_xlabel(f"mean {SIMILARITIES[of]} of members")
            if place == 0:
                axes.set_ylabel("fewer errors than the\naverage member (%)")
            within = relation(row["partial_spearman"], row["partial_p"])
            words = f"gain: {relation(row['spearman'], row['p'])}\nwithout single-model effects:\n{within}"
            axes.set_title(f"{row['size']:.0f} members\n{words.replace(' (', chr(10) + '(')}", fontsize=5.5)
    legend(
        figure,
        [dot(colour[count], f"{count:.0f}") for count in counts],
        "number of clusters that the members come from",
        len(counts),
    )
    head(figure, "\n".join(_answer(of, rows) for of, rows in drawn.items()))
    return figure


def _answer(of: str, rows: list[tuple[pd.Series, pd.DataFrame]]) -> str:
    """Say whether ensembles of unlike models gain more, by correlations without the effects of single models."""
    name = SIMILARITIES[of]
    if of == "sat":
        # Where accurate models are harder to fool, p of SAT is small without any effect of similarity.
        return "Ensembles and SAT: no conclusion (SAT contains how easily each member is fooled)"
    shown = [row for row, _ in rows if row["partial_p"] <= CERTAIN]
    if not shown:
        known = [row["partial_p"] for row, _ in rows if row["partial_p"] == row["partial_p"]]
        least = min(known) if known else np.nan
        return (
            f"Ensembles and {name}: no relation shown ({'smallest ' if len(rows) > 1 else ''}{p_words(float(least))})"
        )
    more = {bool(row["partial_spearman"] < 0) for row in shown}
    which = f"in {len(shown)} of {len(rows)} sizes" if len(rows) > 1 else p_words(float(shown[0]["partial_p"]))
    if len(more) == 2:
        return f"Ensembles and {name}: related, but not the same way in all sizes"
    return f"Ensembles of {'less' if more.pop() else 'more'} similar models gain more (by {name}, {which})"
