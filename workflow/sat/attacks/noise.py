"""Random noise of the attack's size, with which transfer is compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.seeds import generator


def noise(ids: NDArray[np.integer], shape: tuple[int, ...], params: Mapping[str, Any]) -> NDArray[np.int16]:
    """Draw noise within the ball of an attack. It depends on seed and image alone, so all models get the same noise.

    Parameters
    ----------
    ids : int array, shape (n,)
        Ids of the images.
    shape : tuple of int
        Shape of one image.
    params : mapping
        Keys eps (in grey levels; in pixels where norm is patch), seed (int), and norm where it is not linf.

    Returns
    -------
    int16 array, shape (n, *shape)
        Noise that is not yet clipped to the images' range.
    """
    kinds: dict[str, Callable[..., NDArray[np.int16]]] = {"l2": sign_noise_l2, "patch": patch_noise}
    draw: Callable[..., NDArray[np.int16]] = kinds.get(str(params.get("norm")), sign_noise)
    return draw(ids, shape, params["eps"], params["seed"])


class Noise:
    """Noise as `sat.store.chunks.Items`, drawn when it is asked for.

    Parameters
    ----------
    ids, shape, params
        See `noise`.
    """

    dtype = np.dtype(np.int16)

    def __init__(self, ids: NDArray[np.integer], shape: tuple[int, ...], params: Mapping[str, Any]) -> None:
        self._ids, self._params = ids, params
        self.shape = (len(ids), *shape)

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """See `Items`."""
        out[...] = noise(self._ids[rows], self.shape[1:], self._params)


def sign_noise(ids: NDArray[np.integer], shape: tuple[int, ...], eps: int, seed: int) -> NDArray[np.int16]:
    """Draw +eps or -eps grey levels for every value.

    Parameters
    ----------
    ids, shape, seed
        See `noise`.
    eps : int
        Size of the noise in grey levels.

    Returns
    -------
    int16 array, shape (n, *shape)
        Noise that is not yet clipped to the images' range.
    """
    draws = [generator("sign noise", seed, int(image)).integers(0, 2, shape, np.int16) for image in ids]
    noise = np.stack(draws)
    noise *= 2 * eps
    noise -= eps
    return noise


def sign_noise_l2(ids: NDArray[np.integer], shape: tuple[int, ...], eps: float, seed: int) -> NDArray[np.int16]:
    """Draw noise of L2 norm eps.

    The noise is plus or minus m grey levels at random places. m is the smallest
    number with which all values together reach eps. The number of places is the
    largest that stays within eps.

    Parameters
    ----------
    ids, shape, seed
        See `noise`.
    eps : float
        L2 norm in grey levels.

    Returns
    -------
    int16 array, shape (n, *shape)
        Noise that is not yet clipped to the images' range.
    """
    size = math.prod(shape)
    level = min(255, math.ceil(eps / math.sqrt(size)))
    places = min(size, int(eps * eps) // level**2)
    noise = np.zeros((len(ids), size), np.int16)
    for row, image in zip(noise, ids, strict=True):
        random = generator("sign noise in L2", seed, int(image))
        row[random.permutation(size)[:places]] = level * (2 * random.integers(0, 2, places) - 1)
    return noise.reshape(len(ids), *shape)


def patch_noise(ids: NDArray[np.integer], shape: tuple[int, ...], eps: int, seed: int) -> NDArray[np.int16]:
    """Replace a square at a random place by black and white.

    Each value of the square becomes 0 or 255.

    Parameters
    ----------
    ids, shape, seed
        See `noise`.
    eps : int
        Number of pixels. The square is the largest one that has no more.

    Returns
    -------
    int16 array, shape (n, *shape)
        Plus or minus 255, not yet clipped to the images' range.
    """
    side = min(math.isqrt(eps), *shape[1:])
    noise = np.zeros((len(ids), *shape), np.int16)
    for row, image in zip(noise, ids, strict=True):
        random = generator("patch noise", seed, int(image))
        top, left = (random.integers(size - side, endpoint=True) for size in shape[1:])
        row[:, top : top + side, left : left + side] = 255 * (2 * random.integers(0, 2, (shape[0], side, side)) - 1)
    return noise
