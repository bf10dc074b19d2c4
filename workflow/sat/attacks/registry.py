"""Attacks by name, called in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.attacks.attack import Attacked, fgsm, mi_fgsm, pgd_linf, random_start, sign_noise
from sat.attacks.autoattack import autoattack, image_seeds
from sat.attacks.l2 import pgd_l2, random_start_l2, sign_noise_l2
from sat.models.classifier import Classifier
from sat.study.attacks import METHODS

ATTACKS: Mapping[str, Callable[..., Attacked]] = {
    "pgd_linf": pgd_linf,
    "pgd_l2": pgd_l2,
    "fgsm": fgsm,
    "mi_fgsm": mi_fgsm,
    "autoattack": autoattack,
}
"""By the names of `sat.study.attacks.METHODS`: functions of classifier, images, labels, and by keyword eps, device and
their own settings."""


def attack(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    params: Mapping[str, Any],
    device: str = "cpu",
) -> Attacked:
    """Attack one batch as a step's params say.

    Parameters
    ----------
    classifier : Classifier
        Frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    ids : int array, shape (n,)
        Of the images; random numbers are keyed by them.
    params : mapping
        method, eps (grey levels), the method's settings and, where it is seeded, seed and model.
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    FloatingPointError
        If a gradient or an adversarial image is not finite.
    """
    method = METHODS[params["method"]]
    settings = {name: params[name] for name in ("eps", *method.settings)}
    shape = images.shape[1:]
    if settings.pop("random_start", False):
        draw = random_start if method.norm == "linf" else random_start_l2
        settings["start"] = draw(ids, shape, params["eps"], params["seed"], params["model"])
    elif method.seeded and "random_start" not in method.settings:
        settings["seeds"] = image_seeds(ids, params["seed"], params["model"])
    return ATTACKS[params["method"]](classifier, images, labels, device=device, **settings)


def noise(ids: NDArray[np.integer], shape: tuple[int, ...], params: Mapping[str, Any]) -> NDArray[np.int16]:
    """Random noise as large as an attack may be: what a transfer has to be compared with.

    Parameters
    ----------
    ids : int array, shape (n,)
    shape : tuple of int
        Of one image.
    params : mapping
        eps (grey levels), seed, and norm where it is not linf.

    Returns
    -------
    int16 array, shape (n, *shape)
        Not yet clipped to the images' range.
    """
    draw = sign_noise_l2 if params.get("norm") == "l2" else sign_noise
    return draw(ids, shape, params["eps"], params["seed"])
