"""Rounding of adversarial images to whole grey levels within the ball, which is how they are stored."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat.attacks.interface import Attacked
from sat.models.batches import padded
from sat.models.classifier import Classifier, to_unit
from sat.units.attack import Norm

SHRINK = 0.999
"""Largest factor by which a perturbation is multiplied, each time that rounding leaves it outside its L2 ball."""


def to_grey_levels(
    images: NDArray[np.uint8], adversarial: NDArray[np.floating], eps: float, norm: Norm
) -> NDArray[np.int16]:
    """Round adversarial images to grey levels, half to even, and bring them back into the ball, if there is one.

    In L-infinity, values beyond eps are clipped. In L2, a perturbation that is too long
    is divided by the factor by which it is too long, and rounded again, until it is not
    too long any more. So a stored perturbation is a little shorter than eps, and never
    longer.

    Parameters
    ----------
    images : uint8 array, shape (n, 3, S, S)
    adversarial : float array, same shape
        Images in units of [0, 1].
    eps : float
        Radius in grey levels; of no meaning for a patch.
    norm : {'linf', 'l2', 'patch'}

    Returns
    -------
    int16 array, same shape
        Perturbations in grey levels. Image plus perturbation is within 0 to 255.
    """
    levels = images.astype(np.int16)
    change = np.clip(adversarial.astype(np.float64), 0, 1) * 255 - levels
    if norm == "linf":
        change = np.clip(change, -eps, eps)
        return np.rint(change).astype(np.int16)
    rounded = np.rint(change).astype(np.int16)
    if norm == "patch":
        return rounded
    for image, whole in zip(change, rounded, strict=True):
        while (squares := int(np.square(whole, dtype=np.int64).sum())) > eps * eps:
            image *= min(eps / np.sqrt(squares), SHRINK)
            whole[:] = np.rint(image)
    return rounded


def attacked(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    adversarial: Tensor,
    zero_gradients: NDArray[np.int64],
    *,
    eps: float,
    norm: Norm,
    device: str,
) -> Attacked:
    """Round adversarial images, and say which fooled the model before and after.

    Parameters
    ----------
    classifier : Classifier
    images : uint8 array, shape (n, 3, S, S)
    labels : int array, shape (n,)
    adversarial : float Tensor, shape (n or more, 3, S, S)
        Images in units of [0, 1]; those beyond n are padding.
    zero_gradients : int array, shape (n,)
    eps : float
        Radius in grey levels; of no meaning for a patch.
    norm : {'linf', 'l2', 'patch'}
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    FloatingPointError
        If an adversarial image is not finite.
    """
    count = len(images)
    found = adversarial[:count].float().cpu().numpy()
    if not np.isfinite(found).all():
        raise FloatingPointError("an adversarial image is not finite")
    change = to_grey_levels(images, found, eps, norm)

    def errs(unit: Tensor) -> NDArray[np.bool_]:
        with torch.no_grad():
            wrong: NDArray[np.bool_] = classifier(unit)[:count].argmax(1).cpu().numpy() != labels
        return wrong

    unrounded = errs(padded(found).to(device, memory_format=torch.channels_last))
    fooled = errs(to_unit(padded(images.astype(np.int16) + change).to(device)))
    stored = change.astype(np.int8) if norm == "linf" else change
    return Attacked(stored, fooled, zero_gradients, unrounded)
