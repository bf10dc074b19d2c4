"""Two studies compared image by image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sat.errors import SatError
from sat.similarity.affinity import LEAST
from sat.similarity.paired import Paired, paired_test
from sat.similarity.resampling import Scores, image_scores, weighted_affinity, weighted_sat

if TYPE_CHECKING:
    from sat.results.study import StudyResults

AT_ONCE = 256
"""Images whose pixels are compared at once."""
LEAST_IMAGES = 10
"""With fewer common images, no swap of a few can be told from another."""


@dataclass(frozen=True)
class Comparison:
    """What two studies of common models and images differ in."""

    models: tuple[str, ...]
    """The models that both have, sorted."""
    n_images: int
    """Number of attack images that both have, the same to the last grey level."""
    sat: Paired
    """Test of SAT."""
    affinity: Paired | None
    """Test of affinity within the common models; None with fewer than four."""


def compare(first: StudyResults, second: StudyResults, draws: int = 999, seed: int = 0) -> Comparison:
    """Test whether two studies differ; see `StudyResults.compare`."""
    models = tuple(sorted(set(first.names) & set(second.names)))
    if len(models) < 2:
        raise SatError(
            f"{first.path} and {second.path}: have {len(models)} models in common, and a comparison needs two or more."
        )
    rows = _common_images(first, second)
    if len(rows[0]) < LEAST_IMAGES:
        raise SatError(
            f"{first.path} and {second.path}: have {len(rows[0])} attack images in common, and a paired test needs "
            f"{LEAST_IMAGES} or more."
        )
    ours, theirs = (_scores(study, models, chosen) for study, chosen in zip((first, second), rows, strict=True))
    config = first.study.config
    return Comparison(
        models,
        len(rows[0]),
        paired_test(ours, theirs, partial(weighted_sat, eps_s=config.eps_s), config.confidence, draws, seed),
        paired_test(ours, theirs, weighted_affinity, config.confidence, draws, seed) if len(models) >= LEAST else None,
    )


def _common_images(first: StudyResults, second: StudyResults) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the attack images that both studies have: the same number, label and pixels."""
    ids = [study.predictions["image"].to_numpy() for study in (first, second)]
    _, ours, theirs = np.intersect1d(*ids, return_indices=True)
    if first.images(rows=slice(0, 1)).image.shape != second.images(rows=slice(0, 1)).image.shape:
        return ours[:0], theirs[:0]
    same = first.labels[ours] == second.labels[theirs]
    order = np.argsort(ours)
    ours, theirs, same = ours[order], theirs[order], same[order]
    for start in range(0, len(ours), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        pixels = [_pixels(study, rows[part]) for study, rows in ((first, ours), (second, theirs))]
        same[part] &= (pixels[0] == pixels[1]).all(axis=(1, 2, 3))
    return ours[same], theirs[same]


def _pixels(study: StudyResults, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Images of some rows. Files are fast in slices only."""
    least, most = int(rows.min()), int(rows.max())
    if most - least < 4 * AT_ONCE:
        return study.images(rows=slice(least, most + 1)).image[rows - least]
    return np.concatenate([study.images(rows=slice(row, row + 1)).image for row in rows.tolist()])


def _scores(study: StudyResults, models: tuple[str, ...], rows: NDArray[np.intp]) -> Scores:
    """What each common image contributes to each pair."""
    labels = study.labels[rows]
    said = study.predictions.sel(source=list(models), target=list(models)).to_numpy()[:, :, rows]
    correct = study.clean.sel(model=list(models)).to_numpy()[:, rows] == labels
    # Axes: target, source, image.
    return image_scores(models, correct, (said != labels).swapaxes(0, 1))
