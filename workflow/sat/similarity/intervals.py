"""Intervals for shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm


def wilson(hits: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson score interval of a share.

    Parameters
    ----------
    hits : array_like
        Number of successes; need not be whole (a mean of two indicators).
    n : array_like
        Number of trials. Where it is 0, the interval is 0 to 1.
    confidence : float

    Returns
    -------
    low, high : float array
        Within 0 to 1.

    References
    ----------
    Wilson, E. B. (1927). JASA 22(158), 209-212.
    """
    hits, n = np.asarray(hits, float), np.asarray(n, float)
    z2 = norm.isf((1 - confidence) / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, hits / n, 0.5)
        centre = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    low = np.where(n > 0, np.clip(centre - half, 0, 1), 0.0)
    high = np.where(n > 0, np.clip(centre + half, 0, 1), 1.0)
    # Exact at the ends, where rounding would leave 1e-17.
    return np.where(share <= 0, 0.0, low), np.where(share >= 1, 1.0, high)
