"""A square heat map of models: cells as one image, one tree, names of rows or, where these have no room, of blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cut_tree, dendrogram

from sat.report.page import LETTER, LINE, NOTE, SMALLEST, TITLE, name_rows, short, shorts, wrapped
from sat.report.style import INK, TALLEST, UNKNOWN, family_colours, family_words, narrow, page_width

BLOCKS = 12
"""Largest number of blocks that are named."""
WRITTEN = 13.0
"""Smallest side of a cell in points in which its value is written."""
MARKED = 3.0
"""Smallest side of a cell in points in which a corner can be seen."""


@dataclass(frozen=True)
class Block:
    """Neighbouring rows under one name."""

    start: int
    size: int
    name: str


def tree_blocks(tree: NDArray[np.float64], order: Sequence[int], groups: Sequence[str]) -> list[Block]:
    """Cut a tree into a few branches, and name each by its size and its most common group.

    Parameters
    ----------
    tree : float array, shape (n - 1, 4)
        Linkage.
    order : sequence of int
        Order of the leaves.
    groups : sequence of str
        Group of every leaf by its number, such as the family.

    Returns
    -------
    list of Block
        In the order of the rows.
    """
    least = max(2, round(0.03 * len(order)))
    best: list[Block] = []
    # Branches grow apart one by one from the root. Those of a few rows have no name.
    for branches in cut_tree(tree, n_clusters=range(2, min(len(order), 6 * BLOCKS))).T:
        found, start = [], 0
        for _, rows in groupby(order, branches.__getitem__):
            members = list(rows)
            if len(members) >= least:
                found.append(Block(start, len(members), _name(members, groups)))
            start += len(members)
        if len(best) < len(found) <= BLOCKS:
            best = found
    return best


def _name(members: Sequence[int], groups: Sequence[str]) -> str:
    group, count = Counter(groups[leaf] for leaf in members).most_common(1)[0]
    return f"{len(members)}: {short(group or UNKNOWN, 12)}, {100 * count / len(members):.0f} %"


def draw_tree(axes: Axes, tree: NDArray[np.float64]) -> list[int]:
    """Draw a tree whose leaves lie on the right at 0.5, 1.5, ...; the order of the leaves is returned, top first.

    The branches are one collection of lines, so that a tree of 200 models is as small as one of 12.
    """
    drawn = dendrogram(tree, no_plot=True)
    # scipy puts leaves at 5, 15, ...
    lines = [np.column_stack([d, np.array(i) / 10]) for i, d in zip(drawn["icoord"], drawn["dcoord"], strict=True)]
    axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.6, capstyle="round"))
    axes.set(xlim=(1.02 * tree[:, 2].max(), 0), ylim=(len(tree) + 1, 0))
    order: list[int] = drawn["leaves"]
    return order


def heat_map(
    values: NDArray[np.float64],
    names: Sequence[str],
    families: Sequence[str],
    tree: NDArray[np.float64],
    *,
    answer: str,
    notes: Sequence[str],
    label: str,
    colours: Mapping[str, Any],
    marked: NDArray[np.bool_] | None = None,
    mark: str = "",
    pale: NDArray[np.bool_] | None = None,
) -> Figure:
    """Draw a symmetric matrix in the order of a tree.

    Parameters
    ----------
    values : float array, shape (n, n)
    names, families : sequence of str
        Name and family of each row.
    tree : float array, shape (n - 1, 4)
        Linkage that gives the order.
    answer : str
        Title.
    notes : sequence of str
        Small print below the title.
    label : str
        Name of the colour scale.
    colours : mapping
        cmap, vmin and vmax.
    marked : bool array, shape (n, n), optional
        Cells with a dark corner.
    mark : str
        What the corner means; the small print says it.
    pale : bool array, shape (n, n), optional
        Cells in paler colours.

    Returns
    -------
    Figure
    """
    n, width = len(names), 72 * page_width()
    colour, words = family_colours(families), family_words(families)
    branches, strip, gap = (0.07 * width, 5.0, 2.0)
    left = branches + strip + 2 * gap + 2
    # The side depends on the names, whose size depends on the side; two rounds settle it.
    side, letters = width - left - 40, 0.0
    for _ in range(3):
        size = min(6.5, 0.92 * side / n)
        longest = max(map(len, shorts(names)))
        letters = LETTER * size * longest + 6 if size >= SMALLEST else 0
        right = letters or 78.0
        side = width - left - right
    if mark:
        # Corners that are too small to be seen are not explained, but counted.
        notes = [*notes, f"{'◥ ' if (width - left - 90) / n >= MARKED else ''}{mark}"]
    small = [line for note in notes if note for line in wrapped(note, NOTE, width - 6)]
    big = wrapped(answer, TITLE, width - 6)
    top = TITLE * LINE * len(big) + NOTE * LINE * len(small) + 8
    scale = 24.0
    handles = [Patch(color=colour[one], label=words[one]) for one in {words[one]: one for one in colour}.values()]
    across = 3 if narrow() else 6
    bottom = (letters or 4) + 9 * (-(-len(handles) // across) + 1) + 8
    height = top + scale + side + bottom
    # A page is no taller; the map becomes smaller then.
    if height > 72 * TALLEST:
        side -= height - 72 * TALLEST
        height = 72 * TALLEST
    figure = plt.figure(figsize=(width / 72, height / 72))

    def place(x: float, y: float, w: float, h: float) -> Axes:
        """Axes at a place in points, from the upper left corner."""
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    y = top + scale
    stems = place(2, y, branches, side)
    order = draw_tree(stems, tree)
    stems.set_axis_off()
    strips = place(2 + branches + gap, y, strip, side)
    strips.imshow([[to_rgb(colour[families[leaf]])] for leaf in order], aspect="auto", interpolation="nearest")
    strips.set_axis_off()
    axes = place(left, y, side, side)
    shown = values[np.ix_(order, order)]
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", **colours)
    if pale is not None:
        image.set_alpha(np.where(pale[np.ix_(order, order)], 0.5, 1.0))
    axes.set_facecolor("0.88")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=2, labelright=True, labelleft=False)
    pitch = side / n
    sorted_names = [names[leaf] for leaf in order]
    if name_rows(axes, sorted_names, pitch):
        name_rows(axes, sorted_names, pitch, "x")
    else:
        name_blocks(axes, tree_blocks(tree, order, families), n)
        axes.set_xticks([])
    corners = None if marked is None else marked[np.ix_(order, order)]
    if corners is not None and pitch >= MARKED:
        mark_cells(axes, corners)
    if pitch >= WRITTEN:
        texts = np.array([["" if np.isnan(x) else f"{round(x, 1) + 0.0:.1f}" for x in row] for row in shown])
        write_cells(axes, shown, texts, image, min(6.0, 0.36 * pitch))
    bar = place(left, top + 10, min(side, 150), 5)
    # A model with itself may lie beyond the scale, which is that of pairs.
    beyond = "max" if np.nanmax(shown) > colours["vmax"] else "neither"
    figure.colorbar(image, cax=bar, orientation="horizontal", extend=beyond)
    bar.tick_params(labelsize=5.5, length=2, pad=1)
    bar.set_title(label, fontsize=6, pad=2)
    bar.title.set_position((0, 1))
    figure.text(3 / width, 1 - 2 / height, "\n".join(big), fontsize=TITLE, weight="bold", va="top")
    under = 1 - (2 + TITLE * LINE * len(big)) / height
    figure.text(3 / width, under, "\n".join(small), fontsize=NOTE, va="top", color="0.25")
    figure.legend(
        handles=handles,
        title="family (strip beside the rows)",
        ncols=min(across, len(handles)),
        loc="lower left",
        bbox_to_anchor=(2 / width, 1 / height),
        alignment="left",
        borderaxespad=0.0,
    )
    return figure


def name_blocks(axes: Axes, blocks: Sequence[Block], n: int, reach: float = 0.03, square: bool = True) -> None:
    """Write the names of blocks to the right of the axes, and draw white lines between blocks.

    Parameters
    ----------
    axes : Axes
        Rows at 0, 1, ..., the first on top.
    blocks : sequence of Block
    n : int
        Number of rows.
    reach : float
        How far the names stand off, in widths of the axes.
    square : bool
        Whether the columns have the same blocks.
    """
    ends = {end - 0.5 for block in blocks for end in (block.start, block.start + block.size)}
    for border in sorted(ends - {-0.5, n - 0.5}):
        axes.axhline(border, color="white", linewidth=0.4)
        if square:
            axes.axvline(border, color="white", linewidth=0.4)
    figure = axes.get_figure(root=True)
    assert figure is not None
    # A block of few rows would write over its neighbours, so names keep a distance, and a line joins each to its rows.
    points = 72 * axes.get_window_extent().height / figure.dpi
    least = 7.5 * n / points
    wanted = [block.start + block.size / 2 - 0.5 for block in blocks]
    for at, middle in zip(spread(wanted, least, -0.5, n - 0.5), blocks, strict=True):
        line = [(1.0, middle.start + middle.size / 2 - 0.5), (1 + reach, at)]
        axes.plot(*zip(*line, strict=True), transform=axes.get_yaxis_transform(), color="0.5", lw=0.5, clip_on=False)
        axes.text(1 + 1.15 * reach, at, middle.name, transform=axes.get_yaxis_transform(), fontsize=5.5, va="center")
    axes.set_yticks([])


def spread(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move sorted places apart until each is at least so far from the next, within bounds where that is possible."""
    places = list(wanted)
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + least)
    if places and places[-1] > high - least / 2:
        places[-1] = high - least / 2
        for number in range(len(places) - 2, -1, -1):
            places[number] = min(places[number], places[number + 1] - least)
    return [max(low, place) for place in places]


def mark_cells(axes: Axes, marked: NDArray[np.bool_]) -> None:
    """Draw a triangle into the upper right corner of cells, with a white edge so that it is seen on every colour."""
    rows, columns = np.nonzero(marked)
    corner = np.array([(0.15, -0.5), (0.5, -0.5), (0.5, -0.15)])
    triangles = [corner + np.array([column, row]) for row, column in zip(rows, columns, strict=True)]
    axes.add_collection(
        PolyCollection(triangles, facecolors=INK, edgecolors="white", linewidths=0.3, rasterized=len(triangles) > 200)
    )


def write_cells(axes: Axes, values: NDArray[np.float64], texts: NDArray[Any], image: AxesImage, size: float) -> None:
    """Write texts into cells, dark on light and light on dark."""
    for (row, column), text in np.ndenumerate(texts):
        if text:
            red, green, blue, _ = image.cmap(image.norm(values[row, column]))
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
            colour = INK if light else "white"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
