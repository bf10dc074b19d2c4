"""Matrices of the same nets from other trainings.

A *net* is an architecture with its training settings; its models differ in the seed of the
training alone. A *pool* has one model of each net, as a study usually has. Two pools that share no
model are two studies of the same nets and images, trained independently. For a pair of nets p, let

    y_p = m_p + t_p    in one pool, and    y'_p = m_p + t'_p    in the other,

where m varies between the pairs of nets, and t is the luck of both trainings, independent in the two
pools. Then, over pairs of nets and over draws of two pools,

    variance of trainings = E (y - y')^2 / 2,    variance of nets = E cov(y, y').

The trainings' share of the sum is 1 minus the intraclass correlation of two trainings. No further
assumption is needed: t may hold an effect of each model, which all its pairs share, and one of each pair.
Affinity is fitted anew in every pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from sat.analyses.clusters.spectral import spectral_clusters
from sat.seeds import generator
from sat.similarity.affinity import fit_affinity
from sat.statistics.correlation import spearman
from sat.statistics.intervals import jackknife_interval
from sat.statistics.pairs import square_of

Floats = NDArray[np.float64]
DRAWS = 100
"""Number of draws of two pools that share no model."""
CLUSTERED = 20
"""Number of draws whose pools are clustered, since k-means takes most of the time."""
STARTS = 20
"""Number of k-means starts. A pool has few nets, so few starts are enough."""
MEASURES = ("sat", "affinity")


@dataclass(frozen=True)
class Trainings:
    """Models of nets that were trained more than once."""

    nets: pd.Series
    """Net of every model; indexed by model, sorted; two models of each net or more."""
    sat: pd.DataFrame
    """SAT, shape (n, n), in the same order."""
    half: pd.DataFrame
    """Symmetric log-odds H, shape (n, n), in the same order."""

    @cached_property
    def names(self) -> list[str]:
        """The nets, sorted."""
        return sorted(self.nets.unique())

    @cached_property
    def affinity(self) -> pd.DataFrame:
        """Affinity of all models, shape (n, n).

        Pairs within one net are left out of the fit, since a pool with one training of each net has none. The effects
        that the other pairs give are taken out of them, too.
        """
        same = self.nets.to_numpy()[:, None] == self.nets.to_numpy()[None, :]
        effects = fit_affinity(self.half.mask(same)).effects.to_numpy(float)
        affinity = self.half - (effects[:, None] + effects[None, :])
        return affinity.mask(np.eye(len(affinity), dtype=bool))

    def without(self, net: str) -> Trainings:
        """The trainings of all other nets."""
        kept = self.nets.index[self.nets != net]
        return Trainings(self.nets[kept], self.sat.loc[kept, kept], self.half.loc[kept, kept])

    def draws(self, number: int, seed: int) -> Iterator[tuple[list[str], list[str]]]:
        """Draw two models of each net, in the order of `names`: two pools that share none."""
        random = generator("two trainings of every net", seed)
        members = [self.nets.index[self.nets == net].to_numpy() for net in self.names]
        for _ in range(number):
            drawn = [random.choice(models, 2, replace=False) for models in members]
            yield [str(first) for first, _ in drawn], [str(second) for _, second in drawn]

    def of_pool(self, measure: str, pool: list[str]) -> Floats:
        """SAT or affinity within a pool, shape (nets, nets); the diagonal is NaN."""
        if measure == "affinity":
            return np.asarray(fit_affinity(self.half.loc[pool, pool]).matrix, float)
        square = np.array(self.sat.loc[pool, pool], float)
        np.fill_diagonal(square, np.nan)
        return square


@dataclass(frozen=True)
class Variances:
    """Variance over pairs of nets, in two parts."""

    nets: float
    """Variance between pairs of nets, without the differences between trainings of the same pair."""
    trainings: float
    """Variance between two trainings of the same pair of nets."""

    @property
    def share(self) -> float:
        """Share of the trainings, from 0 to 1; a negative estimate of the nets' variance counts as 0."""
        total = max(self.nets, 0) + self.trainings
        return self.trainings / total if total > 0 else float("nan")


