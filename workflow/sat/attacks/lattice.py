"""Steps on the lattice of grey levels within an L-infinity ball, which PGD and the FGSM family share.

The state is an integer perturbation. So the same tensor is attacked, stored and
evaluated, and the bound is exact by construction.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.attacks.gradient import SMALLEST, Gradient, loss_gradient
from sat.attacks.interface import Attacked, Draws
from sat.models.batches import padded
from sat.models.classifier import Classifier
from sat.models.feed import line_to


def ascend(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    start: NDArray[np.integer] | None = None,
    momentum: float | None = None,
    gradient_of: Gradient = loss_gradient,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch by steps along the gradient's sign; keep the last iterate, without early stopping.

    A step is ``d <- clip(d + step * sign(gradient), -eps, eps)``, and then
    ``d <- clip(x + d, 0, 255) - x``. The model sees ``(x + d) / 255``. The loss
    is the sum of the cross-entropies, so an image's gradient does not depend on
    its neighbours.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    eps, step : int
        Radius of the ball and step size, in grey levels.
    steps : int
    start : int array, shape (n, 3, S, S), optional
        Perturbation to start from, in grey levels; zero by default.
    momentum : float, optional
        If it is given, a step follows the sign of the accumulated gradient of each
        image, ``g <- momentum * g + gradient / |gradient|_1``.
    gradient_of : Gradient, optional
        Function of classifier, images and classes that gives the gradient; called once
        a step. That of the loss by default.
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    FloatingPointError
        If a gradient is not finite.
    """
    count = len(images)
    # Whole numbers up to 255 are exact in float32. So the attacked images are kept as floats, in the memory layout of
    # the gradient, and each step changes them in place: nothing is widened, rearranged or allocated. The ball and the
    # range of grey levels are one interval for each value.
    clean = _levels(images, device)
    lowest, highest = (clean - eps).clamp_(0, 255), (clean + eps).clamp_(0, 255)
    target = padded(np.asarray(labels, np.int64)).to(device, non_blocking=True)
    attacked = clean.clone() if start is None else _levels(start, device).add_(clean).clamp_(lowest, highest)
    unit = torch.empty_like(clean)
    zero = torch.zeros(len(clean), dtype=torch.int64, device=device)
    greatest = torch.zeros(len(clean), device=device)
    gathered = torch.zeros((), device=device)
    for _ in range(steps):
        torch.div(attacked, 255, out=unit)
        gradient = gradient_of(classifier, unit.detach(), target)
        # The memory of `unit` is free again. In the order of memory, so that nothing is copied.
        largest = torch.abs(gradient, out=unit).permute(0, 2, 3, 1).flatten(1).amax(1)
        zero += largest == 0
        greatest = torch.maximum(greatest, largest)  # NaN is greater than all numbers
        if momentum is not None:
            size = gradient.abs().sum((1, 2, 3), keepdim=True)
            gathered = momentum * gathered + gradient / size.clamp_min(SMALLEST)
            gradient = gathered
        attacked.add_(torch.sign(gradient, out=unit), alpha=step).clamp_(lowest, highest)
    with torch.no_grad():
        fooled = classifier(torch.div(attacked, 255, out=unit)).argmax(1) != target
    change = (attacked - clean)[:count].to(torch.int8, memory_format=torch.contiguous_format)
    line = line_to(device)
    # All copies begin before the first is waited for.
    waits = [line.fetch(values) for values in (greatest, change, fooled[:count], zero[:count])]
    largest_of_all, *arrays = [wait() for wait in waits]
    if not np.isfinite(largest_of_all).all():
        raise FloatingPointError("a gradient is not finite")
    return Attacked(*arrays)


def _levels(values: NDArray[np.integer], device: str) -> Tensor:
    """Grey levels on the device as floats, channels last; as integers they take a quarter of the way."""
    levels = padded(values).to(device, non_blocking=True)
    return levels.to(torch.float32, memory_format=torch.channels_last)


def random_start(draws: Draws, shape: tuple[int, ...], eps: int) -> NDArray[np.int16]:
    """Draw whole grey levels uniformly from -eps to eps.

    Parameters
    ----------
    draws : Draws
    shape : tuple of int
        Shape of one image.
    eps : int
        Radius of the ball in grey levels.

    Returns
    -------
    int16 array, shape (n, *shape)
    """

    def draw() -> NDArray[np.int16]:
        values = np.empty((len(draws.ids), *shape), np.int16)
        for start, random in zip(values, draws.generators("random start"), strict=True):
            start[...] = random.integers(-eps, eps, shape, np.int16, endpoint=True)
        return values

    return draws.once(("random start", shape, eps), draw)
