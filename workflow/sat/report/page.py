"""What figures of a fixed width share: a title that says the answer, legends, shortened names, blocks of rows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sat.report.style import CERTAIN, GREY, INK, TALLEST, page_width
from sat.report.wording import p_words
from sat.text import shortened

Handles = Sequence[Line2D | Patch]
TITLE, NOTE, SMALLEST = 8.0, 6.0, 4.4
"""Font sizes in points: of the answer, of what is said below it, and the smallest in which a name is written."""
LINE = 1.3
"""Height of a line of text in units of its font size."""
LETTER = 0.58
"""Width of a letter in units of its font size, rather too large than too small."""
LONGEST = 30
"""Letters of a name beside a row; longer ones lose their middle."""


def sheet(height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Make a figure of the current width, with room for panels of a height in inches.

    Returns
    -------
    figure : Figure
    panels : array of Axes, shape (rows, columns)
    """
    size = (page_width(), min(height, TALLEST))
    figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **options)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.03, h_pad=0.03)
    return figure, panels


def head(figure: Figure, answer: str, *notes: str) -> None:
    """Write the answer above the panels, and notes below it in small letters; the figure grows by their height."""
    room = 72 * figure.get_figwidth() - 6
    lines = wrapped(answer, TITLE, room)
    small = [line for note in notes if note for line in wrapped(note, NOTE, room)]
    top = TITLE * LINE * len(lines)
    need = (top + NOTE * LINE * len(small) + 6) / 72
    height = min(figure.get_figheight() + need, TALLEST)
    figure.set_figheight(height)
    place = 1 - 2 / 72 / height
    figure.text(3 / 72 / figure.get_figwidth(), place, "\n".join(lines), fontsize=TITLE, weight="bold", va="top")
    if small:
        below = place - top / 72 / height
        figure.text(3 / 72 / figure.get_figwidth(), below, "\n".join(small), fontsize=NOTE, va="top", color="0.25")
    engine: Any = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, 0, 1, 1 - need / height))


def wrapped(text: str, size: float, room: float) -> list[str]:
    """Break a text into lines that fit into a width in points."""
    letters = max(12, int(room / (LETTER * size)))
    # A name of a number, its value and its per cent stay on one line.
    tied = re.sub(r" (= |< )?(?=-?\d|%)", lambda space: space[0].replace(" ", "\u00a0"), text)
    lines = [line for part in tied.split("\n") for line in textwrap.wrap(part, letters) or [""]]
    return [line.replace("\u00a0", " ") for line in lines]


