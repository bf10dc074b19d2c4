"""The style of all figures: two sizes of paper, fonts, palettes, and files with the same bytes for the same numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

Width = Literal["one", "two"]
WIDTHS: dict[Width, float] = {"one": 3.25, "two": 6.875}
"""Width of one and of two columns, in inches: the narrowest of common journals, so no figure is ever scaled down."""
TALLEST = 8.8
"""Largest height of a figure, in inches: what is left of a page above a caption."""
FORMATS = ("svg", "pdf", "png")
DPI = 300
"""Dots per inch of what is rasterised, and of PNG files."""

# A matplotlibrc of the user, or of the folder in which Snakemake runs, changes no figure.
matplotlib.rcdefaults()
matplotlib.use("Agg")
# It reports every font table of a PDF.
logging.getLogger("fontTools").setLevel(logging.WARNING)
STYLE: Any = {
    "figure.figsize": (WIDTHS["two"], 3.0),
    "figure.dpi": 100,
    "savefig.dpi": DPI,
    "svg.hashsalt": "sat",
    "svg.fonttype": "none",
    # Type 42 fonts stay text in a PDF; many journals refuse the default.
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 6.5,
    "axes.titlesize": 7,
    "axes.titlelocation": "left",
    "axes.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6,
    "legend.title_fontsize": 6,
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.5,
    # Names and groups are text: a $ in them starts no formula.
    "text.parse_math": False,
}
matplotlib.rcParams.update(STYLE)

INK, GREY, PALE = "#22262e", "#8a8a8a", "#c4c4c4"
BLUE, RED = "#2f6db3", "#c2452d"
OF = {"sat": BLUE, "affinity": "#d07c1f"}
"""Colours of what is drawn, where SAT and affinity stand side by side."""
CLUSTERS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#832db6",
    "#92dadd",
    "#a96b59",
    "#22262e",
    "#e76300",
    "#b9ac70",
    "#008796",
)
"""Colours of clusters, and of nothing else. Most are of M. Petroff, Accessible color sequences (2021)."""
FAMILIES = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499")
"""Colours of families and other groups in the model table, and of nothing else: Paul Tol's muted scheme."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Shapes of families, so that nobody needs to tell nine colours apart."""
OTHERS, UNKNOWN = "other families", "unknown"
CERTAIN = 0.05
"""Largest p of what is drawn filled, and of what a title calls a relation."""


@contextmanager
def paper(width: Width) -> Iterator[None]:
    """Draw the figures of a ``with`` block at the width of one or of two columns."""
    size: Any = {"figure.figsize": (WIDTHS[width], 3.0)}
    with matplotlib.rc_context(size):
        yield


def page_width() -> float:
    """Width of the figures that are drawn now, in inches."""
    return float(matplotlib.rcParams["figure.figsize"][0])


def narrow() -> bool:
    """Whether figures are drawn at the width of one column."""
    return page_width() < (WIDTHS["one"] + WIDTHS["two"]) / 2


def save(figure: Figure, path: Path, kind: str = "svg") -> None:
    """Write a figure in its own size and without a date, and close it.

    Parameters
    ----------
    figure : Figure
    path : Path
    kind : {'svg', 'pdf', 'png'}
    """
    dateless: Mapping[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind, {})
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, format=kind, metadata=dateless)
    plt.close(figure)


def cluster_colours(numbers: Iterable[int]) -> dict[int, str]:
    """Assign a colour to every cluster by its number, which is drawn beside it; colours repeat after ten."""
    return {number: CLUSTERS[(number - 1) % len(CLUSTERS)] for number in sorted(set(numbers))}


def family_colours(groups: Iterable[str]) -> dict[str, str]:
    """Assign a colour to the most common groups, at most nine of them; the others are grey.

    Returns
    -------
    dict of str to str
        By group, in alphabetical order; then the grey ones.
    """
    named, rest = _common(groups)
    return dict(zip(named, FAMILIES, strict=False)) | dict.fromkeys(rest, PALE)


def family_markers(groups: Iterable[str]) -> dict[str, str]:
    """Assign a shape to every group; those without a colour of their own share a star."""
    named, rest = _common(groups)
    return dict(zip(named, MARKERS, strict=False)) | dict.fromkeys(rest, "*")


def family_words(groups: Iterable[str]) -> dict[str, str]:
    """Name every group in a legend; those without a colour of their own have one name."""
    named, rest = _common(groups)
    return {name: name or UNKNOWN for name in named} | dict.fromkeys(rest, f"{len(rest)} {OTHERS}")


def _common(groups: Iterable[str]) -> tuple[list[str], list[str]]:
    """Groups with a colour of their own, and the others, each in alphabetical order."""
    counts = pd.Series(list(groups), dtype=object).value_counts()
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    # One group that is left would take a grey of its own, so nine colours do for nine groups, and eight for more.
    own = len(FAMILIES) if len(order) <= len(FAMILIES) else len(FAMILIES) - 1
    return sorted(order[:own]), sorted(order[own:])
