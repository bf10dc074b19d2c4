"""How much a matrix of SAT or affinity depends on the choice of images: bootstrap and split halves over images.

Each image is drawn for all models at once, because its difficulty affects all of them.
So the entries of one replicate belong together, and may be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sat.seeds import generator
from sat.similarity.affinity import affinities, log_odds
from sat.statistics.correlation import spearman

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
BLOCK = 256
"""Number of pairs that are multiplied at once: 5 MB of float32 with 5,000 images."""


@dataclass(frozen=True)
class Scores:
    """What each image contributes to each unordered pair; pairs of a model with itself are included."""

    models: tuple[str, ...]
    first: NDArray[np.intp]
    """Index of the pair's first model, shape (pairs,), in the order of an upper triangle."""
    second: NDArray[np.intp]
    both: NDArray[np.uint8]
    """1 where both models are correct on the clean image, shape (pairs, images)."""
    forth: NDArray[np.uint8]
    """1 where the first model's image fools the second, shape (pairs, images); 0 outside X_AB."""
    back: NDArray[np.uint8]
    """1 where the second model's image fools the first."""

    def square(self, values: Floats) -> Floats:
        """Arrange one value per pair, shape (pairs,), as a symmetric matrix, shape (models, models)."""
        return _square(len(self.models), self.first, self.second, values)


@dataclass(frozen=True)
class Replicates:
    """Matrices of SAT or affinity from images drawn with replacement."""

    models: tuple[str, ...]
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    measured: Floats
    """Values of the matrix in which every image counts once, shape (pairs,)."""
    replicates: Floats
    """Values of the replicates, shape (replicates, pairs); NaN for a pair without a drawn image that both get right."""

    @property
    def off_diagonal(self) -> Bools:
        """Whether a pair has two different models, shape (pairs,)."""
        return np.asarray(self.first != self.second)

    def matrix(self, row: int) -> pd.DataFrame:
        """Arrange one replicate as a symmetric matrix, shape (models, models)."""
        square = _square(len(self.models), self.first, self.second, self.replicates[row])
        return pd.DataFrame(square, index=list(self.models), columns=list(self.models))


def _square(n: int, first: NDArray[np.intp], second: NDArray[np.intp], values: Floats) -> Floats:
    matrix = np.empty((n, n))
    matrix[first, second] = matrix[second, first] = values
    return matrix


def image_scores(models: Sequence[str], correct: Bools, fooled: Bools) -> Scores:
    """Bring predictions into the form that resampling needs.

    Parameters
    ----------
    models : sequence of str
    correct : bool array, shape (models, images)
        Whether a model classifies the clean image correctly.
    fooled : bool array, shape (models, models, images)
        At [source, target, image], whether the target errs on the source's
        adversarial image. Only images of X_AB are used.

    Returns
    -------
    Scores
        They take three bytes for each image and pair: 36 MB for 69 models and 5,000 images.
    """
    first, second = np.triu_indices(len(models))
    both = correct[first] & correct[second]
    forth, back = fooled[first, second] & both, fooled[second, first] & both
    return Scores(tuple(models), first, second, both.view(np.uint8), forth.view(np.uint8), back.view(np.uint8))


Measure = Callable[[Scores, ArrayLike], Floats]
"""Computes values of pairs, shape (replicates, pairs), with weights of images, shape (replicates, images)."""


