"""Texts for a terminal of 80 columns: wrapped lines, aligned columns, shortened names."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

WIDTH = 80
"""Columns of a terminal."""
LOW_WHITEBOX = (
    "the attack fails on many of the model's own images, so its rates as a source depend on the attack's settings"
)
"""What low white-box success means, wherever it is said."""


def opening(words: str) -> str:
    """Write words as the first of a sentence."""
    return words[:1].upper() + words[1:]


def shortened(name: str, letters: int) -> str:
    """A name of at most so many letters; a long one loses its middle, and keeps more of its start than of its end."""
    if len(name) <= letters:
        return name
    tail = letters // 4
    return f"{name[: letters - 1 - tail]}…{name[len(name) - tail :]}"


def wrapped(text: str, indent: str = "", following: str | None = None) -> list[str]:
    """Wrap a text, with no break at a non-breaking space; a word that is longer than a line is shortened.

    Absolute paths stay whole, since they are there to be copied.

    Parameters
    ----------
    text : str
    indent : str
        Start of the first line.
    following : str, optional
        Start of the other lines; the same by default.
    """
    following = indent if following is None else following
    room = WIDTH - max(len(indent), len(following))
    words = " ".join(word if word.lstrip("(").startswith("/") else shortened(word, room) for word in text.split(" "))
    lines = wrap(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=following,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def columns(rows: Sequence[Sequence[str]], names: Sequence[int] = (), right: Sequence[int] = ()) -> list[str]:
    """Align cells below each other, in lines of at most 80 letters.

    Parameters
    ----------
    rows : sequence of sequence of str
    names : sequence of int
        Columns whose cells may be shortened, equally, where a line is too long.
    right : sequence of int
        Columns that are aligned on their right.
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    # The last column has no space behind it, so it does not count unless it is long.
    while names and 2 + sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widest = max(names, key=widths.__getitem__)
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    lines = []
    for row in rows:
        aligned = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = shortened(cell, width) if place in names else cell
            aligned.append(f"{text:>{width}}" if place in right else f"{text:<{width}}")
        lines.append(("  " + "  ".join(aligned)).rstrip())
    return lines


def duration(seconds: float) -> str:
    """Put seconds into words. A negative number, from a clock that is a little behind, counts as 0."""
    seconds = max(0.0, seconds)
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 1440:.1f} days"


def size(count: float) -> str:
    """Put a number of bytes into words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"
