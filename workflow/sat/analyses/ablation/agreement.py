"""How far a study's results depend on the attack: they are compared with those of other attacks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from sat.analyses.clusters.spectral import odds_ratios, partition_agreement, spectral_clusters, without_nan
from sat.analyses.reference.comparison import compare

AGREEMENT = ("n_pairs", "pearson", "spearman", "mantel_p", "mean_offset", "sd_offset")
Matrices = Mapping[str, Mapping[str, pd.DataFrame]]
"""Matrices by what they hold (sat, affinity) and by variant, the study's first. All have the same models."""


def ablation_table(
    matrices: Matrices,
    models: Mapping[str, pd.DataFrame],
    pairs: pd.DataFrame,
    permutations: int = 999,
    seed: int = 0,
) -> pd.DataFrame:
    """Say how well the matrix and the clusters of each variant agree with the study's.

    Parameters
    ----------
    matrices : Matrices
    models : mapping of str to DataFrame
        Tables of the models (`sat.similarity.similarity.model_table`), by variant.
    pairs : DataFrame
        From `ablation_pairs`.
    permutations : int
        Number of permutations of Mantel's test.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        One row per matrix: variant, of (what the matrix holds), mean_whitebox (a share, averaged over
        models), n_low_whitebox (number of models below the study's min_whitebox), mean_sat (over pairs of
        different models; NaN for affinity, whose mean is 0), and n_pairs, pearson, spearman, mantel_p,
        mean_offset, sd_offset (variant minus study), which are those of
        `sat.analyses.reference.comparison.compare`; rand, the adjusted Rand index of its clusters and the study's.
        Columns that compare with the study are NaN for the study itself.
    """
    rows = []
    # The study's row stays NaN: its agreement with itself says nothing.
    rand = pairs.set_index(["of", "variant_a", "variant_b"])["rand"].to_dict()
    for of, variants in matrices.items():
        study = next(iter(variants))
        for name, matrix in variants.items():
            whitebox = models[name]
            square = matrix.to_numpy(float)
            above = square[np.triu_indices(len(square), 1)]
            row: dict[str, object] = {
                "variant": name,
                "of": of,
                "mean_whitebox": whitebox["whitebox"].mean(),
                "n_low_whitebox": int(whitebox["low_whitebox"].sum()),
                "mean_sat": np.nanmean(above) if of == "sat" and not np.isnan(above).all() else np.nan,
            }
            compared = compare(matrix, variants[study], permutations=permutations, seed=seed).table.iloc[0]
            row |= {column: compared[column] for column in AGREEMENT}
            rows.append(row | {"rand": rand.get((of, study, name), np.nan)})
    table = pd.DataFrame(rows)
    # Every matrix agrees with itself, so these numbers would say nothing.
    table.loc[table["variant"] == next(iter(models)), list(AGREEMENT[1:])] = np.nan
    table.loc[table["of"] == "affinity", "mean_offset"] = np.nan
    return table


def ablation_pairs(matrices: Matrices, k: int, seed: int = 0) -> pd.DataFrame:
    """Compare every two matrices, and the clusters of both.

    Parameters
    ----------
    matrices : Matrices
    k : int
        Number of clusters.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        variant_a, variant_b (every pair of matrices once, in the given order), of, n_pairs, pearson, spearman, rand.
    """
    rows = []
    for of, variants in matrices.items():
        found = {name: clusters(matrix, of, k, seed) for name, matrix in variants.items()}
        rand = partition_agreement(found)["adjusted_rand"]
        for (first, second), index in zip(combinations(variants, 2), rand, strict=True):
            compared = compare(variants[first], variants[second], permutations=0).table.iloc[0]
            agreement = [compared[column] for column in ("n_pairs", "pearson", "spearman")]
            rows.append((first, second, of, *agreement, index))
    columns = ["variant_a", "variant_b", "of", "n_pairs", "pearson", "spearman", "rand"]
    return pd.DataFrame(rows, columns=columns)


def clusters(matrix: pd.DataFrame, of: str, k: int, seed: int = 0) -> pd.Series:
    """Cluster the models by a matrix, as the analysis `clusters` does.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT or affinity.
    of : {'sat', 'affinity'}
        Affinity may be negative, so clustering takes its exponential, an odds ratio, and 0 for a model with itself.
    k : int
        Number of clusters; at most the number of models is used.
    seed : int

    Returns
    -------
    Series of int
        Clusters by model, without models that have NaN or no similarity; empty where no model is left.
    """
    weights, _ = without_nan(odds_ratios(matrix) if of == "affinity" else matrix)
    lonely = weights.index[(weights <= 0).all(axis=1)]
    weights = weights.drop(index=lonely, columns=lonely)
    if weights.empty:
        return pd.Series(dtype=int)
    found: pd.Series = spectral_clusters(weights, min(k, len(weights)), seed=seed).table.set_index("model")["cluster"]
    return found
