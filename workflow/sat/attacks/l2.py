"""PGD within an L2 ball, and random perturbations of a given L2 norm."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.attacks.attack import SMALLEST, Attacked, loss_gradient
from sat.attacks.rounding import attacked
from sat.models.batches import padded
from sat.models.classifier import Classifier, to_unit
from sat.seeds import generator


def pgd_l2(
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
    """Attack one batch with L2 PGD; the last iterate, no early stop (Madry et al., ICLR 2018).

    ``d <- d + step * gradient / |gradient|``, shortened to eps where it is
    longer, then ``d <- clip(x + d) - x``: in fractions of grey levels, and
    rounded at the end (`sat.attacks.rounding`).

    Parameters
    ----------
    classifier : Classifier
        Frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    eps, step : float
        L2 norms in grey levels.
    steps : int
    start : float array, shape (n, 3, S, S), optional
        Perturbation to start from, in grey levels; none by default.
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
    # In double precision, where the squares of small gradients do not vanish.
    return change.double().square().sum((1, 2, 3), keepdim=True).sqrt().float()


def random_start_l2(
    ids: NDArray[np.integer], shape: tuple[int, ...], eps: float, seed: int, model: str
) -> NDArray[np.float32]:
    """Perturbations of any direction, and of a length uniform from 0 to eps; keyed by seed, image and model.

    Parameters
    ----------
    ids : int array, shape (n,)
        Ids of the images; position and neighbours play no part.
    shape : tuple of int
        Of one image.
    eps : float
        Grey levels.
    seed : int
    model : str

    Returns
    -------
    float32 array, shape (n, *shape)
        Grey levels.
    """
    starts = np.empty((len(ids), *shape), np.float32)
    for start, image in zip(starts, ids, strict=True):
        random = generator("random start in L2", seed, int(image), model)
        direction = random.standard_normal(shape, np.float32)
        start[:] = direction * (random.uniform(0, eps) / np.linalg.norm(direction))
    return starts


def sign_noise_l2(ids: NDArray[np.integer], shape: tuple[int, ...], eps: float, seed: int) -> NDArray[np.int16]:
    """Noise of the L2 norm eps, keyed by seed and image: the same for all models.

    Plus or minus m grey levels, the least m with which all values together
    reach eps, at as many random places as stay within it.

    Parameters
    ----------
    ids : int array, shape (n,)
    shape : tuple of int
        Of one image.
    eps : float
        Grey levels.
    seed : int

    Returns
    -------
    int16 array, shape (n, *shape)
        Not yet clipped to the images' range.
    """
    size = math.prod(shape)
    level = min(255, math.ceil(eps / math.sqrt(size)))
    places = min(size, int(eps * eps) // level**2)
    noise = np.zeros((len(ids), size), np.int16)
    for row, image in zip(noise, ids, strict=True):
        random = generator("sign noise in L2", seed, int(image))
        row[random.permutation(size)[:places]] = level * (2 * random.integers(0, 2, places) - 1)
    return noise.reshape(len(ids), *shape)
