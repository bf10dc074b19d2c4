"""PGD within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat.attacks.settings import RandomStart, Steps
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.attacks.interface import Attacked, Draws
    from sat.models.classifier import Classifier


class Settings(RandomStart, Steps):
    """Keys of the config's section `attack`."""


UNIT = Attack(
    summary="projected gradient descent",
    norm="linf",
    settings=Settings,
    seeded=True,
    independent=True,
    cost="steps",
)


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    random_start: bool,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with L-infinity PGD; keep the last iterate, without early stopping.

    The attack is that of Madry et al. (ICLR 2018), with the lattice of Carlini & Wagner.
    Parameters, result and errors are those of `sat.attacks.lattice.ascend`.
    """
    from sat.attacks import lattice

    start = lattice.random_start(draws, images.shape[1:], eps) if random_start else None
    return lattice.ascend(classifier, images, labels, eps=eps, step=step, steps=steps, start=start, device=device)


def ahead(draws: Draws, shape: tuple[int, ...], *, eps: int, random_start: bool, **_: object) -> None:
    """Draw the random start of a batch."""
    from sat.attacks import lattice

    if random_start:
        lattice.random_start(draws, shape, eps)
