"""How far a study's matrix depends on the attack: it is compared with matrices made under other settings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from sat.analyses.reference.comparison import compare

AGREEMENT = ("n_pairs", "pearson", "spearman", "mantel_p", "mean_offset", "sd_offset")


def ablation_table(
    matrices: Mapping[str, pd.DataFrame], models: Mapping[str, pd.DataFrame], permutations: int = 999, seed: int = 0
) -> pd.DataFrame:
    """Say how well the matrix of each variant agrees with the study's.

    Parameters
    ----------
    matrices : mapping of str to DataFrame, shape (n, n)
        SAT matrices by variant, the study's first. All have the same models.
    models : mapping of str to DataFrame
        Tables of the models (`sat.similarity.similarity.model_table`), by variant.
    permutations : int
        Number of permutations of Mantel's test.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        One row per matrix: variant, mean_whitebox (a share, averaged over models), n_low_whitebox
        (number of models below the study's min_whitebox), mean_sat (over pairs of different models), and
        n_pairs, pearson, spearman, mantel_p, mean_offset, sd_offset (variant minus study),
        which are those of `sat.analyses.reference.comparison.compare`, and NaN for the study itself.
    """
    study, *variants = matrices
    rows = []
    for name in (study, *variants):
        whitebox = models[name]
        square = matrices[name].to_numpy(float)
        above = square[np.triu_indices(len(square), 1)]
        row: dict[str, object] = {
            "variant": name,
            "mean_whitebox": whitebox["whitebox"].mean(),
            "n_low_whitebox": int(whitebox["low_whitebox"].sum()),
            "mean_sat": np.nanmean(above) if not np.isnan(above).all() else np.nan,
        }
        found = compare(matrices[name], matrices[study], permutations=permutations, seed=seed).table.iloc[0]
        rows.append(row | {column: found[column] for column in AGREEMENT})
    table = pd.DataFrame(rows)
    # Every matrix agrees with itself, so these numbers would say nothing.
    table.loc[0, list(AGREEMENT[1:])] = np.nan
    return table


def ablation_pairs(matrices: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compute the rank correlation of every two matrices.

    Parameters
    ----------
    matrices : mapping of str to DataFrame, shape (n, n)
        SAT matrices by variant. All have the same models.

    Returns
    -------
    DataFrame
        variant_a, variant_b (every pair of matrices once, in the given order), n_pairs, pearson, spearman.
    """
    rows = []
    for first, second in combinations(matrices, 2):
        found = compare(matrices[first], matrices[second], permutations=0).table.iloc[0]
        rows.append((first, second, found["n_pairs"], found["pearson"], found["spearman"]))
    return pd.DataFrame(rows, columns=["variant_a", "variant_b", "n_pairs", "pearson", "spearman"])
