"""Cosine of input gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.units.measure import Measure

Floats = NDArray[np.float64]
# A jackknife would hold the gradients of all models in memory: 21 GB for 69 models at 224 px.
UNIT = Measure(needs="gradient", interval="none", title="cosine of input gradients\n(mean over images)")


def run(arrays: Sequence[Any], labels: Any) -> Floats:
    """Cosine of the gradients of two models' losses with respect to the same image, averaged over images; -1 to 1.

    An attack follows this gradient, so its alignment is the closest known cause of transfer. Images on which either
    gradient is 0 everywhere are left out. The measure is NaN if no image is left. 69 models and 512 images of 224 px
    take about 2 minutes; memory holds one image of every model.

    Parameters
    ----------
    arrays, labels
        See `sat.units.measure.Measure`.

    Returns
    -------
    float array, shape (models, models)

    References
    ----------
    Demontis et al. (2019). Why do adversarial attacks transfer? USENIX Security 28.
    """
    total = np.zeros((len(arrays), len(arrays)))
    count = np.zeros_like(total)
    for row in range(len(arrays[0])):
        gradient = np.stack([np.asarray(array[row : row + 1], np.float64)[0] for array in arrays])
        length = np.linalg.norm(gradient, axis=1)
        unit = gradient / np.where(length == 0, 1, length)[:, None]
        total += unit @ unit.T
        count += np.outer(length != 0, length != 0)
    square: Floats = np.clip(total / np.where(count > 0, count, np.nan), -1, 1)
    return square