def variances(values: list[tuple[Floats, Floats]]) -> Variances:
    """Split the variance over pairs of nets into that of nets and that of trainings.

    Parameters
    ----------
    values : list of pairs of float array, shape (pairs of nets,)
        One value of each pair of nets from either pool, for every draw. Pairs with a NaN are left out.

    Returns
    -------
    Variances
        NaN where no draw has three pairs of nets.
    """
    between, within = [], []
    for first, second in values:
        known = np.isfinite(first) & np.isfinite(second)
        if known.sum() > 2:
            between.append(np.cov(first[known], second[known])[0, 1])
            within.append(np.mean(np.square(first[known] - second[known])) / 2)
    return Variances(float(np.mean(between)), float(np.mean(within))) if within else Variances(np.nan, np.nan)


def summary(
    trainings: Trainings, intervals: Mapping[str, pd.DataFrame], k: int, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Say how much of SAT and of affinity depends on the training, and what follows from that.

    Parameters
    ----------
    trainings : Trainings
    intervals : mapping of str to DataFrame
        Image intervals by measure: model_a, model_b, low, high.
    k : int
        Number of clusters.
    confidence : float
        Level of the intervals.
    seed : int

    Returns
    -------
    DataFrame
        A row for each measure (sat, affinity): nets, models, sd_nets and sd_trainings (standard deviations of the two
        parts), share (the trainings' share of the variance) with low and high (a jackknife over nets), sd_images
        (standard error of a pair for the choice of images), widening (how many times wider than the image interval an
        interval must be that covers other trainings of both nets too), covered (how often the image interval of one
        training holds the value of another), correlation (mean rank correlation of two pools), nearest_kept (how often
        a net has the same nearest net in both pools), rand (mean adjusted Rand index of the clusters of both pools; of
        SAT alone), mean_within (pairs of models of one net), mean_across, nearest_is_own (how often a model's nearest
        of all models is of its own net). NaN where a measure has no values.
    """
    rows = []
    draws = list(trainings.draws(DRAWS, seed))
    same = trainings.nets.to_numpy()[:, None] == trainings.nets.to_numpy()[None, :]
    upper = np.triu(np.ones(same.shape, bool), 1)
    for measure in MEASURES:
        squares = [(trainings.of_pool(measure, a), trainings.of_pool(measure, b)) for a, b in draws]
        pairs = _pairs(squares)
        found = variances(pairs)
        low, high = _jackknife(trainings, measure, found.share, confidence, seed)
        around = _intervals(trainings, intervals[measure])
        images = _image_deviation(trainings, around, confidence)
        matrix = trainings.sat if measure == "sat" else trainings.affinity
        values = matrix.to_numpy(float)
        rows.append(
            {
                "measure": measure,
                "n_nets": len(trainings.names),
                "n_models": len(trainings.nets),
                "sd_nets": np.sqrt(max(found.nets, 0)) if np.isfinite(found.nets) else np.nan,
                "sd_trainings": np.sqrt(found.trainings),
                "share": found.share,
                "share_low": low,
                "share_high": high,
                "sd_images": images,
                "widening": np.sqrt(1 + found.trainings / images**2) if images > 0 else np.nan,
                "covered": _covered(trainings, draws, squares, around),
                "correlation": _mean([spearman(a, b) for a, b in pairs]),
                "nearest_kept": _mean([_nearest_kept(a, b) for a, b in squares]),
                "rand": _rand(trainings, draws[:CLUSTERED], k, seed) if measure == "sat" else np.nan,
                "mean_within": _mean(values[same & upper]),
                "mean_across": _mean(values[~same & upper]),
                "nearest_is_own": _nearest_is_own(values, same),
            }
        )
    return pd.DataFrame(rows)


def pair_table(trainings: Trainings) -> pd.DataFrame:
    """Compute the mean and the range of SAT and affinity of every two nets over their trainings.

    Returns
    -------
    DataFrame
        net_a, net_b (the same for pairs of models of one net), n_pairs of models, and for each measure its mean,
        lowest and highest value; by falling mean SAT.
    """
    models = trainings.nets.index
    a, b = np.triu_indices(len(models), 1)
    nets = trainings.nets.to_numpy()
    first, second = np.minimum(nets[a].astype(object), nets[b]), np.maximum(nets[a].astype(object), nets[b])
    table = pd.DataFrame({"net_a": first, "net_b": second})
    table["sat"], table["affinity"] = trainings.sat.to_numpy()[a, b], trainings.affinity.to_numpy()[a, b]
    of_nets = table.groupby(["net_a", "net_b"])
    found = of_nets.size().rename("n_pairs").to_frame()
    for measure in MEASURES:
        for name in ("mean", "min", "max"):
            column = {"mean": measure, "min": f"{measure}_lowest", "max": f"{measure}_highest"}[name]
            found[column] = of_nets[measure].agg(name)
    return found.reset_index().sort_values("sat", ascending=False, kind="stable", ignore_index=True)


def _pairs(squares: list[tuple[Floats, Floats]]) -> list[tuple[Floats, Floats]]:
    """Values above the diagonals."""
    return [
        (first[np.triu_indices(len(first), 1)], second[np.triu_indices(len(first), 1)]) for first, second in squares
    ]


def _jackknife(trainings: Trainings, measure: str, share: float, confidence: float, seed: int) -> tuple[float, float]:
    """Jackknife interval of the share: each net is left out in turn."""
    shares = []
    for net in trainings.names:
        rest = trainings.without(net)
        squares = [(rest.of_pool(measure, a), rest.of_pool(measure, b)) for a, b in rest.draws(DRAWS // 4, seed)]
        shares.append(variances(_pairs(squares)).share)
    low, high = jackknife_interval(share, shares, confidence)
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))


def _intervals(trainings: Trainings, table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Lower and upper ends of the image intervals, each of shape (n, n); NaN where the table has none."""
    low, high = (square_of(table, end, list(trainings.nets.index)).to_numpy(float) for end in ("low", "high"))
    return low, high


def _image_deviation(trainings: Trainings, around: tuple[Floats, Floats], confidence: float) -> float:
    """Root of the mean squared standard error over pairs of two nets."""
    nets = trainings.nets.to_numpy()
    widths = (around[1] - around[0])[nets[:, None] != nets[None, :]]
    return float(np.sqrt(_mean(np.square(widths / (2 * NormalDist().inv_cdf((1 + confidence) / 2))))))


def _covered(
    trainings: Trainings,
    draws: list[tuple[list[str], list[str]]],
    squares: list[tuple[Floats, Floats]],
    around: tuple[Floats, Floats],
) -> float:
    """How often the image interval of a pair in one pool contains its value in the other pool.

    An interval is as wide as in the whole study. Its middle is the value in the pool, since affinity is relative to the
    pool.
    """
    place = {model: number for number, model in enumerate(trainings.nets.index)}
    shares = []
    for (pool, _), (value, other) in zip(draws, squares, strict=True):
        models = [place[model] for model in pool]
        half = (around[1] - around[0])[np.ix_(models, models)] / 2
        known = np.isfinite(value) & np.isfinite(other) & np.isfinite(half)
        shares.append(_mean((np.abs(other - value) <= half)[known].astype(float)))
    return _mean(shares)


def _nearest_kept(first: Floats, second: Floats) -> float:
    """Share of nets that have the same nearest net in both; NaN where a row has no value."""
    kept = np.isfinite(first).any(axis=1) & np.isfinite(second).any(axis=1)
    if not kept.any():
        return float("nan")
    a, b = (np.where(np.isfinite(square), square, -np.inf).argmax(axis=1) for square in (first, second))
    return float((a == b)[kept].mean())


def _nearest_is_own(values: Floats, same: NDArray[np.bool_]) -> float:
    nearest = np.where(np.isfinite(values) & ~np.eye(len(values), dtype=bool), values, -np.inf)
    known = np.isfinite(nearest).any(axis=1)
    own = same[np.arange(len(values)), nearest.argmax(axis=1)]
    return float(own[known].mean()) if known.any() else float("nan")


def _rand(trainings: Trainings, draws: list[tuple[list[str], list[str]]], k: int, seed: int) -> float:
    """Mean adjusted Rand index of two pools' clusters; NaN if SAT has NaN, or if there are as many clusters as nets."""
    if k >= len(trainings.names) or trainings.sat.isna().any(axis=None):
        return float("nan")
    found = []
    for pools in draws:
        labels = [spectral_clusters(trainings.sat.loc[pool, pool], k, STARTS, seed).table["cluster"] for pool in pools]
        found.append(adjusted_rand_score(*labels))
    return _mean(found)


def _mean(values: object) -> float:
    """Mean of the finite values; NaN if there are none."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")
