"""How far other measures of similarity agree with SAT and affinity, and how well each tells families apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.analyses.clusters.spectral import complete_models
from sat.seeds import generator
from sat.similarity.affinity import fit_affinity
from sat.statistics.correlation import RankCorrelation, permutation_p, rank_mantel, ranked

Floats = NDArray[np.float64]
BLOCK = 256
"""Permutations of families that are evaluated at once."""


def rest(matrix: pd.DataFrame) -> pd.DataFrame:
    """Take each model's own level out of a measure, as affinity takes it out of the log-odds of transfer.

    The measure is taken on its own scale. Models are left out until no NaN is left off the diagonal.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        Symmetric.

    Returns
    -------
    DataFrame, shape (n, n)
        NaN on the diagonal, for models that are left out, and everywhere if fewer than 4 models remain.
    """
    models = complete_models(matrix)
    part = matrix.loc[models, models]
    left = fit_affinity(part).matrix
    # Pairs that differ by rounding only become ties, and a measure that consists of levels alone becomes 0.
    digits = 9 - np.log10(part.abs().max(axis=None)) if part.any(axis=None) else 0
    return left.round(int(digits)).reindex(index=matrix.index, columns=matrix.columns)


def against(
    sat: pd.DataFrame,
    affinity: pd.DataFrame,
    measures: Mapping[str, pd.DataFrame],
    accuracy: Mapping[str, float],
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the ranks of other measures with those of SAT and affinity over unordered pairs of different models.

    SAT is compared with the measure. Affinity is compared with the measure's rest: both are least-squares rests after
    one additive effect per model, fitted anew to the models that both have. So whatever acts as a sum of two values,
    one of each model, has no part in it, for example any function of the models' accuracies in such a sum.

    Pairs share models, so p comes from a Mantel test: the names of one side's models are permuted, and p is the share
    of permutations, the observed order included, whose correlation is at least as far from 0. It is as valid for rests
    as for the measures: the rest of a permuted matrix is the permuted rest.

    What acts on pairs in another way is not taken out, for example the difference of two accuracies, or their product.
    `partial_spearman` shows what is left without the difference. It has no p, because the partial Mantel test rejects
    far too often where accuracy does not act linearly.

    Parameters
    ----------
    sat, affinity : DataFrame, shape (models, models)
        Symmetric.
    measures : mapping of str to DataFrame
        Symmetric matrices by the measures' names. Models that SAT or affinity does not have are left out, and then
        models until no NaN is left off the diagonal.
    accuracy : mapping of str to float
        Accuracy of each model, as a share of images.
    permutations : int
    seed : int

    Returns
    -------
    DataFrame
        Two rows per measure. Columns measure, of ('sat': SAT against the measure; 'affinity': affinity against the
        measure's rest), n_models, n_pairs, spearman, mantel_p, partial_spearman (correlation of the residuals after
        linear regression of both ranks on those of the absolute difference of the two models' accuracies). NaN with
        fewer than 3 models (4 for affinity), or where one side, or its residual, does not vary.

    References
    ----------
    Mantel, N. (1967). Cancer Research 27, 209-220.
    Guillot, G. & Rousset, F. (2013). Dismantling the Mantel tests. Methods Ecol. Evol. 4, 336-344.
    """
    rows = []
    for name, other in measures.items():
        for of, ours, least in (("sat", sat, 3), ("affinity", affinity, 4)):
            # The models are sorted, so that the permutations do not depend on their order.
            models = complete_models(ours, other)
            n = len(models)
            found = (np.nan, np.nan, np.nan)
            if n >= least:
                both = (matrix.loc[models, models] for matrix in (ours, other))
                one, two = ((rest(matrix) if of == "affinity" else matrix).to_numpy(float) for matrix in both)
                a, b = np.triu_indices(n, 1)
                share = np.array([accuracy[model] for model in models])
                partial = RankCorrelation(two[a, b], [np.abs(share[a] - share[b])]).with_values(one[a, b])
                found = (*rank_mantel(one, two, permutations, generator("mantel test", seed, name)), partial)
            rows.append((name, of, n, n * (n - 1) // 2, *found))
    columns = ["measure", "of", "n_models", "n_pairs", "spearman", "mantel_p", "partial_spearman"]
    return pd.DataFrame(rows, columns=columns)


def family_separation(
    sat: pd.DataFrame,
    affinity: pd.DataFrame,
    measures: Mapping[str, pd.DataFrame],
    families: Mapping[str, str],
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute how well SAT, affinity and other measures tell pairs within a family from pairs across families.

    Parameters
    ----------
    sat, affinity : DataFrame, shape (models, models)
    measures : mapping of str to DataFrame
        Symmetric matrices by the measures' names. Pairs with NaN are left out.
    families : mapping of str to str
        Family of every model. Models without a family are left out.
    permutations : int
        Number of times that families are given to other models.
    seed : int

    Returns
    -------
    DataFrame
        Two rows per measure, and the first two are SAT and affinity. Columns: measure, rest (whether each model's own
        level is taken out), n_within, n_across (numbers of pairs), within_mean, across_mean, d_prime (difference of
        the means, divided by the root of the mean of both variances, n - 1 in the denominator), roc_auc (of all
        combinations of a pair within and a pair across, the share in which the pair within is more similar; ties count
        half), p (of a roc_auc at least as far from 0.5 when families are given to other models, the observed families
        included). NaN where there are too few pairs.
    """
    matrices: list[tuple[str, bool, pd.DataFrame]] = [("sat", False, sat), ("affinity", True, affinity)]
    for name, matrix in measures.items():
        matrices += [(name, False, matrix), (name, True, rest(matrix))]
    rows = []
    for name, without_level, matrix in matrices:
        models = sorted(model for model in matrix.index if model in families)
        a, b = np.triu_indices(len(models), 1)
        value = matrix.loc[models, models].to_numpy(float)[a, b]
        known = ~np.isnan(value)
        a, b, value = a[known], b[known], value[known]
        family = np.unique([families[model] for model in models], return_inverse=True)[1]
        same = family[a] == family[b]
        within, across = value[same], value[~same]
        row = {"measure": name, "rest": without_level, "n_within": len(within), "n_across": len(across)}
        row |= {"within_mean": _mean(within), "across_mean": _mean(across), "d_prime": np.nan}
        row |= {"roc_auc": np.nan, "p": np.nan}
        if len(within) and len(across):
            ranks = ranked(value)
            area = float(_areas(ranks, same[None])[0])
            random = generator("families of other models", seed)
            permuted = [
                _areas(ranks, labels[:, a] == labels[:, b]) for labels in _permuted(family, permutations, random)
            ]
            row |= {"roc_auc": area, "p": permutation_p(area - 0.5, np.concatenate(permuted) - 0.5)}
        if min(len(within), len(across)) > 1 and (spread := (within.var(ddof=1) + across.var(ddof=1)) / 2) > 0:
            row["d_prime"] = (within.mean() - across.mean()) / np.sqrt(spread)
        rows.append(row)
    return pd.DataFrame(rows)


def _areas(ranks: Floats, same: NDArray[np.bool_]) -> Floats:
    """Areas under ROC curves from the ranks of pairs, (pairs,), and which are within a family, (choices, pairs)."""
    within = same.sum(axis=1)
    across = len(ranks) - within
    with np.errstate(invalid="ignore", divide="ignore"):
        areas: Floats = (same @ ranks - within * (within + 1) / 2) / (within * across)
    return areas


def _permuted(labels: NDArray[np.intp], permutations: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Labels of models in other orders, in blocks of shape (orders, models)."""
    for start in range(0, permutations, BLOCK):
        yield random.permuted(np.tile(labels, (min(BLOCK, permutations - start), 1)), axis=1)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
