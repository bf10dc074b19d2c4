"""Batches of images: whole slices of 16, and fewer at once where the GPU's memory does not hold them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.errors import SatError

SLICE = 16
"""Batches are whole multiples of this. Gradients differ in the last bits between
batches of 1, 7 or 15 and others, and agree between 16, 32, 64, ..."""
Result = TypeVar("Result")


@dataclass
class Batch:
    """How many images a model sees at once; halves when they do not fit."""

    size: int
    """A multiple of 16."""
    on_halve: Callable[[int], None] = lambda size: None
    """Gets the new size."""

    def halve(self) -> None:
        """Go on with half as many.

        Raises
        ------
        SatError
            If there are 16 only.
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
    """Work through images in batches; one that does not fit into the GPU's memory is cut.

    Parameters
    ----------
    count : int
        Number of images.
    batch : Batch
    work : callable
        Gets the slice of a batch.
    start : int
        First image.

    Yields
    ------
    slice
        Of the images.
    Result
        What `work` made of it.
    """
    while start < count:
        where = slice(start, min(start + batch.size, count))
        try:
            result = work(where)
        except torch.cuda.OutOfMemoryError:
            full = True
        else:
            full = False
        # Outside of the handler: the error holds on to what did not fit.
        if full:
            batch.halve()
            torch.cuda.empty_cache()
            continue
        yield where, result
        start = where.stop


def padded(array: NDArray[Any]) -> Tensor:
    """An array as a Tensor, its last item repeated until the length is a multiple of 16."""
    padding = -len(array) % SLICE
    if padding:
        array = np.concatenate([array, np.repeat(array[-1:], padding, axis=0)])
    return torch.from_numpy(np.ascontiguousarray(array))
