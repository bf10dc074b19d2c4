"""Representational similarity analysis of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.units.measure import Measure

Floats = NDArray[np.float64]
UNIT = Measure(needs="feature", least=3, title="RSA of features\n(rank correlation of dissimilarities)")
MOST = 1000
"""Largest number of images that are compared. Their pairs are ranked, and 1,000 images have half a million pairs."""


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """Rank correlation of two models' dissimilarities of images; -1 to 1.

    The dissimilarity of two images is one minus Pearson's correlation of their features. Spearman's correlation
    over all pairs of images then says whether two models find the same images alike. If there are more than 1,000
    images, 1,000 of them are used, at equal distances in their order. The measure is NaN for a model that has the same
    features, up to origin and scale, for all images.

    Memory holds the ranks of every model: 4 MB each for 1,000 images. 69 models of 1,000 features take 25 s.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)

    References
    ----------
    Kriegeskorte, Mur & Bandettini (2008). Representational similarity analysis. Frontiers in Systems Neuroscience 2:4.
    """
    n = len(arrays[0])
    chosen = np.linspace(0, n - 1, min(n, MOST)).round().astype(int)
    ranks = np.stack([_ranks(np.asarray(array[:], np.float64)[chosen]) for array in arrays])
    square: Floats = np.clip(ranks @ ranks.T, -1, 1)
    return square


def _ranks(features: Floats) -> Floats:
    """Ranks of all pairs of images by dissimilarity, centred and of length 1; NaN where all are equal."""
    from sat.statistics.correlation import ranked

    # After each image's mean is subtracted, the correlation is a cosine.
    centred = features - features.mean(axis=1, keepdims=True)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    alike = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    # Correlations that are equal up to rounding have no order.
    if not np.ptp(alike) > 1e-9:
        return np.full(len(alike), np.nan)
    ranks = ranked(-alike)
    ranks -= ranks.mean()
    unit_ranks: Floats = ranks / np.linalg.norm(ranks)
    return unit_ranks
