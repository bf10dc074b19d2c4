"""Keys of the config's section `attack` that several attacks use, each defined once.

A key that a single attack uses is defined in that attack's module.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sat.study.section import Count, Section

VITS = (
    r"(test_vit|vit_|deit_|deit3_|flexivit_|aimv2_|beit3_|eva_large_)"
    r"(?!.*(rope|dinov3|pe_|sapiens2|lingbot|_r\d*_s|resnet|mci|dlittle|dwee|pwee|_xp_|18x2)).*"
)
"""Names of timm's architectures that are built as its VisionTransformer is: patches that do not overlap, and blocks
with an attention whose maps can be had."""


class StepCount(Section):
    """Attacks that take a number of steps."""

    steps: Count = 10
    """Number of steps."""


class Steps(StepCount):
    """Attacks that take steps of a given size."""

    step: str | float = "2/255"
    """Step size, in the unit of eps. From 2 x eps on, a step moves every pixel that it changes to an end of the
    L-infinity ball."""


class RandomStart(Section):
    """Attacks that may start from a random point."""

    random_start: bool = True
    """Start from a random point within the ball, keyed by seed, image and model."""


class Momentum(Steps):
    """Attacks that follow an accumulated gradient."""

    momentum: Annotated[float, Field(ge=0)] = 1.0
    """Decay factor of the accumulated gradient: 1 in the paper. With 0, only the last gradient counts."""
