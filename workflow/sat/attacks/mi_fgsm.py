"""MI-FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sat.attacks.settings import Steps
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.attacks.interface import Attacked
    from sat.models.classifier import Classifier


class Settings(Steps):
    """Keys of the config's section `attack`."""

    momentum: Annotated[float, Field(ge=0)] = 1.0
    """Decay of the gathered gradient: 1 in the paper, 0 forgets all but the last."""


UNIT = Attack(summary="steps with momentum", norm="linf", settings=Settings, cost="steps")


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
    """Attack one batch with MI-FGSM: steps along the sign of gathered gradients (Dong et al., CVPR 2018).

    The gradient is gathered for each image alone, and the attack starts from
    the image itself. Parameters, result and errors are those of
    `sat.attacks.lattice.ascend`.
    """
    from sat.attacks.lattice import ascend

    return ascend(classifier, images, labels, eps=eps, step=step, steps=steps, momentum=momentum, device=device)
