"""Model effects and affinity: how fragile and how strong each model is, and how alike two are beyond that.

SAT is largely a sum of two effects, one of each model. Affinity is what is left of the log-odds
of transfer once these effects are taken out. It is relative to the pool of models: it says that
two models are more alike than their levels predict *within this pool*, and each row sums to 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LEAST = 4
"""Fewest models. With 3, the effects explain every pair, and nothing is left."""
LEAST_FAMILIES = 3
"""Fewest families of two members or more. With two families, a boost of one is the same as a boost of the other."""


def log_odds(fooled: ArrayLike, total: ArrayLike) -> Floats:
    """Compute the log-odds of a rate. Half an image is added to either side, so that rates of 0 and 1 stay finite.

    Parameters
    ----------
    fooled, total : array_like
        Counts of images; their shapes broadcast.

    Returns
    -------
    float array
        NaN where the total is 0.
    """
    count, n = np.asarray(fooled, float), np.asarray(total, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds: Floats = np.where(n > 0, np.log((count + 0.5) / (n - count + 0.5)), np.nan)
    return odds


def directed_log_odds(pairs: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Compute the log-odds of transfer in both directions.

    Parameters
    ----------
    pairs : DataFrame
        The pair table: source, target, n_fooled, n_both_correct.
    models : list of str

    Returns
    -------
    DataFrame, shape (n, n)
        Rows are sources, columns are targets; NaN where no image is classified correctly by both.
    """
    odds = pairs.assign(odds=log_odds(pairs["n_fooled"], pairs["n_both_correct"]))
    return odds.pivot(index="source", columns="target", values="odds").reindex(index=models, columns=models)


def symmetric_log_odds(directed: pd.DataFrame) -> pd.DataFrame:
    """Compute H, the mean of both directions' log-odds.

    Log-odds are averaged, not rates. SAT averages rates, so a part of it comes from the asymmetries of the two models
    by themselves, whether or not they are alike.

    Parameters
    ----------
    directed : DataFrame, shape (n, n)
        From `directed_log_odds`.

    Returns
    -------
    DataFrame, shape (n, n)
        Symmetric.
    """
    half: pd.DataFrame = (directed + directed.T) / 2
    return half


def log_odds_of_sat(sat: pd.DataFrame) -> pd.DataFrame:
    """Compute H for a matrix without counts: the log-odds of the mean rate, of which SAT is the logarithm.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)
        Natural logarithms of percentages.

    Returns
    -------
    DataFrame, shape (n, n)
        NaN where SAT is NaN. Rates are clipped to 0.01 to 99.99 %, so that all other entries are finite.
    """
    rate = (np.exp(sat) / 100).clip(1e-4, 1 - 1e-4)
    odds: pd.DataFrame = np.log(rate / (1 - rate))
    return odds


@dataclass(frozen=True)
class Affinity:
    """What `fit_affinity` finds."""

    matrix: pd.DataFrame
    """Affinity, shape (n, n), on the scale of log-odds; NaN on the diagonal and where H is NaN."""
    effects: pd.Series
    """Effect of every model: half of its level, so that u_a + u_b is what is expected of a pair."""
    boosts: pd.Series
    """Boost of every declared family in the same regression; empty without families."""
    share: float
    """Share of the variance of H over pairs that the effects explain."""
    reason: str = ""
    """Why there is no affinity; empty where there is."""


def fit_affinity(half: pd.DataFrame, families: Mapping[str, str] | None = None) -> Affinity:
    """Take the effects of the models out of H by least squares over unordered pairs.

    ``affinity_ab = H_ab - u_a - u_b``. With families, the regression also has one boost for each family of two
    members or more, which the effects then need not absorb; the boosts are not taken out.

    Parameters
    ----------
    half : DataFrame, shape (n, n)
        From `symmetric_log_odds`.
    families : mapping of str to str, optional
        Family of every model, declared in advance.

    Returns
    -------
    Affinity
        It has NaN and a reason where affinity is not determined: with fewer than 4 models, with fewer than 3 families
        of two members or more, or where too many pairs are missing.
    """
    models = list(half.index)
    n = len(models)
    a, b = np.triu_indices(n, 1)
    values = half.to_numpy(float)[a, b]
    known = np.isfinite(values)
    groups = _groups(models, families)

    def none(reason: str) -> Affinity:
        empty = pd.DataFrame(np.nan, index=models, columns=models)
        return Affinity(empty, pd.Series(np.nan, index=models), pd.Series(dtype=float), float("nan"), reason)

    if n < LEAST:
        return none(f"{n} models: affinity needs {LEAST} or more")
    if families is not None and len(groups) < LEAST_FAMILIES:
        return none(f"{len(groups)} families of two members or more: {LEAST_FAMILIES} are needed to tell them apart")
    design = np.zeros((len(a), n + len(groups)))
    rows = np.arange(len(a))
    design[rows, a] = design[rows, b] = 1
    for column, members in enumerate(groups.values(), n):
        design[:, column] = np.isin(a, members) & np.isin(b, members)
    used = design[known]
    if known.sum() <= n or np.linalg.matrix_rank(used) < design.shape[1]:
        return none("too many pairs without a common image: the effects are not determined")
    fitted, *_ = np.linalg.lstsq(used, values[known], rcond=None)
    effects = fitted[:n]
    # The sum first, so that the matrix is symmetric to the last bit.
    square = half.to_numpy(float) - (effects[:, None] + effects[None, :])
    np.fill_diagonal(square, np.nan)
    rest = values[known] - effects[a][known] - effects[b][known]
    total = values[known] - values[known].mean()
    share = 1 - float(rest @ rest) / float(total @ total) if total @ total > 0 else float("nan")
    return Affinity(
        pd.DataFrame(square, index=models, columns=models),
        pd.Series(effects, index=models),
        pd.Series(fitted[n:], index=list(groups)),
        share,
    )


