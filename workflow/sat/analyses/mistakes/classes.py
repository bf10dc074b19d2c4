"""Do two models make the same mistake? Wrong classes of fooled targets against those of the source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Mistakes:
    """Wrong classes of all models on all adversarial images."""

    labels: Ints
    """True classes, shape (n,)."""
    correct: Bools
    """Whether each model classifies the clean image correctly, shape (models, n)."""
    wrong: Ints
    """Wrong class into which the source's image makes the target fall, shape (sources, targets, n). It is -1 where the
    target is not fooled, or where source or target misclassify the clean image. The diagonal holds each model's own
    mistake, in the white box."""

    @classmethod
    def of(
        cls,
        models: list[str],
        labels: Ints,
        correct: Bools,
        predictions: Iterable[tuple[str | None, str, Ints]],
    ) -> Mistakes:
        """Collect wrong classes from the predictions of all pairs; see `sat.similarity.predictions.read_tiles`."""
        place = {model: row for row, model in enumerate(models)}
        wrong = np.full((len(models), len(models), len(labels)), -1, np.int32)
        for source, target, prediction in predictions:
            if source is not None:
                s, t = place[source], place[target]
                counts = correct[s] & correct[t] & (prediction != labels)
                wrong[s, t] = np.where(counts, prediction, -1)
        return cls(labels.astype(np.int64), correct, wrong)

    @property
    def own(self) -> Ints:
        """Every model's own mistake, shape (models, n); -1 where it has none."""
        own: Ints = np.einsum("iin->in", self.wrong)
        return own

    def shared(self, source: int, target: int) -> Ints:
        """Wrong class of the target on images that also fool their source, shape (n,); -1 elsewhere."""
        return np.where(self.own[source] >= 0, self.wrong[source, target], -1)

    def by_image(self, source: int, target: int) -> Floats:
        """Share of the other models whose own mistake on an image is the target's mistake.

        Parameters
        ----------
        source, target : int

        Returns
        -------
        float array, shape (n,)
            NaN where the target is not fooled, or where no other model has a mistake of its own.
        """
        wrong, own = self.shared(source, target), self.own
        others = np.delete(np.arange(len(own)), [source, target])
        count = (own[others] >= 0).sum(axis=0)
        same = (own[others] == wrong).sum(axis=0)
        return np.where((wrong >= 0) & (count > 0), same / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Tally:
    """Numbers of images on which a target makes the source's mistake, all of them and without each image in turn."""

    total: Floats
    """Three numbers: n, the images that fool source and target and have an expectation; same, those of them on which
    both fall into the same class; expected, how many these are expected to be if the source makes another mistake of
    the same kind."""
    without: Floats
    """The three numbers without each image, shape (3, images)."""

    def __add__(self, other: Tally) -> Tally:
        """Add the other direction of a pair. An image is left out of both directions at once."""
        return Tally(self.total + other.total, self.without + other.without)

    def excess(self, confidence: float) -> tuple[float, float, float]:
        """Compute (same - expected) / (n - expected), with a jackknife interval over images.

        The jackknife is taken of the logarithm of 1 - excess = (n - same) / (n - expected), so the interval ends below
        1 and covers better. Half an image is added to both numbers where they may be 0.

        Parameters
        ----------
        confidence : float
            Level of the interval.

        Returns
        -------
        excess, low, high : float
            1 if all mistakes are the same, 0 if they are as often the same as expected. NaN without an image. The ends
            are also NaN where all mistakes are the same, since leaving out an image then changes nothing.
        """
        n, same, expected = self.total
        nothing = float("nan")
        if n - expected < 1e-9:
            return nothing, nothing, nothing
        value = float((same - expected) / (n - expected))
        if same == n:
            return value, nothing, nothing
        n, same, expected = self.without
        parts = np.log((n - same + 0.5) / (n - expected + 0.5))
        spread = norm.isf((1 - confidence) / 2) * np.sqrt((len(parts) - 1) * np.var(parts))
        return value, float(1 - (1 - value) * np.exp(spread)), float(1 - (1 - value) * np.exp(-spread))


def tally_by_class(labels: Ints, own: Ints, wrong: Ints) -> Tally:
    """Compare the target's mistakes with those of the source on other images of the same true class.

    The expectation of an image is the share of the source's own mistakes on the *other* images of its true class
    that are the target's mistake. Leaving the image itself out makes it unbiased however few images a class has.

    Parameters
    ----------
    labels : int array, shape (n,)
        True classes.
    own : int array, shape (n,)
        The source's own mistakes; -1 where it has none.
    wrong : int array, shape (n,)
        The target's mistakes on images that fool the source too; -1 elsewhere.

    Returns
    -------
    Tally
        Without images whose class has no other mistake of the source.
    """
    labels, pool, hit = labels.astype(np.int64), own >= 0, wrong >= 0
    size = np.bincount(labels[pool], minlength=labels.max() + 1).astype(float)
    width = int(max(own.max(), wrong.max())) + 1
    ours, theirs = labels * width + own, labels * width + wrong
    equal = np.where(hit, count_equal(theirs, ours[pool]), 0).astype(float)
    reached = np.where(pool, count_equal(ours, theirs[hit]), 0).astype(float)
    same = (hit & (own == wrong)).astype(float)

    def sums(values: Floats) -> Floats:
        return np.bincount(labels, values, len(size)).astype(float)

    total = np.stack([sums(hit.astype(float)), sums(same), sums(equal)])
    classes = _class_sums(size, *total)
    left = total[:, labels] - np.stack([hit, same, reached + hit * (equal - same)])
    without = classes.sum(axis=1)[:, None] - classes[:, labels] + _class_sums(size[labels] - 1, *left)
    without = np.where(pool, without, classes.sum(axis=1)[:, None])
    return Tally(classes.sum(axis=1), without)


def _class_sums(size: Floats, n: Floats, same: Floats, equal: Floats) -> Floats:
    """n, same and expected of every class; 0 for classes with fewer than two mistakes of the source."""
    known = size > 1
    return np.stack([n * known, same * known, np.where(known, (equal - same) / np.where(known, size - 1, 1), 0)])


def tally_by_image(own: Ints, wrong: Ints, share: Floats) -> Tally:
    """Compare the target's mistakes with those of other models on the same image.

    Parameters
    ----------
    own, wrong : int array, shape (n,)
        As for `tally_by_class`.
    share : float array, shape (n,)
        From `Mistakes.by_image`.

    Returns
    -------
    Tally
        Without images on which no other model has a mistake of its own.
    """
    known = np.isfinite(share)
    parts = np.stack([known.astype(float), (known & (own == wrong)).astype(float), np.where(known, share, 0)])
    total = parts.sum(axis=1)
    return Tally(total, total[:, None] - parts)


def same_class_p(labels: Ints, own: tuple[Ints, Ints], wrong: tuple[Ints, Ints]) -> float:
    """Compute the one-sided p that two models make the same mistake no more often than the true class explains.

    Null hypothesis: among images of a true class, which wrong class the sources fall into says nothing of the class
    that the targets fall into. Both sources' mistakes move together to another image of the class on which the same of
    them are fooled, so an image that counts in both directions stays one image. The number of same mistakes then
    has Hoeffding's mean and variance, and p is that of the normal distribution with a continuity correction.

    Parameters
    ----------
    labels : int array, shape (n,)
    own : pair of int array, shape (n,)
        Own mistakes of the first and of the second model; -1 where there is none.
    wrong : pair of int array, shape (n,)
        The other model's mistake on the image of the first, and of the second; -1 where there is none.

    Returns
    -------
    float
        NaN without an image that fools source and target; 1 where no relabelling changes the number.

    References
    ----------
    Hoeffding (1951). A combinatorial central limit theorem. Annals of Mathematical Statistics 22, 558-566.
    """
    group = labels.astype(np.int64) * 4 + (own[0] >= 0) * 2 + (own[1] >= 0)
    n = np.bincount(group).astype(float)
    width = int(max(array.max() for array in (*own, *wrong))) + 1
    if width < 1 or not any((array >= 0).any() for array in wrong):
        return float("nan")
    row, column, count = np.zeros(len(labels)), np.zeros(len(labels)), 0
    for ours, theirs in zip(own, wrong, strict=True):
        pool, hit = ours >= 0, theirs >= 0
        ours_key, theirs_key = group * width + ours, group * width + theirs
        row += np.where(hit, count_equal(theirs_key, ours_key[pool]), 0)
        column += np.where(pool, count_equal(ours_key, theirs_key[hit]), 0)
        count += int((hit & (ours == theirs)).sum())
    # On some images, both directions would be the same: these count 2 in place of 1, and 4 in the sum of squares.
    keys = [(group * width + first) * width + second for first, second in (own, wrong)]
    pools, hits = ((array[0] >= 0) & (array[1] >= 0) for array in (own, wrong))
    twice = np.where(hits, count_equal(keys[1], keys[0][pools]), 0)

    def sums(values: Floats) -> Floats:
        return np.bincount(group, values, len(n)).astype(float)

    filled = np.maximum(n, 1)
    total = sums(row)
    squares = sums(row + 2 * twice) - (sums(row**2) + sums(column**2)) / filled + total**2 / filled**2
    variance = float((squares / np.maximum(n - 1, 1)).sum())
    if variance < 1e-9:
        return 1.0
    return float(norm.sf((count - (total / filled).sum() - 0.5) / np.sqrt(variance)))


def count_equal(values: Ints, among: Ints) -> Ints:
    """Count for every value how many of some others are equal to it."""
    ordered = np.sort(among)
    counts: Ints = np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left")
    return counts
