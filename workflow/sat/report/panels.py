"""Rows of small panels."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sat.report.style import TALLEST, narrow, page_width


def panel_rows(numbers: Mapping[str, int], sharey: bool = False) -> tuple[Figure, dict[str, list[Axes]]]:
    """Make a figure of panels, at most four side by side, or two at the width of one column.

    Every kind of panel starts a new row, and its panels share their x axis.

    Parameters
    ----------
    numbers : mapping of str to int
        Number of panels by kind.
    sharey : bool
        Whether all panels share their y axis.

    Returns
    -------
    figure : Figure
    panels : dict of str to list of Axes
        By kind.
    """
    across = min(2 if narrow() else 4, max(numbers.values()))
    lines = {kind: -(-number // across) for kind, number in numbers.items()}
    total = sum(lines.values())
    figure = plt.figure(figsize=(page_width(), min(1.75 * total, TALLEST)), layout="constrained")
    grid = figure.add_gridspec(total, across)
    panels: dict[str, list[Axes]] = {}
    line, first = 0, None
    for kind, number in numbers.items():
        panels[kind] = []
        for place in range(number):
            axes = figure.add_subplot(
                grid[line + place // across, place % across],
                sharex=panels[kind][0] if place else None,
                sharey=first if sharey else None,
            )
            first = first or axes
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            panels[kind].append(axes)
        line += lines[kind]
    return figure, panels
