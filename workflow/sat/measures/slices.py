"""Slices of images, so that no measure needs all of an array in memory at once."""

from __future__ import annotations

from collections.abc import Iterator


def slices(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of n images.

    Parameters
    ----------
    n : int
    size : int
        Images of a slice; the last one may have fewer.
    """
    return (slice(first, min(first + size, n)) for first in range(0, n, size))
