"""Correlations, and their p-values from permutations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# If a projection leaves less than this share of a vector's length, the rest is a rounding error.
_ROUNDING = 1e-7


def ranked(values: Floats) -> Floats:
    """Rank values from 1; equal values share the mean of their ranks.

    The ranks are those of `scipy.stats.rankdata`, which takes four times as long. Permutation tests rank thousands of
    times.

    Parameters
    ----------
    values : float array, shape (n,)

    Returns
    -------
    float array, shape (n,)
        All NaN if any value is NaN.
    """
    n = len(values)
    order = values.argsort()
    ascending = values[order]
    # NaN comes last.
    if n and np.isnan(ascending[-1]):
        return np.full(n, np.nan)
    first = np.ones(n, np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    starts = np.flatnonzero(first)
    ends = np.concatenate((starts[1:], [n]))[: len(starts)]
    ranks = np.empty(n)
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def pearson(a: Floats, b: Floats) -> float:
    """Compute Pearson's correlation over the positions where both values are known.

    Parameters
    ----------
    a, b : float array, shape (n,)

    Returns
    -------
    float
        NaN with fewer than 3 positions, or if one side is constant up to rounding.
    """
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3:
        return float("nan")
    a, b = a[known], b[known]
    if np.ptp(a) <= 1e-12 or np.ptp(b) <= 1e-12:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def spearman(a: Floats, b: Floats) -> float:
    """Compute Spearman's correlation where both values are known; NaN with fewer than 3, or if one side is constant."""
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3:
        return float("nan")
    a, b = (ranked(values[known]) for values in (a, b))
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale > 0 else float("nan")


class RankCorrelation:
    """Spearman's correlation with one variable, partial on covariates; NaN if one side does not vary.

    Parameters
    ----------
    variable : array, shape (n,)
    covariates : list of array, shape (n,)
        Their ranks are regressed linearly out of the ranks of both variables.
    """

    def __init__(self, variable: Floats, covariates: list[Floats]) -> None:
        ranks = [np.ones(len(variable)), *(ranked(covariate) for covariate in covariates)]
        # Constant and collinear covariates add no direction.
        vectors, lengths, _ = np.linalg.svd(np.stack([rank / np.linalg.norm(rank) for rank in ranks], 1), False)
        self.basis: Floats = vectors[:, lengths > _ROUNDING]
        self.residual = self._residual(ranked(variable))

    def _residual(self, ranks: Floats) -> Floats:
        """Residual of ranks after regression on the covariates, scaled to length 1; NaN if only rounding is left."""
        left = ranks - self.basis @ (self.basis.T @ ranks)
        length = np.linalg.norm(left)
        unit: Floats = left / length if length > _ROUNDING * np.linalg.norm(ranks) else np.full(len(left), np.nan)
        return unit

    def with_ranks(self, ranks: Floats) -> float:
        """Correlation of the variable with another one, given by its ranks, float (n,)."""
        return float(self._residual(ranks) @ self.residual)

    def with_values(self, values: Floats) -> float:
        """Correlation of the variable with another one, float (n,)."""
        return self.with_ranks(ranked(values))


def permutation_p(observed: float, permuted: Floats) -> float:
    """Two-sided p of a correlation. Permutations in which it is undefined count as not exceeding it.

    Parameters
    ----------
    observed : float
        The observed correlation. If it is NaN, p is NaN.
    permuted : float array, shape (permutations,)

    Returns
    -------
    float
    """
    if np.isnan(observed):
        return float("nan")
    # Values that are equal up to rounding count as equal, because the order of addition may differ.
    return float((1 + (np.abs(permuted) >= abs(observed) - 1e-9).sum()) / (1 + len(permuted)))


def rank_mantel(first: Floats, second: Floats, permutations: int, random: np.random.Generator) -> tuple[float, float]:
    """Spearman's correlation of two matrices over unordered pairs, and Mantel's two-sided p.

    Parameters
    ----------
    first, second : float array, shape (n, n)
        Symmetric; the models of the first are permuted.
    permutations : int
    random : Generator

    Returns
    -------
    float, float
        NaN if one of the two matrices does not vary.
    """
    a, b = np.triu_indices(len(first), 1)
    # Permuting the models permutes the pairs, so ranks are taken once.
    ranks = np.zeros_like(first)
    ranks[a, b] = ranks[b, a] = ranked(first[a, b])
    correlate = RankCorrelation(second[a, b], []).with_ranks
    observed = correlate(ranks[a, b])
    orders = (random.permutation(len(first)) for _ in range(permutations))
    return observed, permutation_p(observed, np.array([correlate(ranks[order[a], order[b]]) for order in orders]))


def stratified_mantel_p(
    first: Floats, second: Floats, mask: Bools, inside: Bools, permutations: int, random: np.random.Generator
) -> float:
    """Mantel's one-sided p of Pearson's correlation: how often a relabelling agrees at least as well.

    Parameters
    ----------
    first, second : float array, shape (n, n)
        The models of the second are permuted. Pairs that are NaN do not count.
    mask : bool array, shape (n, n)
        Pairs that count.
    inside : bool array, shape (n,)
        Models of a group: labels move within it, and within the rest, so that the group's pairs stay its pairs.
    permutations : int
    random : Generator

    Returns
    -------
    float
        The true labelling counts as one of them; NaN where the correlation is NaN, or without permutations.
    """
    a = first[mask]
    measured = pearson(a, second[mask])
    if np.isnan(measured) or permutations < 1:
        return float("nan")
    strata = [np.flatnonzero(inside), np.flatnonzero(~inside)]
    order = np.arange(len(first))
    as_good = 0
    for _ in range(permutations):
        for stratum in strata:
            order[stratum] = random.permutation(stratum)
        # A relabelling that gives back the same matrix differs by rounding only.
        as_good += pearson(a, second[np.ix_(order, order)][mask]) >= measured - 1e-12
    return (1 + as_good) / (1 + permutations)
