"""Divergence of predicted probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.measures.slices import slices
from sat.units.measure import Measure

Floats = NDArray[np.float64]
UNIT = Measure(needs="probability", title="1 - Jensen-Shannon divergence\n(bits)")
LOGITS = 2**15
"""Number of elements in one model's slice of logits: 256 KiB, so that the data of a pair fit in the processor's cache.
"""


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """One minus the Jensen-Shannon divergence of two models' softmax probabilities, averaged over images; 0 to 1.

    This is the divergence, not its square root, which scipy calls the distance. The
    divergence adds up over images, and does not magnify rounding near 0. Its base is 2,
    so it is 1 for probabilities that share no class, and the measure is 0 there.

    Probabilities and sums are float64. Images are processed in slices, with all models
    side by side. So each softmax is computed once, and memory is 256 KiB per model. A
    pair needs one logarithm per image and class: 69 models x 1,000 classes take about 2
    minutes on one core for 10,000 images, and 9 for 50,000.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)

    References
    ----------
    Lin, J. (1991). IEEE Trans. Inf. Theory 37(1), 145-151.
    """
    from scipy.special import softmax

    n, classes = arrays[0].shape
    bits = np.zeros((len(arrays), len(arrays)))
    own = np.zeros(len(arrays))
    for rows in slices(n, max(1, LOGITS // classes)):
        # Halves are stored, because the mean of two models is then one addition, and exactly p for two equal models.
        half = np.stack([softmax(np.asarray(array[rows], np.float64), axis=1) / 2 for array in arrays])
        own += [_entropy(part + part) for part in half]
        for i, j in combinations(range(len(half)), 2):
            bits[i, j] += _entropy(half[i] + half[j])
    bits += bits.T
    np.fill_diagonal(bits, own)
    square: Floats = 1 - (bits - (own[:, None] + own) / 2) / n
    return square


def _entropy(probability: Floats) -> float:
    """Sum of the entropies over all images, in bits."""
    # 0 log 0 is 0, so any finite number may replace log 0. NaN remains NaN.
    logarithm = np.maximum(probability, 1e-300)
    np.log2(logarithm, out=logarithm)
    return -float(np.vdot(probability, logarithm))
