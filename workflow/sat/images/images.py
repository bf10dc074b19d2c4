"""Samples of a data set, and the canvas that every model sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat.seeds import generator


def stratified_permutation(labels: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Permute images so that every prefix holds the classes in their proportions.

    Within a class the order is random. The k-th of m images of a class stands
    at (k + u) / m of the way, with u random, so that 1,000 images are contained
    in 5,000.

    Parameters
    ----------
    labels : int array, shape (n,)
    seed : int

    Returns
    -------
    int64 array, shape (n,)
        Indices into `labels`.
    """
    random = generator("stratified permutation", seed)
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        position[random.permutation(members)] = (np.arange(len(members)) + random.random(len(members))) / len(members)
    return np.argsort(position, kind="stable")


def split_indices(
    labels: NDArray[np.integer], split: str, train_fraction: float, seed: int, attack_images: int | None = None
) -> NDArray[np.int64]:
    """Choose the images of a split.

    Parameters
    ----------
    labels : int array, shape (n,)
        Labels of the whole data set.
    split : {'train', 'eval', 'attack'}
        Training and evaluation images are disjoint and make up the data set;
        attack images are a prefix of the evaluation images.
    train_fraction : float
        Share of the images that are for training.
    seed : int
    attack_images : int, optional
        Number of attack images; all evaluation images by default.

    Returns
    -------
    int64 array
        Indices into `labels`, in the order of the stratified permutation.

    Raises
    ------
    ValueError
        If there are fewer evaluation images than attack images.
    """
    order = stratified_permutation(labels, seed)
    n_eval = len(labels) - round(train_fraction * len(labels))
    if split == "train":
        return order[n_eval:]
    if split == "eval":
        return order[:n_eval]
    if attack_images is not None and attack_images > n_eval:
        raise ValueError(f"{attack_images} attack images of {n_eval} evaluation images")
    return order[:n_eval][:attack_images]


def to_canvas(image: Image.Image, side: int, crop_pct: float) -> NDArray[np.uint8]:
    """Bring an image to the canvas: resize the short side, crop the centre.

    Parameters
    ----------
    image : PIL.Image.Image
    side : int
        Side of the canvas in pixels.
    crop_pct : float
        The short side becomes round(side / crop_pct) pixels (bicubic, antialiased).

    Returns
    -------
    uint8 array, shape (3, side, side)
        Grey levels of red, green, blue.
    """
    image = image.convert("RGB")
    short = round(side / crop_pct)
    scale = short / min(image.size)
    width, height = (max(short, round(length * scale)) for length in image.size)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(resized.crop((left, top, left + side, top + side))).transpose(2, 0, 1).copy()


def read_digits() -> tuple[list[Image.Image], NDArray[np.int64]]:
    """Scikit-learn's handwritten digits: real scans, 8 x 8 px, 17 grey levels spread over 0 to 255.

    Returns
    -------
    images : list of PIL.Image.Image
        1,797 images.
    labels : int64 array, shape (1797,)
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    levels = np.rint(digits.images * 255 / 16).astype(np.uint8)
    return [Image.fromarray(image) for image in levels], digits.target.astype(np.int64)
