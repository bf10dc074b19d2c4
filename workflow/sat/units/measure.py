"""The declaration of a measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["prediction", "probability", "feature", "gradient"]
Interval = Literal["jackknife", "wilson", "none"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Declaration of a measure of the similarity of two models.

    The function ``run(arrays, labels)`` of its module gets one array per model and the labels (or None), and returns
    the matrix of similarities, float64 (models, models). A measure compares the outputs of models for the same images
    in the same order. It is symmetric, and largest for a model with itself: 1, or NaN if it has no meaning there.
    """

    needs: Needs
    """The array that it gets for each model. `prediction`: predicted classes, int (n,). `probability`: logits (n,
    classes), from which it computes probabilities. `feature`: pre-logit features (n, d); d may differ between models.
    `gradient`: gradients of the loss with respect to the image (n, d), each up to its own scale."""
    labelled: bool = False
    """Whether it also needs the labels, int (n,)."""
    least: int = 1
    """Smallest number of images that it needs."""
    interval: Interval = "jackknife"
    """How intervals of pairs are made. `jackknife`: `run` is called 20 times, each time without a twentieth of at most
    1,000 images. `wilson`: the similarity is a share of the images. `none`: 20 more calls would take too long.
    """
    title: str
    """Label of its y axis in the figure of measures."""
