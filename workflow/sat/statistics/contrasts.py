"""Contrasts of classes of models: how much more alike pairs of one class are than pairs of two classes.

A contrast is W_a + W_b - 2 A_ab, where W is the mean affinity of pairs within a class, and A that of pairs across. The
effects of single models cancel, and models of other classes play no role. So a contrast does not depend on what else
was measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.statistics.intervals import jackknife_interval
from sat.statistics.pairs import (
    Floats,
    aligned_labels,
    batches,
    indicators,
    max_adjusted,
    off_diagonal,
    orders,
    sorted_matrix,
    two_sided,
)

NO_AFFINITY = "a pair has no affinity, so effects do not cancel"
WEIGHTINGS = {"": True, "_equal": False}
"""Suffix of the columns, and whether large classes weigh more."""
NUMBERS = ("half_contrast", "low", "high", "p", "p_adjusted")


def class_weights(sizes: Floats, by_size: bool) -> Floats:
    """Compute the weight of each ordered pair of models in the mean contrast, by their classes.

    Parameters
    ----------
    sizes : float array, shape (classes,)
        Numbers of models. A class of fewer than two has no pair, and gets no weight.
    by_size : bool
        Whether every two classes weigh as much as they have pairs across; otherwise all weigh the same.

    Returns
    -------
    float array, shape (classes, classes)
        The sum of affinity times weight, over ordered pairs of different models, is half the mean of
        W_a + W_b - 2 A_ab over every two classes. All 0 with fewer than two classes of two models or more.
    """
    usable = sizes > 1
    share = np.outer(usable, usable) * (np.outer(sizes, sizes) if by_size else 1.0)
    np.fill_diagonal(share, 0)
    share = share / max(share.sum(), 1e-300)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    weights: Floats = (np.diag(share.sum(axis=1)) - share) / np.where(pairs > 0, pairs, 1)
    return weights


def half_contrasts(square: Floats, members: Floats, order: NDArray[np.int32], by_size: bool = True) -> Floats:
    """Compute half the mean contrast of every two classes, for permuted labels.

    Parameters
    ----------
    square : float array, shape (n, n)
        Symmetric, 0 on the diagonal, no NaN.
    members : float array, shape (n, classes)
        From `sat.statistics.pairs.indicators`.
    order : int array, shape (permutations, n)
        From `sat.statistics.pairs.orders`.
    by_size : bool
        See `class_weights`.

    Returns
    -------
    float array, shape (permutations,)
        Half of the mean contrast, which says how much more alike a pair of one class is than a pair of two. NaN with
        fewer than two classes of two models or more.
    """
    weights = class_weights(members.sum(axis=0), by_size)
    if not weights.any():
        return np.full(len(order), np.nan)
    found = []
    for batch in batches(order, members.size):
        given = members[batch.T]  # models, permutations, classes
        reached = (square @ given.reshape(len(square), -1)).reshape(given.shape)
        found.append(np.einsum("nbl,nbl->b", reached, given @ weights))
    return np.concatenate(found)


def contrast_interval(
    square: Floats, members: Floats, by_size: bool = True, confidence: float = 0.95
) -> tuple[float, float]:
    """Compute the jackknife interval of `half_contrasts` over models.

    If a class of two models loses one of them, it has no pair. Then the mean is over the other classes.

    Parameters
    ----------
    square, members, by_size
        See `half_contrasts`.
    confidence : float

    Returns
    -------
    low, high : float
        NaN if fewer than two classes are left when some model is left out.
    """
    used = np.flatnonzero(members[:, members.sum(axis=0) > 1].any(axis=1))
    identity = np.arange(len(used) - 1, dtype=np.int32)[None]
    value, without = float("nan"), []
    if len(used) > 2:
        value = float(half_contrasts(square, members, np.arange(len(square), dtype=np.int32)[None], by_size)[0])
        for model in used:
            rest = used[used != model]
            without.append(half_contrasts(square[np.ix_(rest, rest)], members[rest], identity, by_size)[0])
    return jackknife_interval(value, without, confidence)


def overall_contrasts(
    affinity: pd.DataFrame, table: pd.DataFrame, confidence: float = 0.95, permutations: int = 9999, seed: int = 0
) -> pd.DataFrame:
    """Compute, for each column of labels, how much more alike pairs of one label are than pairs of two labels.

    Parameters
    ----------
    affinity : DataFrame, shape (n, n)
        Symmetric.
    table : DataFrame
        Indexed by model, one column for each way to label the models; a label may be unknown.
    confidence : float
        Level of the intervals.
    permutations : int
        Number of times that all labels are given to other models.
    seed : int

    Returns
    -------
    DataFrame
        Indexed by the columns of the table. Columns: n_values and n_models (number of labels that two models or more
        have, and of these models), half_contrast (in log-odds; every two labels weigh as much as they have pairs
        across), low and high (see `contrast_interval`), p (two-sided), p_adjusted (for all columns of the table at
        once, see `max_adjusted`), the same five with the suffix _equal (every two labels weigh the same), and note (why
        there is no contrast).
    """
    matrix = sorted_matrix(affinity)
    n = len(matrix)
    labels = aligned_labels(table, matrix.index)
    square, present = off_diagonal(matrix)
    complete = present.sum() == n * (n - 1)
    order = orders(n, permutations, seed)
    rows: list[dict[str, Any]] = []
    drawn: dict[str, list[Floats]] = {suffix: [] for suffix in WEIGHTINGS}
    for name in labels:
        _, members = indicators(labels[name])
        members = members[:, members.sum(axis=0) > 1]
        row: dict[str, Any] = {"n_values": members.shape[1], "n_models": int(members.sum()), "note": ""}
        if members.shape[1] < 2:
            row["note"] = "fewer than two values have two models"
        elif not complete:
            row["note"] = NO_AFFINITY
        for suffix, by_size in WEIGHTINGS.items():
            values = np.full(len(order), np.nan)
            if not row["note"]:
                values = half_contrasts(square, members, order, by_size)
                row[f"low{suffix}"], row[f"high{suffix}"] = contrast_interval(square, members, by_size, confidence)
            row[f"half_contrast{suffix}"], row[f"p{suffix}"] = values[0], two_sided(values[:, None])[0]
            drawn[suffix].append(values)
        rows.append(row)
    for suffix, columns in drawn.items():
        for row, p in zip(rows, max_adjusted(np.column_stack(columns)) if columns else (), strict=True):
            row[f"p_adjusted{suffix}"] = p
    numbers = [f"{number}{suffix}" for suffix in WEIGHTINGS for number in NUMBERS]
    found = pd.DataFrame(rows, index=labels.columns, columns=["n_values", "n_models", *numbers, "note"])
    return found.astype(dict.fromkeys(numbers, float))
