"""What attacks give, and those on the lattice of grey levels: PGD, FGSM and MI-FGSM in the L-infinity norm.

Their state is an integer perturbation, so what is attacked, stored and
evaluated is the same tensor, and the bound is exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sat.models.batches import padded
from sat.models.classifier import Classifier, to_unit
from sat.seeds import generator

SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Stands for the norm of a gradient that is zero everywhere."""


@dataclass(frozen=True)
class Attacked:
    """What an attack on a batch of images gives."""

    perturbation: NDArray[np.int8] | NDArray[np.int16]
    """Grey levels, shape (n, 3, S, S); never beyond eps, never out of 0 to 255 on its image."""
    fooled: NDArray[np.bool_]
    """Whether the attacked model itself errs, shape (n,)."""
    zero_gradients: NDArray[np.int64]
    """Number of steps in which the gradient was zero everywhere, shape (n,)."""
    fooled_unrounded: NDArray[np.bool_] | None = None
    """Whether it erred before the perturbation was rounded to grey levels, shape (n,); None where nothing was."""


def pgd_linf(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    start: NDArray[np.integer] | None = None,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with L-infinity PGD; the last iterate, no early stop.

    ``d <- clip(d + step * sign(gradient), -eps, eps)``, then
    ``d <- clip(x + d, 0, 255) - x``; the model sees ``(x + d) / 255``. The loss
    is the sum of the cross-entropies, so an image's gradient does not depend on
    its neighbours (Madry et al., ICLR 2018, with the lattice of Carlini & Wagner).

    Parameters
    ----------
    classifier : Classifier
        Frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    eps, step : int
        Grey levels.
    steps : int
    start : int array, shape (n, 3, S, S), optional
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
    return _ascend(classifier, images, labels, eps, step, steps, start, None, device)


def fgsm(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with FGSM: one step of size eps along the gradient's sign (Goodfellow et al., ICLR 2015).

    Parameters, result and errors are those of `pgd_linf`.
    """
    return _ascend(classifier, images, labels, eps, eps, 1, None, None, device)


def mi_fgsm(
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

    ``g <- momentum * g + gradient / |gradient|_1``, an image at a time; then as
    in `pgd_linf` with the sign of ``g``, from the image itself.

    Parameters
    ----------
    momentum : float
        Decay of the gathered gradient; 1 in the paper, 0 forgets all but the last.

    Notes
    -----
    Other parameters, result and errors are those of `pgd_linf`.
    """
    return _ascend(classifier, images, labels, eps, step, steps, None, momentum, device)


def _ascend(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    eps: int,
    step: int,
    steps: int,
    start: NDArray[np.integer] | None,
    momentum: float | None,
    device: str,
) -> Attacked:
    count = len(images)
    # In the layout of the gradient, so that no step has to rearrange anything.
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
        gradient = loss_gradient(classifier, to_unit(clean + change), target)
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


def loss_gradient(classifier: Classifier, unit: Tensor, target: Tensor) -> Tensor:
    """Gradient of the sum of the cross-entropies by the images, so that none depends on its neighbours.

    Parameters
    ----------
    classifier : Classifier
    unit : float Tensor, shape (n, 3, S, S)
        Images in units of [0, 1].
    target : int64 Tensor, shape (n,)
        True classes.

    Returns
    -------
    float Tensor, shape (n, 3, S, S)
    """
    unit.requires_grad_()
    loss = F.cross_entropy(classifier(unit).float(), target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, unit)
    return gradient


def _onto_lattice(clean: Tensor, change: Tensor, eps: int) -> Tensor:
    return (clean + change.clamp(-eps, eps)).clamp(0, 255) - clean


def random_start(
    ids: NDArray[np.integer], shape: tuple[int, ...], eps: int, seed: int, model: str
) -> NDArray[np.int16]:
    """Whole grey levels drawn uniformly from -eps to eps, keyed by seed, image and model.

    Parameters
    ----------
    ids : int array, shape (n,)
        Ids of the images; position and neighbours play no part.
    shape : tuple of int
        Of one image.
    eps : int
        Grey levels.
    seed : int
    model : str

    Returns
    -------
    int16 array, shape (n, *shape)
    """
    draws = [
        generator("random start", seed, int(image), model).integers(-eps, eps, shape, np.int16, endpoint=True)
        for image in ids
    ]
    return np.stack(draws) if draws else np.empty((0, *shape), np.int16)


def sign_noise(ids: NDArray[np.integer], shape: tuple[int, ...], eps: int, seed: int) -> NDArray[np.int16]:
    """Noise of +eps or -eps grey levels at every pixel, keyed by seed and image: the same for all models.

    Parameters
    ----------
    ids : int array, shape (n,)
    shape : tuple of int
        Of one image.
    eps : int
        Grey levels.
    seed : int

    Returns
    -------
    int16 array, shape (n, *shape)
        Not yet clipped to the images' range.
    """
    draws = [generator("sign noise", seed, int(image)).integers(0, 2, shape, np.int16) for image in ids]
    noise = np.stack(draws)
    noise *= 2 * eps
    noise -= eps
    return noise
