"""Code that analyses of pairs of models share: aligned input, sums over pairs, permutations of model labels.

Pairs share models, so they are not independent. Therefore all tests give the models'
labels to other models and leave the matrix as it is (Mantel 1967, Cancer Research 27,
209-220).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.seeds import generator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sorted_matrix(sat: pd.DataFrame) -> pd.DataFrame:
    """Check a SAT matrix and sort it by name, so that no result depends on the order of models.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)
        Symmetric; NaN where two models have no image in common.

    Returns
    -------
    DataFrame, shape (n, n)
        Rows and columns in alphabetical order.

    Raises
    ------
    ValueError
        If rows and columns are not the same models, each once, or if the matrix is not symmetric.
    """
    if not (sat.index.is_unique and sat.columns.is_unique and set(sat.index) == set(sat.columns)):
        raise ValueError("rows and columns of the SAT matrix must be the same models, each of them once")
    names = sorted(sat.index)
    matrix = sat.loc[names, names].astype(float)
    if not np.allclose(matrix, matrix.T, equal_nan=True):
        raise ValueError("the SAT matrix is not symmetric")
    return matrix


def square_of(pairs: pd.DataFrame, column: str, models: Sequence[str]) -> pd.DataFrame:
    """Arrange a column of unordered pairs as a symmetric matrix.

    Parameters
    ----------
    pairs : DataFrame
        Columns model_a, model_b and the values; every pair once.
    column : str
    models : sequence of str
        Order of rows and columns.

    Returns
    -------
    DataFrame, shape (len(models), len(models))
        NaN for pairs that the table does not have.
    """
    half = pairs.set_index(["model_a", "model_b"])[column].unstack().reindex(index=list(models), columns=list(models))
    full = half.combine_first(half.T).reindex(index=list(models), columns=list(models))
    return full.rename_axis(index=None, columns=None)


def aligned_labels(table: pd.DataFrame, models: pd.Index) -> pd.DataFrame:
    """Look up the labels of the models, in the order of the models.

    Parameters
    ----------
    table : DataFrame
        Indexed by model, one column per grouping. Further models are ignored.
    models : Index, shape (n,)

    Returns
    -------
    DataFrame of str, shape (n, columns)
        Labels; empty where the label is unknown (NaN or blank).

    Raises
    ------
    ValueError
        If a model has no row, or more than one.
    """
    if not table.index.is_unique:
        raise ValueError(f"more than one row of labels for {', '.join(table.index[table.index.duplicated()].unique())}")
    if len(missing := models.difference(table.index)):
        raise ValueError(f"no row of labels for {', '.join(missing)}")
    rows = table.loc[models].astype(object)
    return rows.where(rows.notna(), "").astype(str).apply(lambda column: column.str.strip())


def indicators(labels: pd.Series) -> tuple[list[str], Floats]:
    """Make indicators of which model has which label.

    Parameters
    ----------
    labels : Series of str, shape (n,)
        Label of each model; empty where it is unknown.

    Returns
    -------
    list of str
        Known labels in alphabetical order.
    float array, shape (n, labels)
        1 where the model has the label, 0 elsewhere.
    """
    values = sorted(set(labels) - {""})
    return values, (labels.to_numpy(object)[:, None] == np.array(values, object)[None, :]).astype(float)


def off_diagonal(sat: pd.DataFrame) -> tuple[Floats, Floats]:
    """Split the SAT of different models into values, with 0 where SAT is missing, and a mask of what is present.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)

    Returns
    -------
    value, present : float array, shape (n, n)
        Both 0 on the diagonal and where SAT is NaN; `present` is 1 elsewhere.
    """
    value = sat.to_numpy(float, copy=True)
    np.fill_diagonal(value, np.nan)
    present = np.isfinite(value)
    return np.where(present, value, 0.0), present.astype(float)


def orders(n: int, permutations: int, seed: int) -> NDArray[np.int32]:
    """Draw permutations of n model labels; the identity comes first.

    Parameters
    ----------
    n : int
        Number of models.
    permutations : int
    seed : int
        Seed of the study.

    Returns
    -------
    int array, shape (1 + permutations, n)
        In permutation k, model i gets the label of model ``[k, i]``. The permutations
        are the same for every analysis of n models with this seed.
    """
    identity = np.arange(n, dtype=np.int32)
    shuffled = generator("label permutations", seed, n).permuted(np.tile(identity, (permutations, 1)), axis=1)
    return np.vstack([identity, shuffled])


def pair_sums(matrix: Floats, members: Floats, order: NDArray[np.int32]) -> tuple[Floats, Floats]:
    """Sum a matrix over the pairs within each label and over the pairs with one model of it, for permuted labels.

    Parameters
    ----------
    matrix : float array, shape (n, n)
        Symmetric matrix, 0 on the diagonal.
    members : float array, shape (n, labels)
        From `indicators`.
    order : int array, shape (permutations, n)
        From `orders`.

    Returns
    -------
    within : float array, shape (permutations, labels)
        Sums over unordered pairs of which both models have the label.
    crossing : float array, shape (permutations, labels)
        Sums over unordered pairs of which one model has the label and the other has another known label.
    """
    columns = np.column_stack([members, members.sum(axis=1)])  # the last column: the model has a known label
    within, crossing = [], []
    for batch in batches(order, columns.size):
        given = columns[batch.T]  # models, permutations, labels + 1
        reached = (matrix @ given.reshape(len(matrix), -1)).reshape(given.shape)
        both = np.einsum("nbl,nbl->bl", given[:, :, :-1], reached[:, :, :-1])
        within.append(both / 2)
        crossing.append(np.einsum("nb,nbl->bl", given[:, :, -1], reached[:, :, :-1]) - both)
    return np.vstack(within), np.vstack(crossing)


def batches(order: NDArray[np.int32], size: int, limit: int = 2_000_000) -> Iterator[NDArray[np.int32]]:
    """Cut permutations into batches, so that an intermediate array stays below `limit` numbers (16 MB)."""
    step = max(1, limit // max(1, size))
    for start in range(0, len(order), step):
        yield order[start : start + step]


def ratio(total: Floats, count: Floats) -> Floats:
    """Divide total by count; NaN where the count is 0."""
    mean: Floats = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)
    return mean


def two_sided(statistics: Floats, centre: float = 0.0) -> Floats:
    """Compute two-sided p: the share of permutations at least as far from the centre as the observed statistic.

    The observed statistic counts as one of the permutations.

    Parameters
    ----------
    statistics : float array, shape (1 + permutations, m)
        The observed statistics come first.
    centre : float

    Returns
    -------
    float array, shape (m,)
        p, never 0; NaN where the observed statistic is NaN. Permutations without a value do not count.
    """
    distance = np.abs(statistics - centre)
    # The tolerance is for permutations that change nothing: rounding may make their statistic smaller.
    extreme = (distance >= distance[0] - 1e-9).sum(axis=0)
    p: Floats = np.where(np.isfinite(distance[0]), extreme / np.maximum(np.isfinite(distance).sum(axis=0), 1), np.nan)
    return p


def max_adjusted(statistics: Floats, one_sided: bool = False) -> Floats:
    """Compute adjusted p of each statistic: the share of permutations in which any statistic is as extreme.

    Extreme is far from 0; one-sided, it is far above the statistic's own mean. Distances are in units of each
    statistic's root mean square distance, so that no scale dominates the maximum. Mean and unit are computed from all
    rows, including the observed one. So all rows are treated alike, and the test is exact for any number of rows.

    Parameters
    ----------
    statistics : float array, shape (1 + permutations, m)
        The observed statistics come first.
    one_sided : bool

    Returns
    -------
    float array, shape (m,)
        Adjusted p; NaN where the observed statistic is NaN, or does not vary under permutation.

    References
    ----------
    Westfall & Young (1993). Resampling-Based Multiple Testing. Wiley. (Single-step maxT.)
    """
    known = np.isfinite(statistics)
    centre = ratio(np.where(known, statistics, 0.0).sum(axis=0), known.sum(axis=0)) if one_sided else 0.0
    distance = np.where(known, statistics - centre, 0.0)
    spread = np.sqrt((distance**2).mean(axis=0))
    usable = known[0] & (spread > 1e-12)
    scaled = distance[:, usable] / spread[usable]
    scaled = scaled if one_sided else np.abs(scaled)
    p = np.full(statistics.shape[1], np.nan)
    if usable.any():
        largest = scaled.max(axis=1)[:, None]
        # The tolerance is for permutations that change nothing: rounding may make their statistic smaller.
        p[usable] = (largest >= scaled[0] - 1e-9).mean(axis=0)
    return p


def holm(p: Floats) -> Floats:
    """Adjust p-values for their number by Holm's step-down method.

    Parameters
    ----------
    p : float array, shape (n,)
        NaN is left out of the number.

    Returns
    -------
    float array, shape (n,)
        NaN where p is NaN.

    References
    ----------
    Holm (1979). Scandinavian Journal of Statistics 6, 65-70.
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted
