"""Steps of a given length within an L2 ball, in fractions of grey levels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.attacks.gradient import SMALLEST, loss_gradient
from sat.attacks.interface import Attacked, Draws
from sat.attacks.rounding import attacked
from sat.models.batches import padded
from sat.models.classifier import Classifier, to_unit


def ascend(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: float,
    step: float,
    steps: int,
    start: NDArray[np.floating] | None = None,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch by steps along the gradient; keep the last iterate, without early stopping.

    A step is ``d <- d + step * gradient / |gradient|``. Where d is longer than eps, it
    is shortened to eps. Then ``d <- clip(x + d) - x``. Steps are in fractions of grey
    levels, and the result is rounded at the end (`sat.attacks.rounding`).

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    eps, step : float
        L2 norms in grey levels.
    steps : int
    start : float array, shape (n, 3, S, S), optional
        Perturbation to start from, in grey levels; zero by default.
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    FloatingPointError
        If a gradient is not finite.
    """
    clean = to_unit(padded(images).to(device))
    target = padded(np.asarray(labels, np.int64)).to(device)
    change = torch.zeros_like(clean)
    if start is not None:
        given = padded(start.astype(np.float32)).to(device, memory_format=torch.channels_last)
        change = _into_ball(clean, given / 255, eps / 255)
    zero = torch.zeros(len(clean), dtype=torch.int64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    for _ in range(steps):
        gradient = loss_gradient(classifier, clean + change, target)
        length = _length(gradient)
        zero += length.flatten() == 0
        finite &= gradient.isfinite().all()
        change = _into_ball(clean, change + step / 255 * gradient / length.clamp_min(SMALLEST), eps / 255)
    if not finite:
        raise FloatingPointError("a gradient is not finite")
    zeros = zero[: len(images)].cpu().numpy()
    return attacked(classifier, images, labels, clean + change, zeros, eps=eps, norm="l2", device=device)


def _into_ball(clean: Tensor, change: Tensor, eps: float) -> Tensor:
    shorter = change * (eps / _length(change).clamp_min(SMALLEST)).clamp_max(1)
    return (clean + shorter).clamp(0, 1) - clean


def _length(change: Tensor) -> Tensor:
    # Squares of small gradients would vanish in single precision.
    return change.double().square().sum((1, 2, 3), keepdim=True).sqrt().float()


def random_start(draws: Draws, shape: tuple[int, ...], eps: float) -> NDArray[np.float32]:
    """Draw perturbations of random direction, whose length is uniform from 0 to eps.

    Parameters
    ----------
    draws : Draws
    shape : tuple of int
        Shape of one image.
    eps : float
        Radius of the ball in grey levels.

    Returns
    -------
    float32 array, shape (n, *shape)
        Perturbations in grey levels.
    """

    def draw() -> NDArray[np.float32]:
        starts = np.empty((len(draws.ids), *shape), np.float32)
        for start, random in zip(starts, draws.generators("random start in L2"), strict=True):
            direction = random.standard_normal(shape, np.float32)
            start[:] = direction * (random.uniform(0, eps) / np.linalg.norm(direction))
        return starts

    return draws.once(("random start in L2", shape, eps), draw)
