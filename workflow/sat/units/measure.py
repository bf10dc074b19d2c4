"""What a measure declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["prediction", "probability", "feature"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Declaration of a measure of how alike two models are.

    Its module's function ``run(arrays, labels)`` gets an array of each model and the labels (None where there are
    none), and returns the matrix of similarities, float64 (models, models). A measure compares what models make of
    the same images, in the same order. It is symmetric, and greatest for a model with itself: 1, or NaN where it has
    no meaning.
    """

    needs: Needs
    """What it is given of each model. `prediction`: predicted classes, int (n,). `probability`: logits (n, classes),
    from which it makes probabilities. `feature`: pre-logit features (n, d), where d may differ between models."""
    labelled: bool = False
    """Whether it also needs the labels, int (n,)."""
    least: int = 1
    """Fewest images that it takes."""
    title: str
    """What the y axis of the figure of measures says."""
