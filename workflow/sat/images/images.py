"""Samples of a data set, and the canvas that every model sees."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat.errors import SatError
from sat.seeds import generator


class TooManyPixels(ValueError):
    """An image is larger than the study allows."""


def stratified_permutation(labels: NDArray[np.integer], seed: int) -> NDArray[np.int64]:
    """Permute images so that every prefix holds the classes in their proportions.

    Within a class the order is random. The k-th of m images of a class gets the
    position (k + u) / m on a scale from 0 to 1, with u random. A sample is a prefix, so
    the first 1,000 images are contained in the first 5,000.

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
    labels: NDArray[np.integer],
    split: str,
    train_fraction: float,
    seed: int,
    training: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Choose the images of a split.

    Parameters
    ----------
    labels : int array, shape (n,)
        Labels of the whole data set.
    split : {'train', 'eval', 'attack'}
        Training and evaluation images are disjoint and together make up the data
        set. Attack images are a prefix of the evaluation images, so both get the
        same indices.
    train_fraction : float
        Share of the images that are for training.
    seed : int
    training : bool array, shape (n,), optional
        The images that are for training; given instead of a share.

    Returns
    -------
    int64 array
        Indices into `labels`, in the order of the stratified permutation.
    """
    if training is not None:
        rows = np.flatnonzero(training if split == "train" else ~training)
        # The rows are permuted as if the other images did not exist.
        return rows[stratified_permutation(labels[rows], seed)]
    order = stratified_permutation(labels, seed)
    n_eval = len(labels) - round(train_fraction * len(labels))
    return order[n_eval:] if split == "train" else order[:n_eval]


def listed_indices(wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """Find the images of a list.

    Parameters
    ----------
    wanted : sequence of str
        Names as in the data set. The folder, or the folder and the suffix, may be
        left out where the name is still unique.
    names : sequence of str
        Names of all images of the data set.

    Returns
    -------
    list of int
        Position of each image in `names`, in the order of the list.

    Raises
    ------
    ValueError
        If a name is unknown, matches several images, or is listed twice.
    """
    places: dict[str, set[int]] = {}
    for place, name in enumerate(names):
        for alias in {name, PurePosixPath(name).name, PurePosixPath(name).stem}:
            places.setdefault(alias, set()).add(place)
    exact = {name: place for place, name in enumerate(names)}
    found = []
    for name in wanted:
        matches = {exact[name]} if name in exact else places.get(name, set())
        if len(matches) != 1:
            raise ValueError(f"{name!r} is the name of {len(matches)} images of the data set")
        found.append(matches.pop())
    if len(set(found)) < len(found):
        twice = next(names[place] for place in found if found.count(place) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def check_pixels(size: tuple[int, int], most: float, what: str = "has") -> None:
    """Refuse an image that would take too much memory.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    most : float
        Most pixels, in millions.
    what : str
        Verb of the message.

    Raises
    ------
    TooManyPixels
        If it has more.
    """
    if (pixels := size[0] * size[1] / 1e6) > most:
        raise TooManyPixels(
            f"it {what} {size[0]} x {size[1]} = {pixels:.1f} million pixels, and key 'compute.max_megapixels' allows "
            f"{most:g}"
        )


def training_images(names: Sequence[str], folder: str | None, root: str) -> NDArray[np.bool_] | None:
    """Say which images are in the folder of the training images.

    Parameters
    ----------
    names : sequence of str
        Names of all images of the data set.
    folder : str, optional
        The study's key `images.train_folder`.
    root : str
        Folder of the data set, for messages.

    Returns
    -------
    bool array, shape (n,), or None
        None if there is no such folder.

    Raises
    ------
    SatError
        If it holds all images, or none.
    """
    if not folder:
        return None
    training = np.array([name.startswith(f"{folder.strip('/')}/") for name in names])
    if training.all() or not training.any():
        raise SatError(
            f"{root}: {training.sum()} of {len(names)} images are in the folder {folder!r}, which key "
            "'images.train_folder' names; it holds the training images, and others must be beside it, such as "
            "train/ and val/."
        )
    return training


def eval_count(asked: int | str, available: int) -> int:
    """Number of evaluation images.

    Parameters
    ----------
    asked : int or 'all'
        The study's key `images.eval_images`.
    available : int
        Number of images that are not for training.

    Raises
    ------
    SatError
        If more are asked for than there are.
    """
    count = asked if isinstance(asked, int) else available
    if count > available:
        raise SatError(
            f"key 'images.eval_images': {count} evaluation images of {available} that are not for training; ask for "
            "fewer or for all, or lower images.train_fraction."
        )
    return count


def attack_count(asked: int | str, available: int) -> int:
    """Number of attack images.

    Parameters
    ----------
    asked : int or 'all'
        The study's key `images.attack_images`.
    available : int
        Number of evaluation images.

    Raises
    ------
    SatError
        If more are asked for than there are.
    """
    count = asked if isinstance(asked, int) else available
    if count > available:
        raise SatError(
            f"key 'images.attack_images': {count} attack images of {available} evaluation images; ask for fewer, "
            "or lower images.train_fraction."
        )
    return count


def read_list(file: Path | str, names: Sequence[str], evaluation: Collection[int]) -> list[int]:
    """Find the images that a file lists, one name a line.

    Parameters
    ----------
    file : path
    names : sequence of str
        Names of all images of the data set.
    evaluation : collection of int
        Positions of the evaluation images.

    Returns
    -------
    list of int
        Position of each image in `names`, in the order of the file.

    Raises
    ------
    SatError
        If an image is unknown, or is not an evaluation image.
    """
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        rows = listed_indices(wanted, names)
    except ValueError as error:
        raise SatError(f"{file}: {error}; write names as in images/manifest.csv, one a line.") from None
    others = [names[row] for row in rows if row not in evaluation]
    if others or not rows:
        raise SatError(
            f"{file}: {len(others)} of {len(rows)} images are not evaluation images ({', '.join(others[:3])}), and "
            "attack images must be. Lower images.train_fraction, raise images.eval_images, or list others."
        )
    return rows


def to_canvas(image: Image.Image, side: int, crop_pct: float, most: float = math.inf) -> NDArray[np.uint8]:
    """Bring an image to the canvas: resize its short side, and crop the centre.

    The canvas is that of the evaluation transforms of timm and torchvision, pixel for pixel. So accuracies compare with
    published ones.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.
    side : int
        Side of the canvas in pixels.
    crop_pct : float
        The short side becomes floor(side / crop_pct) pixels (bicubic, antialiased).
    most : float
        Most pixels after resizing, in millions; no limit by default. A narrow strip has few pixels and grows to many.

    Returns
    -------
    uint8 array, shape (3, side, side)
        Grey levels of red, green, blue.

    Raises
    ------
    TooManyPixels
        If it would have more. They are not computed.
    """
    short, least = math.floor(side / crop_pct), min(image.size)
    width, height = (int(short * length / least) for length in image.size)
    check_pixels((width, height), most, "would be resized to")
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    # Halves are rounded to even, as torchvision does.
    left, top = round((width - side) / 2), round((height - side) / 2)
    return np.asarray(resized.crop((left, top, left + side, top + side))).transpose(2, 0, 1).copy()
