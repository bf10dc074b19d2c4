"""Possible confounders of SAT: how strongly it correlates with attack strength and with accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sat.statistics.correlation import pearson

COLUMNS = ("quantity", "n_pairs", "r", "warning")


def caveats(
    matrix: pd.DataFrame, whitebox: Mapping[str, float], accuracy: Mapping[str, float], threshold: float = 0.5
) -> pd.DataFrame:
    """Correlate SAT with two quantities that it should not depend on, over pairs of models.

    A model that its own attack rarely fools has a low row and column. Models of
    different accuracy share fewer images. Where SAT follows one of these, it ranks
    attacks or accuracies rather than similarity.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT matrix, symmetric. Every pair of different models counts once.
    whitebox : mapping of str to float
        White-box success, a share.
    accuracy : mapping of str to float
        Share of clean images classified correctly. A model that is missing from
        a mapping is left out of that mapping's row of the result.
    threshold : float
        Absolute correlation above which a row warns.

    Returns
    -------
    DataFrame
        quantity (mean_whitebox: mean of the two models' white-box success;
        accuracy_difference: absolute difference of their accuracies), n_pairs, r
        (Pearson's correlation; NaN where either side is constant or fewer than
        3 pairs are known), warning (empty where there is none).
    """
    first, second = np.triu_indices(len(matrix), 1)
    sat = matrix.to_numpy(float)[first, second]
    success, correct = (
        np.array([values.get(str(model), np.nan) for model in matrix.index], float) for values in (whitebox, accuracy)
    )
    rows = []
    for quantity, words, values in (
        ("mean_whitebox", "mean white-box success", (success[first] + success[second]) / 2),
        ("accuracy_difference", "difference in accuracy", np.abs(correct[first] - correct[second])),
    ):
        r = pearson(sat, values)
        warning = f"SAT goes with the two models' {words} (r = {r:.2f} over pairs)" if abs(r) > threshold else ""
        rows.append((quantity, int((~np.isnan(sat) & ~np.isnan(values)).sum()), r, warning))
    return pd.DataFrame(rows, columns=list(COLUMNS))
