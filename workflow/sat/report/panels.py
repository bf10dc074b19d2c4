"""Small panels side by side, and elements that they share."""

from __future__ import annotations

from math import ceil

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sat.report.style import STYLE


def panel_grid(number: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels, at most four side by side."""
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


def area(number: int) -> float:
    """Area of a point, which is smaller if there are many points."""
    return 22 if number <= 100 else 10 if number <= 1000 else 5


def correlation(value: float, p: float) -> str:
    """Put a rank correlation and its p into words."""
    if np.isnan(value):
        return "no rank correlation to be had"
    return f"rank correlation {value:.2f}, p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}"


def dot(colour: object, label: str) -> Line2D:
    """Make an entry of a legend."""
    return Line2D([], [], color=colour, marker="o", linestyle="", markersize=5, label=label)  # type: ignore[arg-type]
