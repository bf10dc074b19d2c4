"""Orthogonal Procrustes similarity of features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.units.measure import Measure

Floats = NDArray[np.float64]
# Twenty more singular value decompositions of every pair, for an interval, would take an hour at 69 models.
UNIT = Measure(needs="feature", least=2, interval="none", title="Procrustes similarity\nof features")
MOST = 512
"""Principal components of each model that are compared. The time grows with the cube of their number."""


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """Closeness of two models' features after the best rotation, 0 to 1: 1 - d^2 / 2.

    Features are centred and scaled to unit Frobenius norm, and d is the smallest distance ||X Q - Y|| over rotations
    and reflections Q, where zeros fill up the shorter features. So 1 - d^2 / 2 is the nuclear norm of X^T Y. The
    measure is NaN for a model with the same features for all images. With fewer images than features, it is large for
    any two models, so only compare values of the same images and of similar numbers of features.

    If there are more than 512 features, the 512 leading principal components are compared, scaled to unit norm in
    their place. 69 models and 5,000 images take about five minutes on one core, and 2 GB.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)

    References
    ----------
    Williams, Kunz, Kornblith & Linderman (2021). Generalized shape metrics on neural representations. NeurIPS 34.
    Ding, Denain & Steinhardt (2021). Grounding representation similarity through statistical testing. NeurIPS 34.
    """
    shapes = [_shape(np.asarray(array[:], np.float64)) for array in arrays]
    square = np.diag([1.0 if np.isfinite(shape).all() else np.nan for shape in shapes])
    for i, j in combinations(range(len(shapes)), 2):
        known = np.isfinite(square[i, i] + square[j, j])
        square[i, j] = square[j, i] = _nuclear_norm(shapes[i].T @ shapes[j]) if known else np.nan
    return square


def _shape(features: Floats) -> Floats:
    """Centred and scaled features, at most `MOST` of them; NaN if all images have the same features."""
    # The first image is subtracted first, so that a constant feature becomes exactly 0.
    centred = features - features[:1]
    centred -= centred.mean(axis=0)
    scale = np.linalg.norm(centred)
    if not scale > 0 or not np.isfinite(scale):
        return np.full((1, 1), np.nan)
    shape: Floats = centred / scale
    if shape.shape[1] > MOST:
        _, vectors = np.linalg.eigh(shape.T @ shape)
        shape = shape @ vectors[:, -MOST:]
        # Else the variance that is cut would count as unlike, and wide models would seem less similar than narrow ones.
        shape /= np.linalg.norm(shape)
    return shape


def _nuclear_norm(matrix: Floats) -> float:
    return min(float(np.linalg.svd(matrix, compute_uv=False).sum()), 1.0)
