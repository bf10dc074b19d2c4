"""FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.attacks.interface import Attacked
    from sat.models.classifier import Classifier

UNIT = Attack(summary="one step of size eps", norm="linf", independent=True, cost=1)


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with FGSM: one step of size eps along the gradient's sign (Goodfellow et al., ICLR 2015).

    Parameters, result and errors are those of `sat.attacks.lattice.ascend`.
    """
    from sat.attacks.lattice import ascend

    return ascend(classifier, images, labels, eps=eps, step=eps, steps=1, device=device)
