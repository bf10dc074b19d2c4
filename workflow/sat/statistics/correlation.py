"""Correlations, and their p-values from permutations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
# If a projection leaves less than this share of a vector's length, the rest is a rounding error.
_ROUNDING = 1e-7


def pearson(a: Floats, b: Floats) -> float:
    """Pearson's correlation over the positions where both are known.

    Parameters
    ----------
    a, b : float array, shape (n,)

    Returns
    -------
    float
        NaN with fewer than 3 positions, or if one of them is constant up to rounding.
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
    """Spearman's rank correlation over the positions where both are known; NaN with fewer than 3, or a constant."""
    known = ~(np.isnan(a) | np.isnan(b))
    if known.sum() < 3:
        return float("nan")
    a, b = (rankdata(values[known]) for values in (a, b))
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
        ranks = [np.ones(len(variable)), *(rankdata(covariate) for covariate in covariates)]
        # Constant and collinear covariates add no direction.
        vectors, lengths, _ = np.linalg.svd(np.stack([rank / np.linalg.norm(rank) for rank in ranks], 1), False)
        self.basis: Floats = vectors[:, lengths > _ROUNDING]
        self.residual = self._residual(rankdata(variable))

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
        return self.with_ranks(rankdata(values))


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
