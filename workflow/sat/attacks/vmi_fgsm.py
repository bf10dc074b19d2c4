"""VMI-FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sat.attacks.settings import Momentum
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sat.attacks.gradient import Model
    from sat.attacks.interface import Attacked, Draws
    from sat.models.classifier import Classifier


class Settings(Momentum):
    """Keys of the config's section `attack`."""

    neighbours: Annotated[int, Field(ge=0)] = 20
    """Number of random points near an image whose gradients are averaged in each step: 20 in the paper."""
    reach: Annotated[float, Field(ge=0)] = 1.5
    """How far these points lie at most, as a multiple of eps: 1.5 in the paper."""


UNIT = Attack(
    summary="momentum, and gradients corrected by those of random neighbours",
    norm="linf",
    settings=Settings,
    seeded=True,
    independent=True,
    cost=lambda settings: int(settings["steps"] * (settings["neighbours"] + 1)),
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
    neighbours: int,
    reach: float,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with VMI-FGSM, MI-FGSM with variance tuning (Wang & He, CVPR 2021).

    A step adds to the gradient how much the mean gradient of the last point's random
    neighbours differed from that point's own. Neighbours are uniform within `reach`
    times eps. Without neighbours, or with `reach` 0, it is MI-FGSM. Parameters, result
    and errors are those of `sat.attacks.lattice.ascend`.
    """
    import numpy as np
    import torch

    from sat.attacks.gradient import loss_gradient
    from sat.attacks.lattice import ascend
    from sat.models.batches import padded

    numbers = [*draws.generators("neighbours")]
    radius = reach * eps / 255
    correction: Tensor | float = 0.0

    def gradient_of(model: Model, unit: Tensor, target: Tensor) -> Tensor:
        nonlocal correction
        own = loss_gradient(model, unit, target)
        tuned = own + correction
        # In the order of an image's own stream: step by step, neighbour by neighbour.
        mean = torch.zeros_like(own) if neighbours else own
        for _ in range(neighbours):
            random = np.stack([number.uniform(-radius, radius, images.shape[1:]) for number in numbers])
            shift = padded(random.astype(np.float32)).to(unit)
            mean = mean + loss_gradient(model, unit.detach() + shift, target) / neighbours
        correction = mean - own
        return tuned

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
