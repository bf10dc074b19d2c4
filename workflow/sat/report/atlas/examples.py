"""Adversarial examples: which ones are shown, and what is known of each."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.similarity.predictions import pairs_of
from sat.store import hdf5

KINDS = ("both", "source")
"""What an adversarial image does: it fools both models, or only its source."""
COLUMNS = (
    *("source", "target", "kind", "image", "label"),
    *("source_clean", "source_clean_p", "target_clean", "target_clean_p"),
    *("source_adversarial", "source_adversarial_p", "target_adversarial", "target_adversarial_p"),
    *("clean_png", "adversarial_png"),
)


@dataclass(frozen=True)
class Clean:
    """Predictions of one model on the clean attack images."""

    prediction: NDArray[np.integer]
    """Predicted classes, shape (n,)."""
    confidence: NDArray[np.float16]
    """Softmax probabilities of these classes, shape (n,)."""

    @classmethod
    def of(cls, prediction: NDArray[np.integer], logits: NDArray[np.floating]) -> Clean:
        """Compute the probabilities from logits, shape (n, classes)."""
        values = np.asarray(logits, np.float32)
        values -= values.max(1, keepdims=True)
        return cls(prediction, np.asarray(1 / np.exp(values).sum(1), np.float16))


@dataclass(frozen=True)
class Found:
    """One adversarial image of a source, seen by a target. Probabilities are None in tiles that do not record them."""

    source: str
    target: str
    kind: str
    row: int
    """Place of the image among the attack images."""
    source_class: int
    source_p: float | None
    target_class: int
    target_p: float | None


def find(labels: NDArray[np.integer], clean: Mapping[str, Clean], tiles: Sequence[Path]) -> list[Found]:
    """Find, for each ordered pair of models and each kind, the first image in the order of the attack images.

    That order is random and is settled before any attack, so nothing is chosen for its looks. Both models are right
    on the clean image.

    Parameters
    ----------
    labels : int array, shape (n,)
        True classes of the attack images.
    clean : mapping of str to Clean
        Predictions of each model in use.
    tiles : sequence of Path

    Returns
    -------
    list of Found
    """
    own = {source: (prediction, sure) for source, target, prediction, sure in _pairs(tiles, clean) if source == target}
    found = []
    for source, target, prediction, sure in _pairs(tiles, clean):
        if source == target or source not in own:
            continue
        own_prediction, own_sure = own[source]
        right = (clean[source].prediction == labels) & (clean[target].prediction == labels)
        fools_source, fools_target = right & (own_prediction != labels), prediction != labels
        for kind, rows in zip(KINDS, (fools_source & fools_target, fools_source & ~fools_target), strict=True):
            if rows.any():
                row = int(rows.argmax())
                source_p, target_p = (None if of is None else float(of[row]) for of in (own_sure, sure))
                found.append(
                    Found(source, target, kind, row, int(own_prediction[row]), source_p, int(prediction[row]), target_p)
                )
    return found


def _pairs(
    tiles: Iterable[Path], models: Mapping[str, Clean]
) -> Iterator[tuple[str, str, NDArray[np.integer], NDArray[np.floating] | None]]:
    """Read source, target, predictions and, where they are recorded, probabilities of each pair of models in use."""
    for file in hdf5.one_by_one(tiles):
        prediction = file["prediction"][:]
        confidence = file["confidence"][:] if "confidence" in file else None
        for source, target, row, column in pairs_of(file, models):
            yield source, target, prediction[row, column], None if confidence is None else confidence[row, column]


def choose(matrix: pd.DataFrame, found: Iterable[Found]) -> list[Found]:
    """Order examples by interest.

    Every model's nearest other model comes first, with an image that fools both, then its farthest with one that fools
    only its source, then the other kind of each; then the second nearest and second farthest, and so on.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT.
    found : iterable of Found

    Returns
    -------
    list of Found
    """
    left = {(one.source, one.target, one.kind): one for one in found}
    names = [str(name) for name in matrix.index]
    values = matrix.to_numpy(float)
    ranked = {}
    for row, name in enumerate(names):
        order = [names[column] for column in np.argsort(-values[row], kind="stable")]
        ranked[name] = [other for other in order if other != name]
    chosen = []
    for rank in range(len(names) - 1):
        for place, kind in ((rank, "both"), (-1 - rank, "source"), (rank, "source"), (-1 - rank, "both")):
            for name in names:
                if one := left.pop((name, ranked[name][place], kind), None):
                    chosen.append(one)
    return chosen


def draw(
    chosen: Iterable[Found],
    budget: int,
    images: Path,
    sets: Mapping[str, Path],
    clean: Mapping[str, Clean],
    labels: NDArray[np.integer],
    names: Sequence[str],
    classes: Sequence[str],
) -> pd.DataFrame:
    """Make the table of examples, until the next one would exceed the budget.

    Parameters
    ----------
    chosen : iterable of Found
        The most interesting first.
    budget : int
        Largest total size of the images, in bytes. An image that several examples share counts once.
    images : Path
        images/attack.h5.
    sets : mapping of str to Path
        Adversarial sets by model.
    clean : mapping of str to Clean
    labels, names
        True classes and names of the attack images.
    classes : sequence of str
        Names of the classes; a class without a name is shown by its number.

    Returns
    -------
    DataFrame
        See `COLUMNS`. Classes are names; `_p` are probabilities, NaN where they are not recorded. The images are PNG
        files, which lose nothing.
    """
    rows: list[tuple[Any, ...]] = []
    packed: dict[tuple[str, int], bytes] = {}
    used = 0

    def named(number: int) -> str:
        return classes[number] if 0 <= number < len(classes) else str(number)

    with ExitStack() as stack:
        image = stack.enter_context(hdf5.reading(images))["image"]
        for one in chosen:
            row = one.row
            new: dict[tuple[str, int], bytes] = {}
            pixels = image[row]
            if ("", row) not in packed:
                new["", row] = _png(pixels)
            if (one.source, row) not in packed:
                with hdf5.reading(sets[one.source]) as file:
                    moved = pixels.astype(np.int16) + file["perturbation"][row]
                new[one.source, row] = _png(np.clip(moved, 0, 255).astype(np.uint8))
            used += sum(map(len, new.values()))
            if used > budget:
                break
            packed |= new
            before: list[Any] = []
            for model in (one.source, one.target):
                before += [named(int(clean[model].prediction[row])), float(clean[model].confidence[row])]
            after = [named(one.source_class), one.source_p, named(one.target_class), one.target_p]
            about = (one.source, one.target, one.kind, str(names[row]), named(int(labels[row])))
            rows.append((*about, *before, *after, packed["", row], packed[one.source, row]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    probabilities = [name for name in COLUMNS if name.endswith("_p")]
    return table.astype(dict.fromkeys(probabilities, float))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Write an image, shape (3, S, S), as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(stream, "PNG", optimize=True)
    return stream.getvalue()
