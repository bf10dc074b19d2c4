"""Other measures of how alike two models are, behind one interface: `MEASURES`, and `measure` by name.

Every measure compares what two models make of the same images, in the same order, is symmetric, and is greatest for a
model with itself: 1, or NaN where it has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

Floats = NDArray[np.float64]
Needs = Literal["prediction", "probability", "feature"]
# Elements of one model's slice of logits: 256 KiB, so that a pair's work stays in the processor's cache.
_LOGITS = 2**15
# Images along one side of a tile of the Gram matrices.
_GRAM = 256


@dataclass(frozen=True)
class Measure:
    """A measure of similarity between two models."""

    name: str
    needs: Needs
    """What it is given of a model: prediction, int (n,); probability, logits (n, classes), from which it makes
    probabilities; feature, pre-logit features (n, d), where d may differ between models."""
    labelled: bool
    """Whether it also needs the labels, int (n,)."""
    least: int
    """Fewest images."""
    square: Callable[[Sequence[Any], Any], Floats]
    """Arrays of all models and the labels to the symmetric matrix."""

    def __call__(self, a: Any, b: Any, labels: Any = None) -> float:
        """Similarity of two models, from an array each; see `matrix`."""
        return float(self.matrix({"a": a, "b": b}, labels).iloc[0, 1])

    def matrix(self, arrays: Mapping[str, Any], labels: Any = None) -> pd.DataFrame:
        """Similarity of every two models, each pair once.

        Parameters
        ----------
        arrays : mapping of str to array_like
            What the measure `needs`, of each model. Only `shape` and slices of
            rows are taken, so it may be an open HDF5 data set.
        labels : int array, shape (n,), optional
            Needed by a `labelled` measure.

        Returns
        -------
        DataFrame, shape (models, models)
            Symmetric, in the order of `arrays`; a model that is not finite
            somewhere has NaN in its row and column, diagonal included.

        Raises
        ------
        ValueError
            If shapes do not fit, there are too few images, or labels are missing.
        """
        self._check(arrays, labels)
        with np.errstate(invalid="ignore", divide="ignore"):
            square = self.square(list(arrays.values()), None if labels is None else np.asarray(labels))
        return pd.DataFrame(square, index=list(arrays), columns=list(arrays))

    def _check(self, arrays: Mapping[str, Any], labels: Any) -> None:
        if len(arrays) < 2:
            raise ValueError(f"{self.name} compares two models or more, not {len(arrays)}")
        shapes = {model: tuple(array.shape) for model, array in arrays.items()}
        axes = 1 if self.needs == "prediction" else 2
        # Classes have to be the same ones; features need not.
        alike = {shape if self.needs == "probability" else shape[0] for shape in shapes.values()}
        if len(alike) > 1 or any(len(shape) != axes for shape in shapes.values()):
            raise ValueError(f"{self.name}: arrays do not fit together: {shapes}")
        n = next(iter(shapes.values()))[0]
        if n < self.least:
            raise ValueError(f"{self.name} needs at least {self.least} images, not {n}")
        if self.labelled and (labels is None or np.shape(labels) != (n,)):
            raise ValueError(f"{self.name} needs the {n} images' labels")


MEASURES: dict[str, Measure] = {}
"""By name."""


def measure(name: str) -> Measure:
    """Look a measure up; the error names those that exist."""
    if name not in MEASURES:
        raise ValueError(f"no measure is called {name!r}; there are {', '.join(sorted(MEASURES))}")
    return MEASURES[name]


def register(
    needs: Needs, labelled: bool = False, least: int = 1
) -> Callable[[Callable[[Sequence[Any], Any], Floats]], Callable[[Sequence[Any], Any], Floats]]:
    """Add a function to `MEASURES` under its own name; the arguments are fields of `Measure`."""

    def add(square: Callable[[Sequence[Any], Any], Floats]) -> Callable[[Sequence[Any], Any], Floats]:
        MEASURES[square.__name__] = Measure(square.__name__, needs, labelled, least, square)
        return square

    return add


@register("prediction")
def agreement(predictions: Sequence[Any], labels: Any) -> Floats:
    """Share of images on which two models predict the same class, right or wrong; 0 to 1.

    69 models and 50,000 images take 0.2 s.
    """
    stack = np.stack([np.asarray(prediction[:]) for prediction in predictions])
    square = np.eye(len(stack))
    for i, j in combinations(range(len(stack)), 2):
        square[i, j] = square[j, i] = np.mean(stack[i] == stack[j])
    return square


@register("prediction", labelled=True)
def error_consistency(predictions: Sequence[Any], labels: Any) -> Floats:
    """Cohen's kappa of being right: how much oftener two models are right or wrong together than chance has it.

    (observed - expected) / (1 - expected), where two independent models of the
    same accuracies p and q would be right or wrong together on
    expected = p q + (1 - p)(1 - q) of the images; -1 to 1. NaN where that is 1:
    both always right, or both always wrong. 69 models and 50,000 images take
    0.3 s.

    References
    ----------
    Geirhos, Meding & Wichmann (2020). Beyond accuracy: quantifying trial-by-trial
    behaviour of CNNs and humans by measuring error consistency. NeurIPS 33.
    """
    # Counts are whole numbers, and stay exact in float64.
    right = np.stack([np.asarray(prediction[:]) == labels for prediction in predictions]).astype(np.float64)
    wrong = 1 - right
    n = right.shape[1]
    observed = n * (right @ right.T + wrong @ wrong.T)
    expected = np.outer(right.sum(1), right.sum(1)) + np.outer(wrong.sum(1), wrong.sum(1))
    kappa: Floats = np.where(expected < n**2, (observed - expected) / (n**2 - expected), np.nan)
    return kappa


@register("probability")
def jensen_shannon(logits: Sequence[Any], labels: Any) -> Floats:
    """One minus the Jensen-Shannon divergence of two models' softmax probabilities, averaged over images; 0 to 1.

    The divergence, not its square root (which scipy calls the distance): it adds
    up over images, and rounding near 0 is not magnified. Its base is 2, so it is
    1 between probabilities that share no class, and the measure is 0 there.

    Probabilities and sums are float64, in slices of images with all models side
    by side: each softmax is made once, and memory is 256 KiB a model. A pair
    costs one logarithm an image and class: 69 models x 1,000 classes take about
    2 minutes on one core for 10,000 images, and 9 for 50,000.

    References
    ----------
    Lin, J. (1991). IEEE Trans. Inf. Theory 37(1), 145-151.
    """
    n, classes = logits[0].shape
    bits = np.zeros((len(logits), len(logits)))
    own = np.zeros(len(logits))
    for rows in _slices(n, max(1, _LOGITS // classes)):
        # Halves, since the mean of two models is then one addition, and exactly p for two equal ones.
        half = np.stack([softmax(np.asarray(array[rows], np.float64), axis=1) / 2 for array in logits])
        own += [_entropy(part + part) for part in half]
        for i, j in combinations(range(len(half)), 2):
            bits[i, j] += _entropy(half[i] + half[j])
    bits += bits.T
    np.fill_diagonal(bits, own)
    square: Floats = 1 - (bits - (own[:, None] + own) / 2) / n
    return square


def _entropy(probability: Floats) -> float:
    """Sum over all images, in bits."""
    # 0 log 0 is 0: any number does in place of log 0, and a NaN stays one.
    logarithm = np.maximum(probability, 1e-300)
    np.log2(logarithm, out=logarithm)
    return -float(np.vdot(probability, logarithm))


@register("feature", least=4)
def cka(features: Sequence[Any], labels: Any) -> Floats:
    """Linear centred kernel alignment of features, debiased; -1 to 1, about 0 for independent features.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), with K and L the Gram matrices of
    the two models' features, and the unbiased estimator of HSIC. The biased one
    nears 1 for any features once these are more than the images. NaN for a model
    whose features tell no image from another.

    The Gram matrices are made tile by tile, for all models at once, on and below
    the diagonal only; of a tile, every pair needs one inner product. Each model
    is multiplied once however many models there are: n^2 d flops a model and
    n^2 a pair. Memory is 2 x 256 images of every model in float64. 69 models of
    1,000 features take 17 s on one core for 2,000 images, so about 2 minutes for
    5,000, 7 for 10,000 and 3 hours for 50,000. A sample of 5,000 will do: the
    estimator of HSIC has no bias that more images would remove.

    References
    ----------
    Song et al. (2012). Feature selection via dependence maximization. JMLR 13, Eq. 5.
    Nguyen, Raghu & Kornblith (2021). Do wide and deep networks learn the same
    things? ICLR.
    """
    n = len(features[0])
    centres = [_centre(array) for array in features]
    trace = np.zeros((len(features), len(features)))
    sums = np.zeros((len(features), n))

    def centred(rows: slice) -> list[Floats]:
        return [np.asarray(array[rows], np.float64) - centre for array, centre in zip(features, centres, strict=True)]

    for rows in _slices(n, _GRAM):
        left = centred(rows)
        for columns in _slices(rows.stop, _GRAM):
            right = left if columns == rows else centred(columns)
            gram = np.stack([a @ b.T for a, b in zip(left, right, strict=True)])
            if columns == rows:
                # The estimator leaves out every image's product with itself.
                gram[:, range(gram.shape[1]), range(gram.shape[1])] = 0
            else:
                sums[:, columns] += gram.sum(axis=1)
            sums[:, rows] += gram.sum(axis=2)
            flat = gram.reshape(len(gram), -1)
            trace += (1 if columns == rows else 2) * (flat @ flat.T)
    total = sums.sum(axis=1)
    hsic = trace + np.outer(total, total) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (sums @ sums.T)
    # What rounding leaves of equal Gram entries is not variance.
    own = np.where(np.diag(hsic) > 1e-12 * np.diag(trace), np.diag(hsic), np.nan)
    square: Floats = np.clip(hsic / np.sqrt(np.outer(own, own)), -1, 1)
    return square


def _centre(array: Any) -> Floats:
    """Mean feature, of which HSIC is free; taking it off keeps digits. Exact for a constant feature."""
    first = np.asarray(array[:1], np.float64)
    total = sum((np.asarray(array[rows], np.float64) - first).sum(axis=0) for rows in _slices(len(array), 4 * _GRAM))
    mean: Floats = first[0] + total / len(array)
    return mean


def _slices(n: int, size: int) -> Iterator[slice]:
    """Consecutive slices of n images."""
    return (slice(first, min(first + size, n)) for first in range(0, n, size))
