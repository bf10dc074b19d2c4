"""How far other measures of similarity agree with SAT, and how well each tells families apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sat.analyses.clusters.spectral import without_nan
from sat.seeds import generator
from sat.statistics.correlation import rank_mantel

Floats = NDArray[np.float64]


def against_sat(
    sat: pd.DataFrame,
    measures: Mapping[str, pd.DataFrame],
    accuracy: Mapping[str, float],
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the ranks of other measures and of SAT over unordered pairs of different models.

    Pairs share models, so p comes from a Mantel test: the names of SAT's models are
    permuted, and p is the share of permutations, the observed order included, whose
    correlation is at least as far from 0.

    Two models of equal accuracy, or two accurate ones, may be similar by any
    measure. So the partial correlation is that of the residuals of both ranks after
    linear regression on the ranks of the two models' mean accuracy and of the
    absolute difference of their accuracies. Its p comes from the same permutations;
    the regression is repeated in each.

    Parameters
    ----------
    sat : DataFrame, shape (models, models)
        SAT matrix, symmetric.
    measures : mapping of str to DataFrame
        Symmetric matrices by the measures' names. Models that SAT does not have are
        left out, and then models until no NaN is left off the diagonal.
    accuracy : mapping of str to float
        Accuracy of each model, as a share of images.
    permutations : int
    seed : int

    Returns
    -------
    DataFrame
        Columns measure, n_models, n_pairs, spearman, mantel_p, partial_spearman,
        partial_mantel_p. NaN with fewer than 3 models (4 for the partial ones),
        or where one side, or its residual, does not vary.

    References
    ----------
    Mantel, N. (1967). Cancer Research 27, 209-220.
    Legendre, P. (2000). J. Stat. Comput. Simul. 67, 37-73 (the partial test, method 1).
    """
    rows = []
    for name, other in measures.items():
        # The models are sorted, so that the permutations do not depend on their order.
        models = _complete(sat, other)
        n = len(models)
        row: dict[str, object] = {"measure": name, "n_models": n, "n_pairs": n * (n - 1) // 2}
        for prefix, least in (("", 3), ("partial_", 4)):
            row |= {f"{prefix}spearman": np.nan, f"{prefix}mantel_p": np.nan}
            if n >= least:
                covariates = pair_accuracies([accuracy[model] for model in models]) if prefix else []
                row[f"{prefix}spearman"], row[f"{prefix}mantel_p"] = rank_mantel(
                    sat.loc[models, models].to_numpy(float),
                    other.loc[models, models].to_numpy(float),
                    covariates,
                    permutations,
                    generator("mantel test", seed, name),
                )
        rows.append(row)
    return pd.DataFrame(rows)


def _complete(*matrices: pd.DataFrame) -> list[str]:
    """List models, sorted, for which no matrix has NaN off the diagonal."""
    models = sorted(set.intersection(*(set(matrix.index) for matrix in matrices)))
    holes = sum(matrix.loc[models, models].isna().to_numpy() for matrix in matrices) * ~np.eye(len(models), dtype=bool)
    kept, _ = without_nan(pd.DataFrame(np.where(holes, np.nan, 0.0), index=models, columns=models))
    return list(kept.index)


def pair_accuracies(accuracy: list[float]) -> list[Floats]:
    """Mean and absolute difference of two models' accuracies for every unordered pair: two arrays, shape (pairs,)."""
    share = np.array(accuracy, float)
    a, b = np.triu_indices(len(share), 1)
    return [(share[a] + share[b]) / 2, np.abs(share[a] - share[b])]


def family_separation(measures: Mapping[str, pd.DataFrame], families: Mapping[str, str]) -> pd.DataFrame:
    """Compute how well measures tell pairs within a family from pairs across families.

    Parameters
    ----------
    measures : mapping of str to DataFrame
        Symmetric matrices by the measures' names; SAT may be one of them. Pairs with NaN are left out.
    families : mapping of str to str
        Family of every model. Models without a family are left out.

    Returns
    -------
    DataFrame
        Columns: measure, n_within, n_across (numbers of pairs), within_mean,
        across_mean, d_prime (difference of the means, divided by the root of the
        mean of both variances, n - 1 in the denominator), roc_auc (of all
        combinations of a pair within and a pair across, the share in which the
        pair within is more similar; ties count half). NaN where there are too few
        pairs.
    """
    rows = []
    for name, matrix in measures.items():
        models = [model for model in matrix.index if model in families]
        a, b = np.triu_indices(len(models), 1)
        value = matrix.loc[models, models].to_numpy(float)[a, b]
        family = np.array([families[model] for model in models], object)
        same = family[a] == family[b]
        within, across = value[same & ~np.isnan(value)], value[~same & ~np.isnan(value)]
        row = {"measure": name, "n_within": len(within), "n_across": len(across)}
        row |= {"within_mean": _mean(within), "across_mean": _mean(across), "d_prime": np.nan, "roc_auc": np.nan}
        if len(within) and len(across):
            above = (
                rankdata(np.concatenate([within, across]))[: len(within)].sum() - len(within) * (len(within) + 1) / 2
            )
            row["roc_auc"] = above / (len(within) * len(across))
        if min(len(within), len(across)) > 1 and (spread := (within.var(ddof=1) + across.var(ddof=1)) / 2) > 0:
            row["d_prime"] = (within.mean() - across.mean()) / np.sqrt(spread)
        rows.append(row)
    return pd.DataFrame(rows)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
