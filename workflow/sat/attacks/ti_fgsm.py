"""TI-FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from sat.attacks.settings import Momentum
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sat.attacks.gradient import Model
    from sat.attacks.interface import Attacked
    from sat.models.classifier import Classifier


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a kernel has a middle, so write {value - 1} or {value + 1}")
    return value


class Settings(Momentum):
    """Keys of the config's section `attack`."""

    kernel: Annotated[int, Field(ge=1), AfterValidator(_odd)] = 15
    """Side of the Gaussian kernel in pixels, an odd number: 15 in the paper, at 299 px. With 1, gradients stay as they
    are."""


UNIT = Attack(
    summary="momentum, and smoothed gradients", norm="linf", settings=Settings, independent=True, cost="steps"
)


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    momentum: float,
    kernel: int,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with TI-FGSM: gradients are smoothed, as if by shifts of the image (Dong et al., CVPR 2019).

    The kernel is a Gaussian that is cut off at three standard deviations. With a
    kernel of one pixel, it is MI-FGSM. Parameters, result and errors are those of
    `sat.attacks.lattice.ascend`.
    """
    import torch
    import torch.nn.functional as F

    from sat.attacks.gradient import loss_gradient
    from sat.attacks.lattice import ascend

    place = torch.linspace(-3, 3, kernel) if kernel > 1 else torch.zeros(1)
    bell = (-place.square() / 2).exp().to(device)
    weight = (torch.outer(bell, bell) / bell.sum().square()).repeat(3, 1, 1, 1)

    def gradient_of(model: Model, unit: Tensor, target: Tensor) -> Tensor:
        return F.conv2d(loss_gradient(model, unit, target), weight, padding="same", groups=3)

    return ascend(
        classifier,
        images,
        labels,
        eps=eps,
        step=step,
        steps=steps,
        momentum=momentum,
        gradient_of=gradient_of,
        device=device,
    )
