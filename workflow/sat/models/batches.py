"""Batches of images: whole slices of 16, and smaller batches if the GPU's memory does not hold them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.errors import SatError
from sat.models.precision import deterministically

SLICE = 16
"""Batch sizes are multiples of this number. Gradients from batches of 1, 7 or 15 differ from others in the last bits,
while those from batches of 16, 32, 64, ... agree."""
Result = TypeVar("Result")


@dataclass
class Batch:
    """The number of images that a model sees at once; it is halved when they do not fit."""

    size: int
    """Number of images, a multiple of 16."""
    on_halve: Callable[[int], None] = lambda size: None
    """Function that is called with the new size."""

    def halve(self) -> None:
        """Go on with half as many images.

        Raises
        ------
        SatError
            If the size is 16 already.
        """
        if self.size <= SLICE:
            raise SatError(
                f"the GPU's memory does not hold {SLICE} images of this model at once; use a larger GPU, or "
                "one that runs nothing else."
            )
        self.size = max(SLICE, self.size // 2 // SLICE * SLICE)
        logging.getLogger("sat").warning("the GPU's memory is full; going on with %d images at once", self.size)
        self.on_halve(self.size)


def in_batches(
    count: int, batch: Batch, work: Callable[[slice], Result], start: int = 0
) -> Iterator[tuple[slice, Result]]:
    """Work through images in batches; a batch that does not fit into the GPU's memory is halved.

    Parameters
    ----------
    count : int
        Number of images.
    batch : Batch
    work : callable
        Function that is called with the slice of a batch.
    start : int
        Number of the first image.

    Yields
    ------
    slice
        The slice of images.
    Result
        What `work` returned for it.
    """
    while start < count:
        where = slice(start, min(start + batch.size, count))
        try:
            result = deterministically(partial(work, where))
        except torch.cuda.OutOfMemoryError:
            full = True
        else:
            full = False
        # This is outside of the handler, because the error keeps the memory that did not fit alive.
        if full:
            batch.halve()
            torch.cuda.empty_cache()
            continue
        yield where, result
        start = where.stop


def padded(array: NDArray[Any]) -> Tensor:
    """Turn an array into a Tensor, and repeat its last item until the length is a multiple of 16."""
    padding = -len(array) % SLICE
    if padding:
        array = np.concatenate([array, np.repeat(array[-1:], padding, axis=0)])
    return torch.from_numpy(np.ascontiguousarray(array))
