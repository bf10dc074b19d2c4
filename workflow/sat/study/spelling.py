"""Known names that are spelled like an unknown one, for messages. Every job imports this, so it stays light."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Known names that are spelled like another, the closest first.

    Parameters
    ----------
    name : str
    known : iterable of str
    cutoff : float
        Least likeness, from 0 to 1.

    Returns
    -------
    list of str
        Up to three. Case, dashes and spaces make no difference.
    """
    plain: dict[str, str] = {}
    for word in known:
        plain.setdefault(_plain(word), word)
    return [plain[word] for word in get_close_matches(_plain(name), plain, 3, cutoff)]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """The end of a message about an unknown name.

    Parameters
    ----------
    name : str
    known : iterable of str
    otherwise : str
        What is said where nothing is close.
    cutoff : float
        Least likeness, from 0 to 1.
    """
    near = closest(name, known, cutoff)
    return f"did you mean {' or '.join(near)}?" if near else otherwise


def _plain(name: str) -> str:
    return re.sub(r"[-\s]+", "_", name.strip()).casefold()
