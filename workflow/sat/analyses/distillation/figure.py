"""Figure of what a student gains from its teachers."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat.report.style import STYLE, nothing_to_draw
from sat.units.analysis import SIMILARITIES

COLOURS = {"same": "#c2452d", "other": "#4878a8", "unknown": "#8a8a8a"}
NAMED = 40
"""Largest number of teachers whose names are drawn."""


def distillation_figure(table: pd.DataFrame, related: pd.DataFrame, student: str) -> Figure:
    """Draw the gain from each teacher against its similarity to the student, one point per teacher.

    SAT and affinity have a panel each; a similarity that no teacher has is left out.

    Parameters
    ----------
    table : DataFrame
        analysis/distillation.csv: teacher, relation, sat, affinity, gain, gain_low, gain_high, low_whitebox.
    related : DataFrame
        analysis/distillation_relation.csv: of, group, spearman, spearman_low, spearman_high, p, by.
    student : str

    Returns
    -------
    Figure
    """
    shown = [name for name in SIMILARITIES if table[name].notna().any()]
    if not shown:
        return nothing_to_draw(f"No teacher has a SAT with {student}.")
    by = str(related["by"].iloc[0])
    with matplotlib.rc_context(STYLE):
        figure, grid = plt.subplots(
            1, len(shown), figsize=(6.5 * len(shown), 5.2), sharey=True, squeeze=False, layout="constrained"
        )
    for axes, name in zip(grid[0], shown, strict=True):
        _panel(axes, table[table[name].notna()].sort_values(name, kind="stable"), name, by)
        axes.set_xlabel(f"{SIMILARITIES[name]} of the teacher and {student} alone")
        lines = [_correlation(row, by) for row in related[related["of"] == name].to_dict("records")]
        axes.set_title("\n".join(lines), loc="left", fontsize=9)
    grid[0, 0].set_ylabel("accuracy with the teacher minus alone\n(percentage points, mean over seeds)")
    grid[0, 0].legend(frameon=False, fontsize=8, loc="best")
    sns.despine(figure)
    return figure


def _panel(axes: Axes, known: pd.DataFrame, name: str, by: str) -> None:
    """Draw the gain against one similarity, for teachers that have it, sorted by it."""
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for relation, colour in COLOURS.items():
        part = known[known["relation"] == relation]
        if part.empty:
            continue
        gain = 100 * part["gain"]
        if part["gain_low"].notna().any():
            ends = [gain - 100 * part["gain_low"], 100 * part["gain_high"] - gain]
            axes.errorbar(part[name], gain, ends, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
        face = [("white" if low else colour) for low in part["low_whitebox"]]
        label = f"{relation} {by}" if relation != "unknown" else f"{by} unknown"
        axes.scatter(part[name], gain, s=32, c=face, edgecolors=colour, linewidths=1.2, zorder=3)
        axes.scatter([], [], s=32, color=colour, label=label)
    if known["low_whitebox"].any():
        axes.scatter([], [], s=32, facecolors="white", edgecolors="0.3", label="low white-box success")
    if len(known) <= NAMED:
        x, y = known[name].to_numpy(float), 100 * known["gain"].to_numpy(float)
        for place, teacher in enumerate(known["teacher"]):
            # A name stands away from the nearest neighbour: the higher of two points has its name above.
            distance = np.abs(x - x[place])
            distance[place] = np.inf
            above = len(x) == 1 or y[place] >= y[distance.argmin()]
            axes.annotate(
                teacher,
                (x[place], y[place]),
                xytext=(5, 4 if above else -4),
                textcoords="offset points",
                va="bottom" if above else "top",
                fontsize=7,
            )
    axes.margins(x=0.12)


def _correlation(row: dict[str, object], by: str) -> str:
    group = "all teachers" if row["group"] == "all" else f"{row['group']} {by}"
    value, low, high, p = (float(row[key]) for key in ("spearman", "spearman_low", "spearman_high", "p"))  # type: ignore[arg-type]
    head = f"{group} ({row['n_teachers']}): "
    if np.isnan(value):
        return head + "too few teachers or values for a rank correlation"
    interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return (
        head + f"rank correlation {round(value, 2) + 0.0:.2f}{interval}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"
    )
