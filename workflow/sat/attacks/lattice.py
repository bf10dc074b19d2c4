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
from sat.models.classifier import Classifier, to_unit


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
    # The images have the memory layout of the gradient, so that no step has to rearrange anything.
    clean = padded(images).to(device, torch.int16, memory_format=torch.channels_last)
    target = padded(np.asarray(labels, np.int64)).to(device)
    if start is None:
        change = torch.zeros_like(clean)
    else:
        change = padded(start).to(device, torch.int16, memory_format=torch.channels_last)
        change = _onto_lattice(clean, change, eps)
    zero = torch.zeros(len(clean), dtype=torch.int64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    gathered = torch.zeros((), device=device)
    for _ in range(steps):
        gradient = gradient_of(classifier, to_unit(clean + change), target)
        zero += (gradient == 0).flatten(1).all(1)
        finite &= gradient.isfinite().all()
        if momentum is not None:
            size = gradient.abs().sum((1, 2, 3), keepdim=True)
            gathered = momentum * gathered + gradient / size.clamp_min(SMALLEST)
            gradient = gathered
        change = _onto_lattice(clean, change + step * gradient.sign().to(torch.int16), eps)
    if not finite:
        raise FloatingPointError("a gradient is not finite")
    with torch.no_grad():
        fooled = classifier(to_unit(clean + change)).argmax(1) != target
    return Attacked(
        change[:count].to(torch.int8).cpu().numpy(), fooled[:count].cpu().numpy(), zero[:count].cpu().numpy()
    )


def _onto_lattice(clean: Tensor, change: Tensor, eps: int) -> Tensor:
    return (clean + change.clamp(-eps, eps)).clamp(0, 255) - clean


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
