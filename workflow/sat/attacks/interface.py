"""What an attack draws random numbers from, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.seeds import generator, key


@dataclass(frozen=True)
class Draws:
    """Random numbers for each image of a batch, keyed by seed, image and model.

    They depend neither on an image's place in the batch nor on its neighbours.
    """

    ids: NDArray[np.integer]
    """Ids of the batch's images, shape (n,)."""
    seed: int
    """Seed of the study."""
    model: str
    """Name of the attacked model."""
    _ahead: dict[object, NDArray[Any]] = field(default_factory=dict, compare=False)
    """Numbers that were drawn ahead, while the batch before was attacked, by what they are for."""

    def once(self, what: object, draw: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Draw numbers for the images of the batch, or take them if they were drawn ahead."""
        if what not in self._ahead:
            self._ahead[what] = draw()
        return self._ahead[what]

    def part(self, where: slice) -> Draws:
        """The same random numbers, of some of the images."""
        ahead = {what: numbers[where] for what, numbers in self._ahead.items()}
        return Draws(self.ids[where], self.seed, self.model, ahead)

    def generators(self, purpose: str) -> Iterator[np.random.Generator]:
        """Yield a generator for each image, in order.

        Parameters
        ----------
        purpose : str
            What the numbers are for, in words. Another purpose gives other numbers.
        """
        return (generator(purpose, self.seed, int(image), self.model) for image in self.ids)

    def uniform(self, purpose: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Draw numbers from [0, 1) for each image: float32 array, shape (n, *shape)."""
        drawn = [random.random(shape, np.float32) for random in self.generators(purpose)]
        return np.array(drawn, np.float32).reshape(-1, *shape)

    def keys(self, purpose: str) -> NDArray[np.uint64]:
        """Whole numbers to seed a library with, one for each image: uint64 array, shape (n,)."""
        return np.array([key(purpose, self.seed, int(image), self.model) % 2**64 for image in self.ids], np.uint64)


@dataclass(frozen=True)
class Attacked:
    """What an attack on a batch of images gives."""

    perturbation: NDArray[np.int8] | NDArray[np.int16]
    """Perturbations in grey levels, shape (n, 3, S, S). At most eps, and within 0 to 255 when added to the image."""
    fooled: NDArray[np.bool_]
    """Whether the attacked model itself is fooled, shape (n,)."""
    zero_gradients: NDArray[np.int64]
    """Number of steps in which the gradient was zero everywhere, shape (n,)."""
    fooled_unrounded: NDArray[np.bool_] | None = None
    """Whether it was fooled before the perturbation was rounded to grey levels, shape (n,). None if the attack needs no
    rounding."""
