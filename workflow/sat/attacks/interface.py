"""What an attack gets to draw random numbers with, and what it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat.seeds import generator, key


@dataclass(frozen=True)
class Draws:
    """Random numbers for each image of a batch, keyed by seed, image and model.

    An image's place in the batch and its neighbours play no part.
    """

    ids: NDArray[np.integer]
    """Ids of the batch's images, shape (n,)."""
    seed: int
    """Seed of the study."""
    model: str
    """Name of the attacked model."""

    def generators(self, purpose: str) -> Iterator[np.random.Generator]:
        """A generator for each image, in order.

        Parameters
        ----------
        purpose : str
            What the numbers are for, in words; another purpose gives other numbers.
        """
        return (generator(purpose, self.seed, int(image), self.model) for image in self.ids)

    def keys(self, purpose: str) -> NDArray[np.uint64]:
        """A whole number for each image, to seed a library with: uint64 array, shape (n,)."""
        return np.array([key(purpose, self.seed, int(image), self.model) % 2**64 for image in self.ids], np.uint64)


@dataclass(frozen=True)
class Attacked:
    """What an attack on a batch of images gives."""

    perturbation: NDArray[np.int8] | NDArray[np.int16]
    """Grey levels, shape (n, 3, S, S); never beyond eps, never out of 0 to 255 on its image."""
    fooled: NDArray[np.bool_]
    """Whether the attacked model itself errs, shape (n,)."""
    zero_gradients: NDArray[np.int64]
    """Number of steps in which the gradient was zero everywhere, shape (n,)."""
    fooled_unrounded: NDArray[np.bool_] | None = None
    """Whether it erred before the perturbation was rounded to grey levels, shape (n,); None where nothing was."""
