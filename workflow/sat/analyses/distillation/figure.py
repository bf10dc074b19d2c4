"""Figure of what a student gains from its teachers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sat.report.labels import name_points
from sat.report.page import dot, head, legend, nothing_to_draw, relation, sheet, short, shorts, whisker
from sat.report.style import BLUE, CERTAIN, GREY, INK, RED, narrow
from sat.report.wording import p_words
from sat.units.analysis import SIMILARITIES

COLOURS = {"same": RED, "other": BLUE, "unknown": GREY}
LETTERS = 160
"""Letters of names for which a panel has room; teachers with the largest gains and losses are named first."""


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
    rows = len(shown) if narrow() else 1
    figure, grid = sheet(2.5 * rows, rows, len(shown) // rows, sharey=True)
    drawn = []
    for axes, name in zip(grid.flat, shown, strict=True):
        known = table[table[name].notna()].sort_values(name, kind="stable")
        lines = _panel(axes, known, name)
        drawn.append((axes, known, name, lines))
        axes.set_xlabel(f"{SIMILARITIES[name]} of the teacher and {short(student, 20)}")
        words = [_correlation(row, by) for row in related[related["of"] == name].to_dict("records")]
        axes.set_title("\n".join(words), fontsize=5.5)
    figure.supylabel("gain in accuracy (percentage points)", fontsize=6.5)
    present = [(relation, colour) for relation, colour in COLOURS.items() if (table["relation"] == relation).any()]
    handles = [dot(colour, f"{kind} {by}" if kind != "unknown" else f"{by} unknown") for kind, colour in present]
    if table["low_whitebox"].any():
        handles.append(dot(INK, "low white-box success of the teacher", hollow=True))
    if table["gain_low"].notna().any():
        handles.append(whisker("interval over seeds", GREY))
    legend(figure, handles)
    head(
        figure,
        "\n".join(_answer(related[(related["of"] == name) & (related["group"] == "all")], name) for name in shown),
        f"Gain: accuracy of {short(student)} with the teacher minus its accuracy alone, mean over seeds.",
        ""
        if all(len(known) == len(_named(known)) for _, known, _, _ in drawn)
        else "Names: the largest and the smallest gains.",
    )
    for axes, known, name, lines in drawn:
        names = _named(known)
        name_points(
            axes, list(names.values()), known[name], 100 * known["gain"], lines, size=5.5, radius=2.5, named=list(names)
        )
    return figure


def _named(known: pd.DataFrame) -> dict[int, str]:
    """Shortened names of the teachers that a panel names, by row; from both ends of the gains, while there is room."""
    names, order = shorts(known["teacher"], 20), known["gain"].argsort(kind="stable").to_list()
    alternately = [order.pop(0 if turn % 2 else -1) for turn in range(len(order))]
    room = np.cumsum([len(names[row]) for row in alternately]) <= LETTERS
    return {row: names[row] for row, fits in zip(alternately, room, strict=True) if fits}


def _answer(rows: pd.DataFrame, name: str) -> str:
    """Say whether the similarity to the student predicts the gain."""
    what = SIMILARITIES[name]
    if rows.empty:
        return f"Similarity by {what} and gain: no correlation"
    value, p = float(rows["spearman"].iloc[0]), float(rows["p"].iloc[0])
    if np.isnan(value) or not p <= CERTAIN:
        return f"Similarity by {what} and gain: {relation(value, p)}"
    which = "More" if value > 0 else "Less"
    return f"{which} similar teachers give more gain (by {what}: \u03c1 = {value:.2f}, {p_words(p)})"


def _panel(axes: Axes, known: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Draw the gain against one similarity; return the intervals as line segments, which names should not cover."""
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    for kind, colour in COLOURS.items():
        part = known[known["relation"] == kind]
        if part.empty:
            continue
        gain = 100 * part["gain"]
        if part["gain_low"].notna().any():
            ends = [gain - 100 * part["gain_low"], 100 * part["gain_high"] - gain]
            axes.errorbar(part[name], gain, ends, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
        face = [("white" if low else colour) for low in part["low_whitebox"]]
        axes.scatter(part[name], gain, s=14, c=face, edgecolors=colour, linewidths=0.9, zorder=3)
    axes.margins(x=0.16, y=0.12)
    ends = known[[name, "gain_low", name, "gain_high"]].to_numpy(float) * [1, 100, 1, 100]
    return np.asarray(ends[np.isfinite(ends).all(axis=1)])


def _correlation(row: dict[str, object], by: str) -> str:
    group = "all teachers" if row["group"] == "all" else f"{row['group']} {by}"
    value, low, high, p = (float(row[key]) for key in ("spearman", "spearman_low", "spearman_high", "p"))  # type: ignore[arg-type]
    start = f"{group} ({row['n_teachers']}): "
    if np.isnan(value):
        return start + "too few teachers or values for a rank correlation"
    interval = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{start}\u03c1 = {round(value, 2) + 0.0:.2f}{interval}, {p_words(p)}"