def affinities(half: Floats) -> Floats:
    """Compute the affinities of many matrices of one pool at once, as `fit_affinity` does for each.

    If no pair is missing, least squares have a closed form: an effect is the sum of the model's row minus the sum of
    all effects, divided by n - 2.

    Parameters
    ----------
    half : float array, shape (matrices, n, n)
        From `symmetric_log_odds`. Diagonals are not used.

    Returns
    -------
    float array, shape (matrices, n, n)
        NaN on the diagonals, and wherever `fit_affinity` has no affinity.
    """
    n = half.shape[-1]
    own = np.eye(n, dtype=bool)
    known = np.isfinite(half) | own
    if n < LEAST:
        return np.full(half.shape, np.nan)
    rows = np.where(own, 0.0, half).sum(axis=-1)
    effects = (rows - rows.sum(axis=-1, keepdims=True) / (2 * (n - 1))) / (n - 2)
    found: Floats = half - (effects[..., :, None] + effects[..., None, :])
    found[..., own] = np.nan
    for place in np.flatnonzero(~known.all(axis=(-2, -1))):
        found[place] = fit_affinity(pd.DataFrame(half[place])).matrix.to_numpy()
    return found


def _groups(models: list[str], families: Mapping[str, str] | None) -> dict[str, list[int]]:
    """Places of the members of every family of two or more, by family, sorted."""
    places: dict[str, list[int]] = {}
    for place, model in enumerate(models):
        if families and families.get(model):
            places.setdefault(families[model], []).append(place)
    return {family: found for family, found in sorted(places.items()) if len(found) > 1}


@dataclass(frozen=True)
class Levels:
    """What `fit_levels` finds."""

    level: float
    """Mean log-odds over ordered pairs of two models."""
    strength: pd.Series
    """How well each model's adversarial images fool the others; sums to 0."""
    fragility: pd.Series
    """How easily each model is fooled by the others' images; sums to 0."""


def fit_levels(directed: pd.DataFrame) -> Levels:
    """Fit the log-odds of transfer by an effect of the source and one of the target.

    ``log-odds(source -> target) = level + strength(source) + fragility(target)``, by least squares over ordered pairs
    of two models.

    Parameters
    ----------
    directed : DataFrame, shape (n, n)
        From `directed_log_odds`.

    Returns
    -------
    Levels
        NaN with fewer than 3 models, or where the pairs leave an effect undetermined.
    """
    models = list(directed.index)
    n = len(models)
    values = directed.to_numpy(float)
    source, target = np.nonzero(np.isfinite(values) & ~np.eye(n, dtype=bool))
    # Strengths and fragilities each sum to 0: the last of both is minus the sum of the others.
    effects = np.vstack([np.eye(n - 1), -np.ones(n - 1)]) if n > 1 else np.zeros((n, 0))
    design = np.column_stack([np.ones(len(source)), effects[source], effects[target]])
    nothing = pd.Series(np.nan, index=models)
    if n < LEAST - 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return Levels(float("nan"), nothing, nothing)
    fitted, *_ = np.linalg.lstsq(design, values[source, target], rcond=None)
    return Levels(
        float(fitted[0]),
        pd.Series(effects @ fitted[1:n], index=models),
        pd.Series(effects @ fitted[n:], index=models),
    )


def contrast(half: pd.DataFrame, first: list[str], second: list[str]) -> float:
    """Contrast of two groups of models: W_a + W_b - 2 A_ab.

    W is the mean H of pairs within a group, and A that of pairs across. The effects of the models cancel, and other
    models of the pool play no role. So a contrast does not depend on what else was measured.

    Parameters
    ----------
    half : DataFrame
        From `symmetric_log_odds`.
    first, second : list of str
        Members of the groups; no model is in both.

    Returns
    -------
    float
        In log-odds; above 0 where pairs within the groups are more alike than pairs across. NaN where a group has
        fewer than two members.
    """
    if min(len(first), len(second)) < 2:
        return float("nan")
    within = sum(_mean_pair(half.loc[group, group].to_numpy(float)) for group in (first, second))
    return float(within - 2 * np.nanmean(half.loc[first, second].to_numpy(float)))


def _mean_pair(square: Floats) -> float:
    """Mean over the unordered pairs that are known. If one is missing, the models' effects no longer cancel."""
    a, b = np.triu_indices(len(square), 1)
    return float(np.nanmean(square[a, b]))
