"""The style of all figures: SVG, with the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

# A matplotlibrc of the user, or of the folder in which Snakemake runs, changes no figure.
matplotlib.rcdefaults()
matplotlib.use("Agg")
# Names and groups are text: a $ in them starts no formula.
matplotlib.rcParams["text.parse_math"] = False
STYLE: Any = {
    "svg.hashsalt": "sat",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "figure.dpi": 100,
}
BLUE, GREY = "#3b6fb6", "#8a8a8a"
OF = {"sat": BLUE, "affinity": "#d07c1f"}
"""Colours of what is drawn, where SAT and affinity stand side by side."""


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def colours(groups: pd.Series) -> dict[str, tuple[float, float, float]]:
    """Assign a colour to each value, in alphabetical order."""
    names = sorted(groups.unique())
    return dict(zip(names, sns.color_palette("tab10" if len(names) <= 10 else "husl", len(names)), strict=True))


def nothing_to_draw(reason: str) -> Figure:
    """Make a figure that says why nothing is drawn."""
    figure, axes = plt.subplots(figsize=(6, 2), layout="constrained")
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", transform=axes.transAxes)
    return figure
