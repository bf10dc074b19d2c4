"""Whether two models are fooled on the same images, and how much of this is images that fool everybody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LEAST = 4
"""Fewest models, since an image's difficulty for a pair is measured on pairs of other models."""


@dataclass(frozen=True)
class Fooling:
    """Which images transfer, for all ordered pairs of different models."""

    correct: Bools
    """Whether each model classifies the clean image correctly, shape (models, n)."""
    fooled: Bools
    """Whether the source's image fools the target, both being correct on the clean image; (sources, targets, n)."""

    @cached_property
    def _counts(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Count, for each image, all fooled pairs and those with each model, and the same for pairs that count."""
        off = self.fooled & ~np.eye(len(self.correct), dtype=bool)[:, :, None]
        right = self.correct.sum(axis=0)
        each = off.sum(axis=0) + off.sum(axis=1)
        tried = np.where(self.correct, 2 * (right - 1), 0)
        return off.sum(axis=(0, 1)).astype(float), each.astype(float), right * (right - 1.0), tried.astype(float)

    def difficulty(self, a: int, b: int) -> Floats:
        """Log-odds with which an image transfers between two *other* models, shape (n,)."""
        fooled, fooled_each, tried, tried_each = self._counts
        # The pair of the two models is in the counts of each of them.
        hit = fooled - fooled_each[a] - fooled_each[b] + self.fooled[a, b] + self.fooled[b, a]
        n = tried - tried_each[a] - tried_each[b] + 2 * (self.correct[a] & self.correct[b])
        odds: Floats = np.log((hit + 0.5) / (n - hit + 0.5))
        return odds

    def both(self, a: int, b: int) -> tuple[int, float, float]:
        """Count images on which both directions of a pair transfer, and what is expected.

        Parameters
        ----------
        a, b : int

        Returns
        -------
        observed : int
        by_rates : float
            Expected if the directions were independent.
        by_images : float
            Expected if the directions had nothing in common but the images' difficulty. Each direction is fitted by
            logistic regression on the log-odds with which the image transfers between other models. NaN with fewer than
            4 models.
        """
        common = self.correct[a] & self.correct[b]
        forth, back = self.fooled[a, b][common], self.fooled[b, a][common]
        if not common.any():
            return 0, float("nan"), float("nan")
        observed, by_rates = int((forth & back).sum()), float(forth.sum() * back.mean())
        if len(self.correct) < LEAST:
            return observed, by_rates, float("nan")
        x = self.difficulty(a, b)[common]
        return observed, by_rates, float(_fitted(x, forth) @ _fitted(x, back))


def _fitted(x: Floats, hit: Bools) -> Floats:
    """Probabilities from a logistic regression on one variable. The slight penalty keeps separated data finite."""
    if hit.all() or not hit.any() or np.ptp(x) < 1e-12:
        return np.full(len(x), hit.mean())
    fitted: Floats = (
        LogisticRegression(C=100.0)
        .fit(((x - x.mean()) / x.std())[:, None], hit)
        .predict_proba(((x - x.mean()) / x.std())[:, None])[:, 1]
    )
    return fitted
