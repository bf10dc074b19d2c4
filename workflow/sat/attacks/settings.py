"""Keys of the config's section `attack` that several attacks use, each defined once.

A key that a single attack uses is defined in that attack's module.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sat.study.section import Count, Section


class Steps(Section):
    """Attacks that take steps."""

    step: str | float = "2/255"
    """Step size, in the unit of eps. From 2 x eps on, a step moves every pixel that it changes to an end of the
    L-infinity ball."""
    steps: Count = 10
    """Number of steps."""


class RandomStart(Section):
    """Attacks that may start from a random point."""

    random_start: bool = True
    """Start from a random point within the ball, keyed by seed, image and model."""


class Momentum(Steps):
    """Attacks that follow an accumulated gradient."""

    momentum: Annotated[float, Field(ge=0)] = 1.0
    """Decay factor of the accumulated gradient: 1 in the paper. With 0, only the last gradient counts."""
