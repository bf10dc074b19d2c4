"""DI-FGSM within an L-infinity ball, on whole grey levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sat.attacks.settings import Momentum
from sat.study.section import Share
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

    diversity: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Probability that an image is shrunk and padded in a step: 0.5 in the paper."""
    shrink: Share = 0.9
    """Smallest size of a shrunken image, as a share of its own size."""


UNIT = Attack(
    summary="momentum, and images that are shrunk and padded at random",
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
    momentum: float,
    diversity: float,
    shrink: float,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with DI-FGSM: gradients of images that are shrunk and padded at random (Xie et al., CVPR 2019).

    In each step, each image is shrunk with probability `diversity` to a random size
    and padded with zeros at random sides. Sizes are uniform from `shrink` times its
    own to one pixel less than its own. With `diversity` 0, it is MI-FGSM.
    Parameters, result and errors are those of `sat.attacks.lattice.ascend`.
    """
    from sat.attacks.gradient import loss_gradient
    from sat.attacks.lattice import ascend
    from sat.models.batches import padded

    side = images.shape[-1]
    # All steps are drawn at once: a step's numbers depend on its number, and not on how many steps follow.
    numbers = padded(draws.uniform("input diversity", (steps, 4))).to(device)
    step_numbers = iter(numbers.unbind(1))

    def gradient_of(model: Model, unit: Tensor, target: Tensor) -> Tensor:
        applied, size, top, left = next(step_numbers).unbind(1)
        smallest = int(side * shrink)
        sizes = smallest + (size * (side - smallest)).long()
        sizes[applied >= diversity] = side
        free = side - sizes
        down, across = (_placed(side, sizes, (place * (free + 1)).long()) for place in (top, left))
        transform: Callable[[Tensor], Tensor] = lambda unit: down[:, None] @ unit @ across[:, None].mT  # noqa: E731
        return loss_gradient(lambda unit: model(transform(unit)), unit, target)

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


def _placed(side: int, sizes: Tensor, first: Tensor) -> Tensor:
    """Matrices that shrink rows of pixels bilinearly and pad them with zeros, as torch's `interpolate` and `pad` do.

    One matrix product on either side of an image does both, for images of different
    sizes at once, and its gradient is deterministic on a GPU, which that of
    `interpolate` is not.

    Parameters
    ----------
    side : int
        Number of pixels before and after.
    sizes, first : int64 Tensor, shape (n,)
        Number of pixels that the row is shrunk to, and where it then starts.

    Returns
    -------
    float Tensor, shape (n, side, side)
    """
    import torch

    pixel = torch.arange(side, device=sizes.device)
    place = pixel - first[:, None]
    source = ((place + 0.5) * (side / sizes[:, None]) - 0.5).clamp(0, side - 1)
    inside = (place >= 0) & (place < sizes[:, None])
    weights: Tensor = (1 - (source[:, :, None] - pixel).abs()).clamp_min(0) * inside[:, :, None]
    return weights