def bootstrap_weights(images: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """Draw images with replacement, and count how often each is drawn.

    Parameters
    ----------
    images : int
        Number of images.
    replicates : int
    seed : int
        Seed of the study.

    Returns
    -------
    int array, shape (replicates, images)
        More replicates leave the first ones unchanged.
    """
    return generator("bootstrap over images", seed).multinomial(images, np.full(images, 1 / images), size=replicates)


def weighted_counts(scores: Scores, weights: ArrayLike) -> Floats:
    """Count images with weights, so that an image may count several times or not at all.

    Parameters
    ----------
    scores : Scores
    weights : array_like of int, shape (replicates, images)
        How often each image counts.

    Returns
    -------
    float array, shape (3, replicates, pairs)
        Images that both models classify correctly, and of these, those on which the first model's images fool the
        second, and the reverse.
    """
    # float32 takes half the time, and its whole numbers are exact up to 2**24 images.
    columns = np.ascontiguousarray(np.asarray(weights, np.float32).T)
    found = np.empty((3, len(scores.first), columns.shape[1]), np.float32)
    for start in range(0, len(scores.first), BLOCK):
        rows = slice(start, start + BLOCK)
        for counts, ones in zip(found, (scores.both, scores.forth, scores.back), strict=True):
            counts[rows] = ones[rows].astype(np.float32) @ columns
    return found.swapaxes(1, 2).astype(float)


def weighted_sat(scores: Scores, weights: ArrayLike, eps_s: float) -> Floats:
    """Compute SAT with weights, so that an image may count several times or not at all.

    Parameters
    ----------
    scores : Scores
    weights : array_like of int, shape (replicates, images)
        How often each image counts.
    eps_s : float
        Floor within the logarithm, in per cent.

    Returns
    -------
    float array, shape (replicates, pairs)
        SAT. It is NaN if no image counts that both models classify correctly.
    """
    n, forth, back = weighted_counts(scores, weights)
    per_cent = 100 * (forth + back) / np.where(n > 0, 2 * n, np.nan)
    return np.asarray(np.log(np.maximum(per_cent, eps_s)))


def weighted_affinity(scores: Scores, weights: ArrayLike) -> Floats:
    """Compute affinity with weights, so that an image may count several times or not at all.

    Parameters
    ----------
    scores : Scores
    weights : array_like of int, shape (replicates, images)
        How often each image counts.

    Returns
    -------
    float array, shape (replicates, pairs)
        Affinity. It is NaN for a model with itself, and where `sat.similarity.affinity.fit_affinity` has none.
    """
    n, forth, back = weighted_counts(scores, weights)
    models = len(scores.models)
    half = np.empty((len(n), models, models))
    half[:, scores.first, scores.second] = (log_odds(forth, n) + log_odds(back, n)) / 2
    half[:, scores.second, scores.first] = half[:, scores.first, scores.second]
    return affinities(half)[:, scores.first, scores.second]


def bootstrap(scores: Scores, measure: Measure, replicates: int = 1000, seed: int = 0) -> Replicates:
    """Draw bootstrap samples of the images, with replacement and jointly for all models.

    Parameters
    ----------
    scores : Scores
    measure : callable
        `weighted_sat` with its eps_s, or `weighted_affinity`.
    replicates : int
    seed : int
        Seed of the study.

    Returns
    -------
    Replicates
        More replicates leave the first ones unchanged. The images are the same for every measure.

    Raises
    ------
    ValueError
        If there is no image, or no replicate is asked for.

    References
    ----------
    Efron & Tibshirani (1993). An Introduction to the Bootstrap. Chapman & Hall.
    """
    images = scores.both.shape[1]
    if images == 0 or replicates < 1:
        raise ValueError(f"{replicates} replicates of {images} images: at least one of both is needed")
    weights = bootstrap_weights(images, replicates, seed)
    measured = measure(scores, np.ones((1, images)))[0]
    return Replicates(scores.models, scores.first, scores.second, measured, measure(scores, weights))


def matrix_statistics(
    drawn: Replicates, families: Mapping[str, str] | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Compute means of the matrix, with percentile intervals over the replicates.

    Parameters
    ----------
    drawn : Replicates
    families : mapping of str to str, optional
        Family of each model. A model without a family counts neither within nor across families.
    confidence : float

    Returns
    -------
    DataFrame
        Columns statistic, n_pairs, value, low, high. Statistics are mean and sd (of
        entries off the diagonal; sd divides by n) and, with families, within, across
        and within_minus_across. Pairs that are NaN are left out of a mean. A statistic
        without any pair is NaN. Resampling adds noise to every entry, so the interval
        of sd lies a little too high.
    """
    off = drawn.off_diagonal
    # The measured matrix is the first row.
    rows = np.vstack([drawn.measured, drawn.replicates])
    mean = _mean(rows[:, off])
    found = {"mean": (off, mean), "sd": (off, np.sqrt(_mean((rows[:, off] - mean[:, None]) ** 2)))}
    if families is not None:
        family = np.array([families.get(model, "") for model in drawn.models])
        known = off & (family[drawn.first] != "") & (family[drawn.second] != "")
        same = family[drawn.first] == family[drawn.second]
        within, across = _mean(rows[:, known & same]), _mean(rows[:, known & ~same])
        found["within"], found["across"] = (known & same, within), (known & ~same, across)
        found["within_minus_across"] = known, within - across
    table = [
        (name, int((pairs & ~np.isnan(drawn.measured)).sum()), values[0], *_interval(values[1:], confidence))
        for name, (pairs, values) in found.items()
    ]
    return pd.DataFrame(table, columns=["statistic", "n_pairs", "value", "low", "high"])


def rank_stability(drawn: Replicates) -> pd.DataFrame:
    """Compute Spearman's correlation between replicates, and of replicates with the measured matrix.

    Parameters
    ----------
    drawn : Replicates

    Returns
    -------
    DataFrame
        Columns between (`replicates`: each with the next one, and none is used twice;
        `measured`: each with the measured matrix), n, mean, p05, p95. Correlations are
        over pairs of different models without NaN in either matrix.
    """
    off = drawn.off_diagonal
    rows = drawn.replicates[:, off]
    even = len(rows) // 2 * 2
    found = {
        "replicates": [spearman(a, b) for a, b in zip(rows[:even:2], rows[1:even:2], strict=True)],
        "measured": [spearman(row, drawn.measured[off]) for row in rows],
    }
    return pd.DataFrame([(name, *_summary(values)) for name, values in found.items()], columns=_columns("between"))


def pair_differences(
    drawn: Replicates, comparisons: Sequence[tuple[tuple[str, str], tuple[str, str]]], confidence: float = 0.95
) -> pd.DataFrame:
    """Compare the SAT of two models with that of two others, on the same images.

    Parameters
    ----------
    drawn : Replicates
    comparisons : sequence of ((str, str), (str, str))
        Each compares two pairs of models. The order within a pair does not matter.
    confidence : float

    Returns
    -------
    DataFrame
        Columns first, second ("a and b"), difference (SAT of the first pair minus that
        of the second), low, high, verdict. The verdict is `first` or `second` (the more
        similar pair), `tie` if the interval contains 0, or `unknown` if a pair is NaN.

    Raises
    ------
    ValueError
        If a model is not in the matrix.
    """
    number = {name: i for i, name in enumerate(drawn.models)}
    place = {pair: i for i, pair in enumerate(zip(drawn.first.tolist(), drawn.second.tolist(), strict=True))}

    def find(pair: tuple[str, str]) -> int:
        if missing := [name for name in pair if name not in number]:
            raise ValueError(f"{missing[0]} is not a model of the matrix")
        a, b = sorted(number[name] for name in pair)
        return place[a, b]

    table = []
    for one, other in comparisons:
        i, j = find(one), find(other)
        difference = drawn.measured[i] - drawn.measured[j]
        low, high = _interval(drawn.replicates[:, i] - drawn.replicates[:, j], confidence)
        if np.isnan([difference, low]).any():
            verdict = "unknown"
        else:
            verdict = "first" if low > 0 else "second" if high < 0 else "tie"
        table.append((" and ".join(one), " and ".join(other), difference, low, high, verdict))
    return pd.DataFrame(table, columns=["first", "second", "difference", "low", "high", "verdict"])


def curve_sizes(images: int, number: int = 12) -> list[int]:
    """Choose sizes for a stability curve, with equal factors between them, from 10 to half the images.

    Parameters
    ----------
    images : int
        Number of images.
    number : int
        Number of sizes. There are fewer if sizes would coincide.

    Returns
    -------
    list of int
        Ascending sizes. With fewer than 20 images, half of them is the only size; with fewer than 2 there is none.
    """
    half = images // 2
    return sorted({round(size) for size in np.geomspace(min(10, half), half, number)}) if half else []


def stability_curve(
    scores: Scores, sizes: Sequence[int], measure: Measure, repeats: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Correlate two matrices that were measured on different images, for several numbers of images.

    Parameters
    ----------
    scores : Scores
    sizes : sequence of int
        Numbers of images of each matrix. Two disjoint samples of each size are
        drawn, so sizes above half the images are left out.
    measure : callable
        `weighted_sat` with its eps_s, or `weighted_affinity`.
    repeats : int
        Number of draws for each size.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        Columns images (of each of the two matrices), n (number of draws), and mean,
        p05 and p95 of Spearman's correlation over pairs of different models.
    """
    images = scores.both.shape[1]
    off = scores.first != scores.second
    table = []
    for size in sorted({size for size in sizes if 0 < 2 * size <= images}):
        weights = np.zeros((2 * repeats, images), np.float32)
        random = generator("disjoint samples of images", seed, size)
        for repeat in range(repeats):
            order = random.permutation(images)
            weights[2 * repeat, order[:size]] = 1
            weights[2 * repeat + 1, order[size : 2 * size]] = 1
        values = measure(scores, weights)[:, off]
        found = [spearman(a, b) for a, b in zip(values[::2], values[1::2], strict=True)]
        table.append((size, *_summary(found)))
    return pd.DataFrame(table, columns=_columns("images"))


def enough_images(curve: pd.DataFrame, correlation: float) -> int | None:
    """Find the smallest number of images from which on the correlation is reached.

    Parameters
    ----------
    curve : DataFrame
        From `stability_curve`.
    correlation : float
        The 5 % point has to reach this value at the size and at all larger ones,
        so that a single lucky size does not count.

    Returns
    -------
    int or None
        None if not even the largest size reaches it.
    """
    ordered = curve.sort_values("images", ascending=False)
    holds = (ordered["p05"] >= correlation).cummin()
    return int(ordered["images"][holds].min()) if holds.any() else None


def _mean(rows: Floats) -> Floats:
    """Mean of each row without NaN; NaN for an empty row."""
    known = ~np.isnan(rows)
    n = known.sum(axis=1)
    return np.asarray(np.where(known, rows, 0).sum(axis=1) / np.where(n > 0, n, np.nan))


def _interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Percentile interval of the values that are not NaN; NaN if there are none."""
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _summary(values: Sequence[float]) -> tuple[int, float, float, float]:
    known = np.array([value for value in values if not np.isnan(value)])
    mean = float(known.mean()) if len(known) else float("nan")
    return (len(known), mean, *_interval(known, 0.9))


def _columns(first: str) -> list[str]:
    return [first, "n", "mean", "p05", "p95"]
