"""A paired test of two matrices that were measured on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.seeds import generator
from sat.similarity.resampling import Measure, Scores, bootstrap_weights
from sat.statistics.pairs import max_adjusted, two_sided

Floats = NDArray[np.float64]
AT_ONCE = 200
"""Number of draws whose matrices are in memory at once."""


@dataclass(frozen=True)
class Paired:
    """What `paired_test` finds."""

    pairs: pd.DataFrame
    """One row for each pair of different models: model_a, model_b, first, second, shift, shift_low, shift_high, p and
    p_adjusted."""
    mean: tuple[float, float, float]
    """Mean shift over pairs, and its interval."""
    p_mean: float
    """p of the mean shift, two-sided."""
    p_any: float
    """p of the mean square shift: small if the matrices differ at all, in whatever direction."""


def paired_test(
    first: Scores, second: Scores, measure: Measure, confidence: float = 0.95, draws: int = 999, seed: int = 0
) -> Paired:
    """Test whether two matrices differ by more than they would by chance if the two studies were equal.

    Under the null hypothesis, it makes no difference which study an image's outcomes come from. So the outcomes of both
    studies are swapped at random, image by image and for all pairs at once, and the shift is compared with the shifts
    of the swapped studies. The test is exact for any number of draws. Intervals come from images drawn with
    replacement, the same in both studies.

    Parameters
    ----------
    first, second : Scores
        Both studies have the same models, and the same images in the same order.
    measure : callable
        `weighted_sat` with its eps_s, or `weighted_affinity`.
    confidence : float
        Level of the normal intervals.
    draws : int
        Number of swapped studies, and of bootstrap samples.
    seed : int

    Returns
    -------
    Paired
        A pair without a value in either study has NaN. p is adjusted for all pairs by single-step maxT.

    Raises
    ------
    ValueError
        If models or images differ.

    References
    ----------
    Westfall & Young (1993). Resampling-Based Multiple Testing. Wiley.
    """
    images = first.both.shape[1]
    if first.models != second.models or images != second.both.shape[1]:
        raise ValueError("a paired test needs the same models and images in both studies")
    # The images of both studies stand side by side. Weights choose which outcome of an image counts in which study.
    joined = Scores(
        first.models,
        first.first,
        first.second,
        *(np.hstack([getattr(one, name) for one in (first, second)]) for name in ("both", "forth", "back")),
    )
    kept = generator("paired swaps", seed).integers(0, 2, (draws, images), dtype=np.int8)
    kept = np.vstack([np.ones((1, images), np.int8), kept])
    different = first.first != first.second
    shifts = np.vstack(
        [
            (measure(joined, np.hstack([1 - own, own])) - measure(joined, np.hstack([own, 1 - own])))[:, different]
            for own in np.array_split(kept, -(-len(kept) // AT_ONCE))
        ]
    )
    resampled = np.vstack(
        [
            (measure(second, weights) - measure(first, weights))[:, different]
            for weights in np.array_split(bootstrap_weights(images, draws, seed), -(-draws // AT_ONCE))
        ]
    )
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    names = np.array(first.models)
    once = np.ones((1, images))
    shift, half = shifts[0], z * np.nanstd(resampled, axis=0, ddof=1)
    table = pd.DataFrame(
        {
            "model_a": names[first.first[different]],
            "model_b": names[first.second[different]],
            "first": measure(first, once)[0][different],
            "second": measure(second, once)[0][different],
            "shift": shift,
            "shift_low": shift - half,
            "shift_high": shift + half,
            "p": two_sided(shifts),
            "p_adjusted": max_adjusted(shifts),
        }
    )
    # A pair without a value in some swapped study is left out of all, so that all means are over the same pairs.
    whole = np.isfinite(shifts).all(axis=0)
    means = shifts[:, whole].mean(axis=1, keepdims=True)
    error = z * float(np.nanstd(resampled[:, whole].mean(axis=1), ddof=1))
    squares = np.square(shifts[:, whole]).mean(axis=1)
    return Paired(
        table,
        (float(means[0, 0]), float(means[0, 0]) - error, float(means[0, 0]) + error),
        float(two_sided(means)[0]),
        float(np.mean(squares >= squares[0] * (1 - 1e-9))),
    )
