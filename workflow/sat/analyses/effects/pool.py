"""Effects and affinity of a pool of models, with what they depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.similarity.affinity import (
    Affinity,
    Levels,
    affinities,
    fit_affinity,
    fit_levels,
    log_odds,
    log_odds_of_sat,
    symmetric_log_odds,
)
from sat.similarity.predictions import Predictions
from sat.similarity.resampling import Scores, bootstrap_weights, weighted_counts

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """Log-odds of transfer among some models, and everything that is fitted to them."""

    families: Mapping[str, str]
    half: pd.DataFrame
    """H, shape (n, n)."""
    directed: pd.DataFrame | None
    """Log-odds of each direction, shape (n, n), rows are sources; None where only a matrix was given."""
    replicates: list[pd.DataFrame] = field(default_factory=list)
    """`directed` on images that were drawn with replacement."""

    @classmethod
    def of_sat(cls, sat: pd.DataFrame, families: Mapping[str, str]) -> Pool:
        """Make the pool of a matrix without counts."""
        return cls(families, log_odds_of_sat(sat), None)

    @classmethod
    def of_predictions(
        cls, models: list[str], families: Mapping[str, str], found: Predictions, replicates: int, seed: int
    ) -> Pool:
        """Make the pool of a study, with images drawn again for intervals.

        Parameters
        ----------
        models : list of str
        families : mapping of str to str
        found : Predictions
        replicates : int
            Number of draws of the images, jointly for all models.
        seed : int
        """
        images = len(next(iter(found.correct.values())))
        weights = np.vstack([np.ones((1, images), np.int64), bootstrap_weights(images, replicates, seed)])
        measured, *again = _directed(found.scores(models), weights)
        return cls(families, symmetric_log_odds(measured), measured, again)

    @property
    def models(self) -> list[str]:
        """Names of the models."""
        return list(self.half.index)

    @property
    def plain(self) -> Affinity:
        """Affinity within the pool."""
        return fit_affinity(self.half)

    @property
    def block(self) -> Affinity:
        """Affinity with a boost for every declared family in the regression."""
        return fit_affinity(self.half, self.families)

    @property
    def levels(self) -> Levels | None:
        """Strengths and fragilities; None where directions are not known."""
        return None if self.directed is None else fit_levels(self.directed)

    @cached_property
    def plain_replicates(self) -> Floats:
        """Affinities of the replicates, shape (replicates, n, n)."""
        n = len(self.models)
        directed = np.array([one.to_numpy(float) for one in self.replicates]).reshape(-1, n, n)
        return affinities((directed + directed.swapaxes(1, 2)) / 2)

    def without(self, family: str) -> Pool:
        """The pool without the models of a family."""
        kept = [model for model in self.models if self.families.get(model) != family]
        return Pool(self.families, self.half.loc[kept, kept], None)


def _directed(scores: Scores, weights: NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    """Log-odds of each direction, one frame for each row of weights. A weight says how often an image counts."""
    models = list(scores.models)
    n, forth, back = weighted_counts(scores, weights)
    odds = np.empty((len(n), len(models), len(models)))
    odds[:, scores.first, scores.second] = log_odds(forth, n)
    odds[:, scores.second, scores.first] = log_odds(back, n)
    for square in odds:
        yield pd.DataFrame(square, index=models, columns=models)


def model_table(pool: Pool, confidence: float) -> pd.DataFrame:
    """Collect the effects of every model.

    Parameters
    ----------
    pool : Pool
    confidence : float

    Returns
    -------
    DataFrame
        model, family, effect (half of the model's level in H), strength and fragility with intervals of the choice of
        images (measured value and normal quantiles of the bootstrap's standard error), all in log-odds. Strength and
        fragility are NaN where directions are not known; intervals are NaN where there are no images.
    """
    table = pd.DataFrame({"model": pool.models, "family": [pool.families.get(model, "") for model in pool.models]})
    table["effect"] = pool.plain.effects.to_numpy()
    again = [fit_levels(directed) for directed in pool.replicates]
    for name in ("strength", "fragility"):
        levels = pool.levels
        values = getattr(levels, name).to_numpy() if levels else np.full(len(table), np.nan)
        spread = _spread([getattr(fitted, name).to_numpy() for fitted in again], len(table))
        low, high = _interval(values, spread, confidence)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values, low, high
    return table


def pool_table(pool: Pool, sat: pd.DataFrame) -> pd.DataFrame:
    """Compute how much of the matrix the models' own levels explain.

    Parameters
    ----------
    pool : Pool
    sat : DataFrame, shape (n, n)

    Returns
    -------
    DataFrame
        quantity, value, chance. Quantities: share_sat and share_half, the shares of the variance of SAT and of H over
        pairs that the sum of two effects explains; chance is the share that it would explain of pairs without any
        effect. Further quantities: level, the mean H; reliability of the affinities, 1 minus the ratio of the variance
        that the choice of images makes to the variance of the affinities; NaN without images.
    """
    n = len(pool.models)
    pairs = n * (n - 1) // 2
    # If pairs are independent, n effects explain n of their dimensions, one of which is the mean.
    chance = (n - 1) / (pairs - 1) if pairs > 1 else float("nan")
    above = np.triu_indices(n, 1)
    affinity = pool.plain.matrix.to_numpy(float)[above]
    noise = _spread(list(pool.plain_replicates[:, *above]), 0)
    variance = float(np.nanvar(affinity)) if np.isfinite(affinity).any() else float("nan")
    reliability = 1 - float(np.nanmean(noise**2)) / variance if len(noise) and variance > 0 else float("nan")
    rows = [
        ("share_sat", fit_affinity(sat).share, chance),
        ("share_half", pool.plain.share, chance),
        ("level", float(np.nanmean(pool.half.to_numpy(float)[above])) if pairs else float("nan"), np.nan),
        ("reliability", reliability, np.nan),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "chance"])


def pair_table(pool: Pool, sat: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Collect the affinity of every unordered pair of different models.

    Parameters
    ----------
    pool : Pool
    sat : DataFrame, shape (n, n)
    confidence : float

    Returns
    -------
    DataFrame
        model_a, model_b, sat, expected (u_a + u_b, in log-odds), affinity with its interval of the choice of images,
        affinity_block (with a boost for every declared family), largest_change (of the affinity, when the models of one
        family other than theirs leave the pool) and without (that family). The most similar pair comes first.
    """
    models = pool.models
    a, b = np.triu_indices(len(models), 1)
    plain, block = pool.plain, pool.block
    effects = plain.effects.to_numpy()
    table = pd.DataFrame({"model_a": np.array(models, object)[a], "model_b": np.array(models, object)[b]})
    table["sat"] = sat.loc[models, models].to_numpy(float)[a, b]
    table["expected"] = effects[a] + effects[b]
    table["affinity"] = plain.matrix.to_numpy(float)[a, b]
    spread = _spread(list(pool.plain_replicates[:, a, b]), len(table))
    table["affinity_low"], table["affinity_high"] = _interval(table["affinity"].to_numpy(), spread, confidence)
    table["affinity_block"] = block.matrix.to_numpy(float)[a, b]
    change, without = np.full(len(table), np.nan), np.full(len(table), "", object)
    for family in sorted(set(pool.families.values()) - {""}):
        rest = pool.without(family)
        fitted = rest.plain
        if fitted.reason:
            continue
        moved = (fitted.matrix - plain.matrix.loc[rest.models, rest.models]).reindex(index=models, columns=models)
        moves = moved.to_numpy(float)[a, b]
        larger = np.isfinite(moves) & ~(np.abs(moves) <= np.abs(change))
        change[larger], without[larger] = moves[larger], family
    table["largest_change"], table["without"] = change, without
    return table.sort_values(["affinity", "model_a", "model_b"], ascending=[False, True, True], ignore_index=True)


def _spread(replicates: list[Floats], size: int) -> Floats:
    """Standard error over the replicates that have a value; NaN with fewer than two."""
    if not replicates:
        return np.full(size, np.nan)
    values = np.stack(replicates)
    known = np.isfinite(values)
    n = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(n, 1)
    squares = (np.where(known, values - mean, 0) ** 2).sum(axis=0)
    return np.asarray(np.sqrt(squares / np.where(n > 1, n - 1, np.nan)))


def _interval(values: Floats, spread: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Normal interval: for affinity it covers better than that of the bootstrap's percentiles, which are shifted."""
    width = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    return values - width, values + width
