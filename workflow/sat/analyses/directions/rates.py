"""Rates of both directions, and how far they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.similarity.affinity import directed_log_odds, fit_levels
from sat.statistics.correlation import pearson, spearman
from sat.statistics.pairs import holm

Floats = NDArray[np.float64]
COLUMNS = ("rate", "rate_low", "rate_high", "noise_rate", "noise_p", "noise_p_holm")


def two_way_table(pairs: pd.DataFrame, most_similar: pd.DataFrame) -> pd.DataFrame:
    """Put both directions of every pair of different models side by side.

    Parameters
    ----------
    pairs : DataFrame
        The pair table, one row per ordered pair.
    most_similar : DataFrame
        Unordered pairs with SAT and the p-value against noise of both directions together.

    Returns
    -------
    DataFrame
        Columns: model_a < model_b, sat, n_both_correct; for each direction (``_ab``: made on a, tried on b; ``_ba``)
        rate, rate_low, rate_high, noise_rate, noise_p and noise_p_holm (adjusted for the number of directions of all
        pairs); noise_p and noise_p_holm of both directions together (adjusted for the number of pairs); ratio (of the
        larger rate to the smaller, each of n_fooled + 1/2 of n_both_correct + 1 images). The largest ratio first.
    """
    ordered = pairs[pairs["source"] != pairs["target"]].copy()
    ordered["noise_p_holm"] = holm(ordered["noise_p"].to_numpy(float))
    ordered["smoothed"] = (ordered["n_fooled"] + 0.5) / (ordered["n_both_correct"] + 1)
    ordered = ordered.set_index(["source", "target"])
    both = most_similar.reset_index(drop=True)
    names = [*zip(both["model_a"], both["model_b"], strict=True)]
    table = both[["model_a", "model_b", "sat", "n_both_correct", "noise_p", "noise_p_holm"]].copy()
    smoothed = []
    for way, places in (("ab", names), ("ba", [(b, a) for a, b in names])):
        found = ordered.loc[places].reset_index(drop=True) if places else ordered.iloc[:0]
        smoothed.append(found["smoothed"].to_numpy(float))
        for column in COLUMNS:
            table[f"{column}_{way}"] = found[column]
    ratio = np.exp(np.abs(np.log(smoothed[0]) - np.log(smoothed[1])))
    table["ratio"] = np.where(table["n_both_correct"] > 0, ratio, np.nan)
    return table.sort_values(["ratio", "model_a", "model_b"], ascending=[False, True, True], ignore_index=True)


def pool_table(pairs: pd.DataFrame, table: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Summarise how far directions differ.

    Parameters
    ----------
    pairs : DataFrame
        The pair table.
    table : DataFrame
        From `two_way_table`.
    confidence : float

    Returns
    -------
    DataFrame
        Columns quantity, value, n (number of pairs or directions that the value is about). Quantities:

        - above_noise: pairs whose two directions together are above noise;
        - above_noise_in_one_direction: those of these pairs of which only one direction is above noise by itself;
        - above_noise_holm: pairs, with p-values adjusted for the number of pairs;
        - directions_above_noise, directions_above_noise_holm: directions, the second adjusted for their number;
        - ratio_above_5, ratio_above_10: pairs whose larger rate is more than 5 or 10 times the smaller (0 included);
        - spearman_larger, spearman_smaller: rank correlation of SAT with the larger and with the smaller rate;
        - correlation_of_directions: Pearson's correlation of the log-odds of a pair's two directions, over ordered
          pairs; correlation_of_rests: the same after strengths and fragilities are taken out.
    """
    alpha = (1 - confidence) / 2
    p = table[["noise_p_ab", "noise_p_ba"]].to_numpy(float)
    adjusted = table[["noise_p_holm_ab", "noise_p_holm_ba"]].to_numpy(float)
    above = (table["noise_p"] <= alpha).to_numpy()
    rates = table[["rate_ab", "rate_ba"]].to_numpy(float)
    larger, smaller = rates.max(axis=1), rates.min(axis=1)
    sat = table["sat"].to_numpy(float)
    n = len(table)
    models = sorted(pairs["source"].unique())
    odds = directed_log_odds(pairs, models).to_numpy(float)
    levels = fit_levels(pd.DataFrame(odds, models, models))
    rest = odds - levels.level - levels.strength.to_numpy()[:, None] - levels.fragility.to_numpy()[None, :]
    rows = [
        ("above_noise", above.sum(), n),
        ("above_noise_in_one_direction", (above & ((p <= alpha).sum(axis=1) == 1)).sum(), n),
        ("above_noise_holm", (table["noise_p_holm"] <= alpha).sum(), n),
        ("directions_above_noise", (p <= alpha).sum(), 2 * n),
        ("directions_above_noise_holm", (adjusted <= alpha).sum(), 2 * n),
        ("ratio_above_5", (larger > 5 * smaller).sum(), n),
        ("ratio_above_10", (larger > 10 * smaller).sum(), n),
        ("spearman_larger", spearman(sat, larger), n),
        ("spearman_smaller", spearman(sat, smaller), n),
        ("correlation_of_directions", _mirrored(odds), n),
        ("correlation_of_rests", _mirrored(rest), n),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "n"]).dropna(ignore_index=True)


def _mirrored(square: Floats) -> float:
    """Pearson's correlation of the entries off the diagonal with their mirror images."""
    off = ~np.eye(len(square), dtype=bool)
    return pearson(square[off], square.T[off])
