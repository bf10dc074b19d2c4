"""Figure of a study's SAT and affinity against those of a reference."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from sat.report.style import BLUE, STYLE, nothing_to_draw

RED = "#c2452d"
MARKS = ("^", "s", "D")
"""Marks of the pairs with the largest differences, which are named."""


def reference_figure(pairs: pd.DataFrame, table: pd.DataFrame, settings: str) -> Figure:
    """Draw SAT and affinity of the study against those of the reference, one point per pair.

    Parameters
    ----------
    pairs, table : DataFrame
        From `sat.analyses.reference.comparison.compare`.
    settings : str
        How the images and the attack of the reference differ from the study's, as far as is known.

    Returns
    -------
    Figure
    """
    if pairs.empty:
        return nothing_to_draw("No pair of models is in both matrices.")
    drawn = [("sat", "SAT", "study", "reference")]
    if pairs["study_affinity"].notna().any():
        drawn.append(("affinity", "affinity", "study_affinity", "reference_affinity"))
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(drawn), figsize=(5.5 * len(drawn), 6), layout="constrained")
    for axes, (of, words, study, reference) in zip([panels] if len(drawn) == 1 else panels, drawn, strict=True):
        axes.plot(pairs[reference], pairs[study], ".", color=BLUE, alpha=0.5, ms=5)
        ends = [pairs[[study, reference]].min().min(), pairs[[study, reference]].max().max()]
        axes.plot(ends, ends, color="black", lw=0.8, ls="--")
        largest = pairs.loc[(pairs[study] - pairs[reference]).abs().nlargest(len(MARKS)).index]
        for mark, row in zip(MARKS, largest.to_dict("records"), strict=False):
            # Names stand below, since there is no room for them among the points.
            name = f"{row['model_a']}, {row['model_b']}"
            axes.plot(row[reference], row[study], mark, color=RED, ms=6, linestyle="", label=name)
        axes.legend(
            title="largest differences",
            title_fontsize=8,
            fontsize=8,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
            frameon=False,
        )
        first = table[table["of"] == of].iloc[0]
        axes.set(xlabel=f"{words} of the reference", ylabel=f"{words} of this study")
        axes.set_title(
            f"{words}, {first.n_pairs:.0f} pairs: Spearman {first.spearman:.2f}, Pearson {first.pearson:.2f}",
            fontsize=9,
        )
    figure.suptitle(f"mean offset of SAT {table.iloc[0].mean_offset:+.2f}; {settings}", fontsize=9)
    return figure
