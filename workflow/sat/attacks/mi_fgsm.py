"""MI-FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat.attacks.settings import Momentum
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.attacks.interface import Attacked
    from sat.models.classifier import Classifier


UNIT = Attack(summary="steps with momentum", norm="linf", settings=Momentum, independent=True, cost="steps")


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    momentum: float,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with MI-FGSM: steps along the sign of accumulated gradients (Dong et al., CVPR 2018).

    The gradient is accumulated for each image separately, and the attack starts
    from the image itself. Parameters, result and errors are those of
    `sat.attacks.lattice.ascend`.
    """
    from sat.attacks.lattice import ascend

    return ascend(classifier, images, labels, eps=eps, step=step, steps=steps, momentum=momentum, device=device)
