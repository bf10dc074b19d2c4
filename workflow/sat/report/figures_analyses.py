"""Figures of the analyses that start from the matrix: components, groups, another matrix."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat.report.figures import STYLE, nothing_to_draw

BLUE, GREY = "#3b6fb6", "#8a8a8a"


def components_figure(ranked: pd.DataFrame, r2: pd.DataFrame, differences: pd.DataFrame, reason: str = "") -> Figure:
    """Draw importances beside mean differences, a row a component.

    Parameters
    ----------
    ranked : DataFrame
        From `sat.analysis.components.ranking`.
    r2 : DataFrame
        From `r2_table`.
    differences : DataFrame
        `MeanDifferences.by_component`.
    reason : str
        Why there is no regression.

    Returns
    -------
    Figure
    """
    known = ranked[ranked["importance"].notna()] if len(ranked) else ranked
    names = list(known["component"]) or list(differences.sort_values("difference", ascending=False)["component"])
    if not names:
        return nothing_to_draw("No component is known.")
    place = pd.Series(np.arange(len(names))[::-1], index=names)
    with matplotlib.rc_context(STYLE):
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10, 1.4 + 0.33 * len(names)), sharey=True, layout="constrained"
        )
    for row in known.itertuples():
        inside = not row.p_adjusted <= 0.05
        left.barh(
            place[row.component], row.importance, color="none" if inside else BLUE, edgecolor=GREY if inside else BLUE
        )
        if np.isfinite(row.low):
            left.plot([row.low, row.high], [place[row.component]] * 2, color="black", lw=1)
        left.plot(row.held_out, place[row.component], "D", color="black", ms=4)
    left.axvline(0, color="black", lw=0.6)
    left.set(xlabel="importance: fall of R² when shuffled\n(diamond: on pairs of models not seen)")
    if reason:
        left.text(0.5, 0.5, f"no regression: {reason}", transform=left.transAxes, ha="center", wrap=True, fontsize=8)
    for row in differences[differences["component"].isin(names)].itertuples():
        certain = row.p_adjusted <= 0.05
        right.barh(
            place[row.component],
            row.difference,
            color=BLUE if certain else "none",
            edgecolor=BLUE if certain else GREY,
        )
    right.axvline(0, color="black", lw=0.6)
    right.set(xlabel="mean SAT of pairs that share it - pairs that differ\n(hollow: adjusted p > 0.05)")
    left.set_yticks(place, [name.replace("_", " ") for name in names])
    words = [f"{row.kind.replace('_', ' ')} {row.r2:.2f}" for row in r2.itertuples() if np.isfinite(row.r2)]
    if words:
        figure.suptitle(f"R²: {', '.join(words)}", fontsize=9, ha="left", x=0.02)
    return figure


def groups_figure(table: pd.DataFrame, compared: bool = False) -> Figure:
    """Draw the mean SAT within groups, a panel a column.

    Parameters
    ----------
    table : DataFrame
        From `sat.analysis.groups.group_means`, with `column`.
    compared : bool
        Whether the matrix that it was compared with is known to be of the
        same images and attack; its bar is hatched otherwise.

    Returns
    -------
    Figure
    """
    columns = list(dict.fromkeys(table["column"]))
    drawn = table[table["mean"].notna()]
    if not len(drawn[drawn["kind"] != "all"]):
        return nothing_to_draw("No group has two models with a SAT.")
    heights = [max(1, int((drawn["column"] == column).sum())) for column in columns]
    with matplotlib.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(columns),
            1,
            figsize=(7.5, 0.8 * len(columns) + 0.32 * sum(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
    for panel, column in zip(panels[:, 0], columns, strict=True):
        rows = drawn[(drawn["column"] == column) & (drawn["kind"] != "all")]
        rows = rows.sort_values(["kind", "mean"], ascending=[True, False])
        labels = []
        for number, row in enumerate(rows.itertuples()):
            labels.append(
                {"within": "all groups", "compare": "other study" if compared else "other matrix"}.get(
                    row.kind, row.group
                )
                + f"  ({row.n_models} models)"
            )
            panel.barh(
                -number,
                row.mean,
                color=GREY if row.kind == "compare" else BLUE if row.p <= 0.05 else "none",
                edgecolor="white" if row.kind == "compare" else BLUE,
                hatch="///" if row.kind == "compare" and not compared else None,
            )
            if np.isfinite(row.low):
                panel.plot([row.low, row.high], [-number] * 2, color="black", lw=1)
        overall = drawn[(drawn["column"] == column) & (drawn["kind"] == "all")]["mean"]
        if len(overall):
            panel.axvline(overall.iloc[0], color="black", ls="--", lw=1)
        panel.set_yticks(-np.arange(len(labels)), labels, fontsize=8)
        panel.set_title(column, fontsize=9, loc="left")
    panels[-1, 0].set_xlabel("mean SAT of pairs within the group; dashed: all pairs; hollow: p > 0.05")
    return figure


def reference_figure(pairs: pd.DataFrame, table: pd.DataFrame, settings: str) -> Figure:
    """Draw the study's SAT against the reference's, a point a pair.

    Parameters
    ----------
    pairs, table : DataFrame
        From `sat.analysis.reference.compare`.
    settings : str
        In what images and attack of the reference differ, as far as is known.

    Returns
    -------
    Figure
    """
    if pairs.empty:
        return nothing_to_draw("No pair of models is in both matrices.")
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6, 5.5), layout="constrained")
    axes.plot(pairs["reference"], pairs["study"], ".", color=BLUE, alpha=0.5, ms=5)
    ends = [min(pairs[["study", "reference"]].min()), max(pairs[["study", "reference"]].max())]
    axes.plot(ends, ends, color="black", lw=0.8, ls="--")
    for row in pairs.head(3).itertuples():
        axes.annotate(f"{row.model_a}, {row.model_b}", (row.reference, row.study), fontsize=7)
    first = table.iloc[0]
    axes.set(
        xlabel="SAT of the reference",
        ylabel="SAT of this study",
        title=f"{int(first.n_pairs)} pairs: Spearman {first.spearman:.2f}, Pearson {first.pearson:.2f}, "
        f"mean offset {first.mean_offset:+.2f}\n{settings}",
    )
    axes.title.set_fontsize(9)
    return figure
