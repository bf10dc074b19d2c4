"""Linear centred kernel alignment of features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.measures.slices import slices
from sat.units.measure import Measure

Floats = NDArray[np.float64]
UNIT = Measure(needs="feature", least=4, title="CKA of features\n(debiased, linear)")
GRAM = 256
"""Number of images along one side of a tile of the Gram matrices."""


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """Linear centred kernel alignment of features, debiased: -1 to 1, about 0 for independent features.

    CKA is HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), where K and L are the Gram
    matrices of the two models' features. The unbiased estimator of HSIC is used: with
    the biased one, CKA approaches 1 for any features if there are more features than
    images. CKA is NaN for a model that has the same features for all images.

    The Gram matrices are computed tile by tile for all models at once, only on and
    below the diagonal. For each tile, every pair of models needs one inner product.
    The features of each model are multiplied once, independent of the number of
    models: n^2 d flops per model and n^2 per pair. Memory holds 2 x 256 images of
    every model in float64. 69 models of 1,000 features take 17 s on one core for 2,000
    images, so about 2 minutes for 5,000, 7 for 10,000 and 3 hours for 50,000. A sample
    of 5,000 is enough: the estimator of HSIC has no bias that more images would remove.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)

    References
    ----------
    Song et al. (2012). Feature selection via dependence maximization. JMLR 13, Eq. 5.
    Nguyen, Raghu & Kornblith (2021). Do wide and deep networks learn the same
    things? ICLR.
    """
    n = len(arrays[0])
    centres = [_centre(array) for array in arrays]
    trace = np.zeros((len(arrays), len(arrays)))
    sums = np.zeros((len(arrays), n))

    def centred(rows: slice) -> list[Floats]:
        return [np.asarray(array[rows], np.float64) - centre for array, centre in zip(arrays, centres, strict=True)]

    for rows in slices(n, GRAM):
        left = centred(rows)
        for columns in slices(rows.stop, GRAM):
            right = left if columns == rows else centred(columns)
            gram = np.stack([a @ b.T for a, b in zip(left, right, strict=True)])
            if columns == rows:
                # The estimator leaves out the product of every image with itself.
                gram[:, range(gram.shape[1]), range(gram.shape[1])] = 0
            else:
                sums[:, columns] += gram.sum(axis=1)
            sums[:, rows] += gram.sum(axis=2)
            flat = gram.reshape(len(gram), -1)
            trace += (1 if columns == rows else 2) * (flat @ flat.T)
    total = sums.sum(axis=1)
    hsic = trace + np.outer(total, total) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (sums @ sums.T)
    # If all Gram entries are equal, what is left after rounding is not variance.
    own = np.where(np.diag(hsic) > 1e-12 * np.diag(trace), np.diag(hsic), np.nan)
    square: Floats = np.clip(hsic / np.sqrt(np.outer(own, own)), -1, 1)
    return square


def _centre(array: Any) -> Floats:
    """Mean feature. HSIC does not depend on it, and subtracting it improves precision. Exact for a constant feature."""
    first = np.asarray(array[:1], np.float64)
    total = sum((np.asarray(array[rows], np.float64) - first).sum(axis=0) for rows in slices(len(array), 4 * GRAM))
    mean: Floats = first[0] + total / len(array)
    return mean
