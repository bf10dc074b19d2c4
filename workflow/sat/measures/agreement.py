"""Agreement of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.units.measure import Measure

Floats = NDArray[np.float64]
UNIT = Measure(needs="prediction", interval="wilson", title="agreement of predictions\n(share of images)")


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """Share of images on which two models predict the same class, right or wrong; 0 to 1.

    69 models and 50,000 images take 0.2 s.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)
    """
    stack = np.stack([np.asarray(prediction[:]) for prediction in arrays])
    square = np.eye(len(stack))
    for i, j in combinations(range(len(stack)), 2):
        square[i, j] = square[j, i] = np.mean(stack[i] == stack[j])
    return square
