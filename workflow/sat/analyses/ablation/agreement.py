"""How far a study's matrix depends on the attack: matrices of the same models under other settings, compared."""

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
        SAT by variant, the study's first; of the same models.
    models : mapping of str to DataFrame
        Tables of the models (`sat.similarity.similarity.model_table`), likewise.
    permutations : int
        For Mantel's test.
    seed : int
        The study's.

    Returns
    -------
    DataFrame
        One row a matrix: variant, mean_whitebox (share, over models), n_low_whitebox
        (models below the study's least white-box success: their rows and
        columns are too low), mean_sat (over pairs of two models), and for variants
        n_pairs, pearson, spearman, mantel_p, mean_offset, sd_offset (variant minus study),
        as in `sat.analyses.reference.comparison.compare`; NaN for the study itself.
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
    # With itself, every matrix agrees.
    table.loc[0, list(AGREEMENT[1:])] = np.nan
    return table


def ablation_pairs(matrices: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Rank correlation of every two of the matrices.

    Parameters
    ----------
    matrices : mapping of str to DataFrame, shape (n, n)
        SAT by variant; of the same models.

    Returns
    -------
    DataFrame
        variant_a, variant_b (each two once, in the order given), n_pairs, pearson, spearman.
    """
    rows = []
    for first, second in combinations(matrices, 2):
        found = compare(matrices[first], matrices[second], permutations=0).table.iloc[0]
        rows.append((first, second, found["n_pairs"], found["pearson"], found["spearman"]))
    return pd.DataFrame(rows, columns=["variant_a", "variant_b", "n_pairs", "pearson", "spearman"])