def legend(figure: Figure, handles: Handles, title: str = "", ncols: int | None = None) -> None:
    """Explain the marks below all panels; the figure grows by the height of the legend."""
    if not handles:
        return
    labels = [str(handle.get_label()).split("\n") for handle in handles]
    longest, tall = max(len(line) for lines in labels for line in lines), max(map(len, labels))
    across = ncols or max(1, min(len(handles), int(72 * figure.get_figwidth() / (LETTER * 6 * longest + 24))))
    height = (0.04 + 0.1 * tall) * -(-len(handles) // across) + 0.16 * bool(title)
    figure.set_figheight(min(TALLEST, figure.get_figheight() + height))
    figure.legend(handles=list(handles), title=title or None, loc="outside lower center", ncols=across)


def legends_below(figure: Figure, foot: Axes, parts: Mapping[str, Handles]) -> None:
    """Write several legends below each other into an empty panel; the figure grows by their height.

    Parameters
    ----------
    figure : Figure
        From `sheet`, with two rows of panels.
    foot : Axes
        The lower panel.
    parts : mapping of str to handles
        By title.
    """
    width = 72 * figure.get_figwidth()
    rows = {}
    for title, handles in parts.items():
        longest = max((len(str(handle.get_label())) for handle in handles), default=1)
        rows[title] = max(1, min(len(handles), int(width / (LETTER * 6 * longest + 22))))
    tall = {title: 11.0 + 8.6 * -(-len(handles) // rows[title]) for title, handles in parts.items()}
    body, total = 72 * figure.get_figheight(), sum(tall.values())
    figure.set_figheight((body + total) / 72)
    grid: Any = foot.get_gridspec()
    grid.set_height_ratios([body, total])
    foot.set_axis_off()
    down = 0.0
    for title, handles in parts.items():
        if before := foot.get_legend():
            # The next legend would take its place.
            foot.add_artist(before)
        box = foot.legend(
            handles=list(handles),
            title=title,
            ncols=rows[title],
            loc="upper left",
            bbox_to_anchor=(0, 1 - down / total),
            alignment="left",
            borderaxespad=0.0,
            labelspacing=0.35,
        )
        box.set_in_layout(False)
        down += tall[title]


def short(name: str, letters: int = LONGEST) -> str:
    """A name that is not longer than so many letters; a long one loses its middle."""
    return shortened(name, letters)


def shorts(names: Iterable[str], letters: int = LONGEST) -> list[str]:
    """Names of at most so many letters, or of as many more as it takes to tell them apart."""
    given = list(names)
    while len({short(name, letters) for name in given}) < len(set(given)):
        letters += 1
    return [short(name, letters) for name in given]


def name_rows(axes: Axes, names: Sequence[str], pitch: float, which: str = "y") -> bool:
    """Write the name of every row or column where the pitch in points leaves room for letters; say whether it does."""
    size = min(6.5, 0.92 * pitch)
    ticks = np.arange(len(names))
    if size < SMALLEST:
        axes.set(**{f"{which}ticks": []})
        return False
    words = shorts(names)
    if which == "y":
        axes.set_yticks(ticks, words, fontsize=size)
    else:
        axes.set_xticks(ticks, words, fontsize=size, rotation=90)
    return True


def dot(colour: str, label: str, marker: str = "o", hollow: bool = False, size: float = 4) -> Line2D:
    """Make an entry of a legend."""
    face = "white" if hollow else colour
    return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=size, mfc=face, label=label)


def whisker(label: str, colour: str = INK) -> Line2D:
    """Make an entry of a legend for an interval."""
    return Line2D([], [], color=colour, linewidth=1, label=label)


def filled(what: str = "p") -> tuple[Line2D, Line2D]:
    """Explain filled and hollow marks."""
    return dot(GREY, f"filled: {what} ≤ {CERTAIN:g}"), dot(GREY, "hollow: larger, or unknown", hollow=True)


def map_side(names: Sequence[str]) -> float:
    """Side of a heat map with names on two sides and a scale, in inches: at most a page's width."""
    return max(1.2, min(page_width() - 0.7 - names_height(names, page_width() - 1.6), 0.36 * len(names) + 0.6))


def names_height(names: Sequence[str], side: float) -> float:
    """Height of upright names below a heat map, in inches; small where rows have no room for names."""
    size = min(6.5, 0.92 * 72 * side / len(names))
    return 0.1 if size < SMALLEST else LETTER * size * max(map(len, shorts(names))) / 72 + 0.05


def relation(value: float, p: float) -> str:
    """Say of a rank correlation whether it shows a relation, and which way.

    A relation is only claimed if p is at most 0.05. Otherwise the text says that none is shown, which does not mean
    that there is none.
    """
    if np.isnan(value):
        return "no rank correlation: too few values, or no variation"
    number = f"\u03c1 = {round(value, 2) + 0.0:.2f}, {p_words(p)}"
    if not p <= CERTAIN:
        return f"no relation shown ({number})"
    return f"{'rises' if value > 0 else 'falls'} with it ({number})"


def nothing_to_draw(reason: str) -> Figure:
    """Make a figure that says why nothing is drawn."""
    figure, ((axes,),) = sheet(0.6)
    axes.set_axis_off()
    lines = wrapped(reason, 6.5, 72 * page_width() - 20)
    axes.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", transform=axes.transAxes)
    return figure


def area(number: int) -> float:
    """Area of a point, which is smaller if there are many points."""
    return 14 if number <= 100 else 6 if number <= 1000 else 2.5
