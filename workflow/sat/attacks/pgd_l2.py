"""PGD within an L2 ball."""

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
    norm="l2",
    settings=Settings,
    seeded=True,
    independent=True,
    lattice=False,
    cost="steps",
)


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: float,
    step: float,
    steps: int,
    random_start: bool,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with L2 PGD; keep the last iterate, without early stopping (Madry et al., ICLR 2018).

    Parameters, result and errors are those of `sat.attacks.l2.ascend`.
    """
    from sat.attacks import l2

    start = l2.random_start(draws, images.shape[1:], eps) if random_start else None
    return l2.ascend(classifier, images, labels, eps=eps, step=step, steps=steps, start=start, device=device)


def ahead(draws: Draws, shape: tuple[int, ...], *, eps: float, random_start: bool, **_: object) -> None:
    """Draw the random start of a batch."""
    from sat.attacks import l2

    if random_start:
        l2.random_start(draws, shape, eps)
