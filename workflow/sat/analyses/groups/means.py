"""Mean SAT within groups of models, compared with all pairs.

Following Hwang et al. (ECCV 2024), section on models of one architecture: models
that share an architecture and differ in initialisation, hyper-parameters or
training recipe are compared with the average over all models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import log_expit

from sat.statistics.intervals import jackknife_interval, rank_range
from sat.statistics.pairs import (
    Floats,
    aligned_labels,
    indicators,
    off_diagonal,
    orders,
    pair_sums,
    ratio,
    sorted_matrix,
    two_sided,
)

COLUMNS = ("kind", "group", "n_models", "n_pairs", "n_missing", "mean", "low", "high", "difference", "p", "note")


def group_means(
    sat: pd.DataFrame,
    labels: pd.Series,
    confidence: float = 0.95,
    permutations: int = 9999,
    seed: int = 0,
    compare: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Compute the mean SAT of pairs of different models within each group.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)
        SAT matrix, symmetric. Pairs with NaN are left out and counted.
    labels : Series
        Group of each model, indexed by model. A model without a group counts
        only among all pairs.
    confidence : float
        Level of the interval; see `jackknife`. For the kind `within`, the interval is the wider one of
        leaving out models and of leaving out whole groups.
    permutations : int
    seed : int
    compare : DataFrame, shape (m, m), optional
        Another SAT matrix; its mean over pairs is added as a row.

    Returns
    -------
    DataFrame
        Columns: kind (`group`; `within`: all pairs of the same group; `all`: all
        pairs of the matrix; `compare`), group, n_models, n_pairs, n_missing
        (number of pairs without SAT), mean, low, high, difference (from the mean
        of all pairs), p (two-sided: share of permutations of the labels over all
        models in which a group is at least as far from the mean of all pairs),
        note (why there is no mean, or nothing but a mean), rank, rank_best, rank_worst and tied
        (`rank_range` among the groups). With `compare` also minus_compare
        (difference from its mean).

    Raises
    ------
    ValueError
        If a matrix has fewer than two models.
    """
    matrix = sorted_matrix(sat)
    n = len(matrix)
    words, members = indicators(aligned_labels(labels.to_frame("group"), matrix.index)["group"])
    value, present = off_diagonal(matrix)
    overall = _row("all", "", matrix, np.ones((n, n)), confidence)
    order = orders(n, permutations, seed)
    total, count = (pair_sums(part, members, order)[0] for part in (value, present))
    # One more column stands for all groups together.
    total, count = (np.column_stack([part, part.sum(axis=1)]) for part in (total, count))
    p = two_sided(ratio(total, count), overall["mean"])
    rows = [
        _row("group", word, matrix, np.outer(member, member), confidence)
        for word, member in zip(words, members.T, strict=True)
    ]
    # Leaving out single models ignores that the groups are a sample too: all models of a group share its deviation.
    # Leaving out groups alone makes a few groups that agree by chance look certain. So the wider interval counts.
    rows.append(_row("within", "", matrix, members @ members.T, confidence, members))
    for row, chance in zip(rows, p, strict=True):
        row["p"] = chance if row["n_pairs"] > 1 else np.nan
    rows.append(overall)
    if compare is not None:
        other = sorted_matrix(compare)
        rows.append(_row("compare", "", other, np.ones(other.shape), confidence))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["difference"] = table["mean"] - overall["mean"]
    groups = table[table["kind"] == "group"]
    table = table.join(rank_range(groups["mean"], groups["low"], groups["high"]).set_axis(groups.index))
    if compare is not None:
        table["minus_compare"] = table["mean"] - rows[-1]["mean"]
    return table.astype({"p": float})


def _row(
    kind: str, group: str, matrix: pd.DataFrame, chosen: Floats, confidence: float, units: Floats | None = None
) -> dict[str, Any]:
    """Count and average the chosen pairs of different models."""
    n = len(matrix)
    if n < 2:
        raise ValueError(f"{n} models; a pair needs two")
    value, present = off_diagonal(matrix)
    # A group of one model has that model on the diagonal, and no pair.
    n_models = int((chosen.diagonal() > 0).sum())
    possible = int((chosen.sum() - chosen.trace()) / 2)
    n_pairs = int((present * chosen).sum() / 2)
    mean, low, high = jackknife(value * chosen, present * chosen, confidence)
    if units is not None:
        _, *ends = jackknife(value * chosen, present * chosen, confidence, units)
        low, high = float(np.min([low, *ends])), float(np.max([high, *ends]))
    note = "no pair has a SAT" if possible else "one model" if n_models == 1 else "no pair"
    if n_pairs:
        note = "one pair: no interval and no p" if n_pairs == 1 else ""
    return {
        "kind": kind,
        "group": group,
        "n_models": n_models,
        "n_pairs": n_pairs,
        "n_missing": possible - n_pairs,
        "mean": mean,
        "low": low,
        "high": high,
        "note": note,
    }


def jackknife(
    value: Floats, present: Floats, confidence: float = 0.95, units: Floats | None = None
) -> tuple[float, float, float]:
    """Compute a mean SAT over pairs, with an interval that takes into account that pairs share models.

    The interval comes from leaving out one unit at a time (see `jackknife_interval`). It is computed on the log-odds
    of exp(mean) / 100, which is the geometric mean of the pairs' rates, and mapped back. So it never exceeds
    ln 100, where every image transfers, and is not symmetric about the mean.

    Parameters
    ----------
    value, present : float array, shape (n, n)
        Symmetric. Both are 0 where a pair does not count; `present` is 1 where it does.
    confidence : float
    units : float array, shape (n, units), optional
        1 where a model belongs to a unit that is left out as a whole; by default, each model is a unit. The interval
        says what the mean would be with other units of the same kind.

    Returns
    -------
    mean, low, high : float
        The interval is NaN if no pair is left without some unit, as with fewer than three units.

    References
    ----------
    Arvesen (1969). Jackknifing U-statistics. Annals of Mathematical Statistics 40, 2076-2100.
    """
    units = np.eye(len(value)) if units is None else units
    units = units[:, present.any(axis=0) @ units > 0]

    def without(square: Floats) -> Floats:
        # Pairs within a unit are in both of its models' rows.
        rest: Floats = square.sum() - 2 * square.sum(axis=0) @ units + (units * (square @ units)).sum(axis=0)
        return rest

    mean = float(ratio(value.sum(), present.sum()))
    left = ratio(without(value), without(present))
    low, high = jackknife_interval(float(_log_odds(mean)), _log_odds(left), confidence)
    low, high = (float(np.log(100) + log_expit(end)) for end in (low, high))
    # The mean of pairs that all transfer lies above the largest log-odds.
    return mean, min(low, mean), max(high, mean)


def _log_odds(mean: ArrayLike) -> Floats:
    """Log-odds of the geometric mean rate, of which a mean SAT is the logarithm; finite at 100 %."""
    share = np.minimum(np.exp(mean) / 100, 1 - 1e-4)
    odds: Floats = np.log(share / (1 - share))
    return odds
