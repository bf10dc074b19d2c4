"""What SAT does not say: how much of it goes with attack strength and with accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sat.statistics.correlation import pearson

COLUMNS = ("quantity", "n_pairs", "r", "warning")


def caveats(
    matrix: pd.DataFrame, whitebox: Mapping[str, float], accuracy: Mapping[str, float], threshold: float = 0.5
) -> pd.DataFrame:
    """Correlate SAT, over pairs, with what it should not depend on.

    A model that its own attack rarely fools has a low row and column, and
    models of different accuracy share fewer images: where SAT follows either, it
    ranks attacks or accuracies rather than likeness.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT; symmetric. Pairs of two models count, each once.
    whitebox : mapping of str to float
        White-box success, a share.
    accuracy : mapping of str to float
        Share of clean images classified correctly. A model that a mapping does
        not hold is left out of its row.
    threshold : float
        Absolute correlation above which a row warns.

    Returns
    -------
    DataFrame
        quantity (mean_whitebox: mean of the two models' white-box success;
        accuracy_difference: absolute), n_pairs, r (Pearson's; NaN where either
        side is constant or fewer than 3 pairs are known), warning (empty where
        there is none).
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
