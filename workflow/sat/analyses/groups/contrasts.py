"""Contrasts of two groups of models: how much more alike pairs within them are than pairs across."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from sat.statistics.contrasts import NO_AFFINITY, contrast_interval, half_contrasts
from sat.statistics.pairs import (
    Floats,
    aligned_labels,
    holm,
    indicators,
    off_diagonal,
    orders,
    sorted_matrix,
    two_sided,
)

OTHERS = "(all others)"
"""Stands for all models of other groups. No group has this name by accident."""
COLUMNS = ("first", "second", "n_first", "n_second", "contrast", "low", "high", "p", "p_holm", "note")


def group_contrasts(
    affinity: pd.DataFrame, labels: pd.Series, confidence: float = 0.95, permutations: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Compute W_a + W_b - 2 A_ab of every two groups, and of every group and all other models.

    W is the mean affinity of pairs within a group, A that of pairs across. Effects of single models cancel, so a group
    that is merely fragile has a contrast of 0, and models of other groups change nothing. A contrast cannot tell which
    of the two groups coheres, since a boost of one gives the same matrix as a boost of the other.

    Parameters
    ----------
    affinity : DataFrame, shape (n, n)
        Symmetric; NaN on the diagonal and for pairs without a common image.
    labels : Series
        Group of each model, indexed by model; models without a group are in no contrast.
    confidence : float
        Level of the interval.
    permutations : int
        Number of times that labels are permuted, within the models of the two groups.
    seed : int

    Returns
    -------
    DataFrame
        first, second (or `OTHERS`), n_first, n_second (models), contrast in log-odds, low and high (a jackknife over
        models with Student's t, which is wide: in simulations with independent pairs, 95 % intervals covered 98 to
        100 %; NaN where a group has fewer than three models), p (two-sided), p_holm (adjusted for all rows
        by Holm's method), note (why there is no contrast).
    """
    matrix = sorted_matrix(affinity)
    square, present = off_diagonal(matrix)
    words, members = indicators(aligned_labels(labels.to_frame("group"), matrix.index)["group"])
    labelled = members.any(axis=1)
    rows = []
    pairs = list(combinations(range(len(words)), 2))
    # If there are only two groups, all others are the other group.
    alone = [(place, None) for place in range(len(words))] if len(words) > 2 else []
    for first, second in [*pairs, *alone]:
        a = members[:, first] > 0
        b = members[:, second] > 0 if second is not None else labelled & ~a
        chosen = np.flatnonzero(a | b)
        part = np.ix_(chosen, chosen)
        sides = np.column_stack([a, b])[chosen].astype(float)
        found = _contrast(square[part], present[part], sides, confidence, permutations, seed)
        name = words[second] if second is not None else OTHERS
        rows.append((words[first], name, int(a.sum()), int(b.sum()), *found))
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "p_holm"])
    table["p_holm"] = holm(table["p"].to_numpy(float))
    return table[list(COLUMNS)]


def _contrast(
    square: Floats, present: Floats, sides: Floats, confidence: float, permutations: int, seed: int
) -> tuple[float, float, float, float, str]:
    """Compute the contrast of two groups, low, high and p, and say in a note what is missing."""
    n = len(square)
    nothing = float("nan")
    if sides.sum(axis=0).min() < 2:
        return nothing, nothing, nothing, nothing, "a group of one model has no pair"
    if present.sum() < n * (n - 1):
        return nothing, nothing, nothing, nothing, NO_AFFINITY
    values = 2 * half_contrasts(square, sides, orders(n, permutations, seed))
    low, high = contrast_interval(square, sides, confidence=confidence)
    return float(values[0]), 2 * low, 2 * high, float(two_sided(values[:, None])[0]), ""
