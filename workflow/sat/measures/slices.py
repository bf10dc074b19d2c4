"""Slices of images, so that no measure needs a whole array in memory at once."""

from __future__ import annotations

from collections.abc import Iterator


def slices(n: int, size: int) -> Iterator[slice]:
    """Cut n images into consecutive slices.

    Parameters
    ----------
    n : int
    size : int
        Number of images in a slice; the last slice may have fewer.
    """
    return (slice(first, min(first + size, n)) for first in range(0, n, size))
