"""Figure of a study's SAT and affinity against those of a reference."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from sat.report.page import area, dot, head, legend, nothing_to_draw, sheet, shorts
from sat.report.style import BLUE, INK, RED, narrow

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
    rows = len(drawn) if narrow() else 1
    figure, grid = sheet(2.8 * rows, rows, len(drawn) // rows)
    answers, handles = [], []
    models = sorted({*pairs["model_a"], *pairs["model_b"]})
    between = ",\n" if narrow() else ", "
    short = dict(zip(models, shorts(models, 24), strict=True))
    for axes, (of, words, study, reference) in zip(grid.flat, drawn, strict=True):
        axes.scatter(
            pairs[reference],
            pairs[study],
            s=area(len(pairs)),
            color=BLUE,
            alpha=0.6,
            lw=0,
            rasterized=len(pairs) > 2000,
        )
        ends = [pairs[[study, reference]].min().min(), pairs[[study, reference]].max().max()]
        axes.plot(ends, ends, color=INK, lw=0.8, ls="--")
        largest = pairs.loc[(pairs[study] - pairs[reference]).abs().nlargest(len(MARKS)).index]
        for mark, row in zip(MARKS, largest.to_dict("records"), strict=False):
            # Names stand below, since there is no room for them among the points; a hollow mark hides no point.
            axes.plot(row[reference], row[study], mark, color=RED, mfc="none", ms=5)
            name = f"{words}: {short[row['model_a']]}{between}{short[row['model_b']]}"
            handles.append(dot(RED, name, mark, hollow=True))
        first = table[table["of"] == of].iloc[0]
        axes.set(xlabel=f"{words} of the reference", ylabel=f"{words} of this study")
        answers.append(
            f"{words} of {first.n_pairs:.0f} pairs: rank correlation {round(first.spearman, 2) + 0.0:.2f}, "
            f"Pearson {round(first.pearson, 2) + 0.0:.2f}"
        )
    legend(figure, handles, "largest differences (dashed line: the same value)", 1 if narrow() else 2)
    offset = f"{table.iloc[0].mean_offset:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00")
    head(figure, "\n".join(answers), f"Mean offset of SAT: {offset}. Settings of the reference: {settings}.")
    return figure
