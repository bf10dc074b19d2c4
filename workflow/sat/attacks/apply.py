"""Apply the attack that a step names to a batch of images."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.attacks.interface import Attacked, Draws
from sat.errors import SatError
from sat.models.classifier import Classifier
from sat.units import module
from sat.units.attack import Attack


def attack(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    params: Mapping[str, Any],
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with the method and settings of a step's params.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    ids : int array, shape (n,)
        Ids of the images; random numbers are keyed by them.
    params : mapping
        Keys method, eps (in grey levels), the method's settings and, if the method is seeded, seed and model.
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    SatError
        If a package that the method needs is not installed.
    FloatingPointError
        If a gradient or an adversarial image is not finite.
    """
    unit = module("attacks", params["method"])
    declaration: Attack = unit.UNIT
    if declaration.package and find_spec(declaration.package.partition("==")[0]) is None:
        raise SatError(
            f"attack.method is {params['method']}, and a package is not installed that it needs; "
            f"pip install {declaration.package} (envs/requirements.txt), or choose another method."
        )
    given = {key: params[key] for key in ("eps", *declaration.keys)}
    if declaration.seeded:
        given["draws"] = Draws(ids, params["seed"], params["model"])
    found: Attacked = unit.run(classifier, images, labels, device=device, **given)
    return found
