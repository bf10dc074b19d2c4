"""Whether the attack images of a finished study suffice for a target, and how many would."""

from __future__ import annotations

import math
from dataclasses import dataclass

SMALLEST = 16
"""Numbers of images are multiples of it, as batches are."""


@dataclass(frozen=True)
class Need:
    """What a study has reached of a target, and what it takes."""

    images: int
    """Number of attack images that were measured."""
    reached: float
    """The measured value with these images."""
    enough: bool
    """Whether the target is reached."""
    needed: float
    """Number of images that should reach it; infinite where no number does."""

    def next(self, available: int) -> int:
        """Choose the next number of attack images.

        It is at most twice as many as now: what few images say of the number needed is unsure, and the images that
        are attacked already need not be attacked again.

        Parameters
        ----------
        available : int
            Number of evaluation images.
        """
        most = 2 * self.images
        wanted = math.ceil(min(self.needed, most) / SMALLEST) * SMALLEST
        return min(max(wanted, self.images + SMALLEST), most, available)


def half_width_need(images: int, half_width: float, target: float) -> Need:
    """Compare the median half-width of SAT's intervals with a target; it shrinks with the root of the number.

    Parameters
    ----------
    images : int
    half_width : float
        Median of (sat_high - sat_low) / 2 over pairs of two models.
    target : float
    """
    enough = half_width <= target
    return Need(images, half_width, enough, images if enough else images * (half_width / target) ** 2)


def stability_need(images: int, size: int, correlation: float, target: float) -> Need:
    """Compare the rank correlation of two matrices, each from as many images as the study has, with a target.

    Such a pair of matrices takes twice the images, so it is measured with half of them or fewer, and what whole samples
    would have follows by the formula of Spearman and Brown: the variance that comes from the images shrinks with their
    number.

    Parameters
    ----------
    images : int
        Number of attack images of the study.
    size : int
        Number of images of each of the two matrices whose correlation was measured.
    correlation : float
        Their rank correlation.
    target : float
        Above 0, below 1.

    References
    ----------
    Spearman (1910) and Brown (1910), British Journal of Psychology 3, 271-295 and 296-322.
    """
    reached = correlation_with(images / size, correlation)
    # Where two halves have nothing in common, nothing can be said of more images.
    needed = size * target * (1 - correlation) / ((1 - target) * correlation) if correlation > 0 else math.inf
    return Need(images, reached, reached >= target, needed)


def correlation_with(times: float, correlation: float) -> float:
    """Correlation of two measurements that are so many times as long, by the formula of Spearman and Brown."""
    return times * correlation / (1 + (times - 1) * correlation)
