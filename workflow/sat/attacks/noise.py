"""Random noise as large as an attack may be: what a transfer has to be compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.seeds import generator


def noise(ids: NDArray[np.integer], shape: tuple[int, ...], params: Mapping[str, Any]) -> NDArray[np.int16]:
    """Noise within the ball of an attack, keyed by seed and image: the same for all models.

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
