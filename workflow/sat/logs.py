"""The log of a command, and its progress."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

log = logging.getLogger("sat")
Item = TypeVar("Item")


def progress(
    items: Iterable[Item], description: str, total: int | None = None, size: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """Show progress: as a bar on a terminal, and as a line from time to time in a log file.

    Parameters
    ----------
    items : iterable
    description : str
    total : int, optional
        Sum of the sizes; the number of items by default.
    size : callable, optional
        Size of an item; 1 by default.

    Yields
    ------
    item
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(desc=description, total=total if total is not None else len(items)) as bar:  # type: ignore[arg-type]
            for item in items:
                yield item
                bar.update(size(item))
        return
    total = total if total is not None else len(items)  # type: ignore[arg-type]
    begun = shown = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if now - shown > 10 or done == total:
            shown = now
            left = (now - begun) / done * (total - done)
            log.info(
                "%s: %d of %d (%.0f %%), %.0f s so far, about %.0f s left",
                description,
                done,
                total,
                100 * done / total,
                now - begun,
                left,
            )
