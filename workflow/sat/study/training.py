"""The config's section `training`, which says how models are trained."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from sat.study.names import check_optimiser
from sat.study.section import Count, Section


class Training(Section):
    """How models with `weights: train`, and models that are fine-tuned, are trained on the study's training images."""

    fine_tune: bool = False
    """Whether models with weights of their own (`hub`, or a checkpoint) are trained further from these weights, with a
    new classifier for the study's classes. Otherwise they are used unchanged."""
    epochs: Count = 10
    """Number of passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Number of images per step."""
    optimiser: str = "adamw"
    """Name of one of timm's optimisers. Weight decay does not apply to biases and norms."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.003
    """Highest learning rate of the schedule."""
    schedule: Literal["one_cycle", "cosine", "tanh", "step", "poly", "constant"] = "one_cycle"
    """How the learning rate changes from step to step. `one_cycle` is PyTorch's schedule, which warms up by itself. The
    others are timm's."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """Number of first epochs in which the learning rate rises linearly. `one_cycle` does not use it."""
    decay_epochs: Count = 30
    """Number of epochs between two multiplications of the learning rate by decay_rate. Only `step` uses it."""
    decay_rate: Annotated[float, Field(gt=0)] = 0.1
    """For `step`, the factor of the learning rate. For `poly`, the power."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Weight decay in the form that the optimiser uses, which is decoupled in AdamW."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Label smoothing. It keeps logits small, so that the attack's gradients do not vanish."""
    clip_gradient: Annotated[float, Field(gt=0)] = 1.0
    """Largest L2 norm of the gradient of one step."""
    noise: Annotated[float, Field(ge=0)] = 0.03
    """Standard deviation of the Gaussian noise on training images, in units of [0, 1]."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest share of an image's area that random crops keep; they are resized to the canvas. 1 crops nothing."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that an image is mirrored."""
    auto_augment: str | None = None
    """One of timm's policies, such as rand-m9-mstd0.5-inc1, augmix-m3-w3 or original."""
    random_erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a rectangle of an image is filled with the model's mean colour."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of mixup, which blends pairs of images of a batch. 0 turns it off."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of CutMix, which pastes in rectangles of other images. 0 turns it off. With mixup as well, each step uses
    one of the two."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of features that the classifier drops."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: share of residual branches that are dropped in the last block. The share is smaller in earlier
    blocks."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the forward pass, in operations for which PyTorch considers it safe. Weights and their updates are
    always float32."""

    @field_validator("optimiser")
    @classmethod
    def _check_optimiser(cls, value: str) -> str:
        check_optimiser(value)
        return value

    @field_validator("auto_augment")
    @classmethod
    def _check_policy(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"(rand|augmix|original|originalr|v0|v0r)(-[a-z]+[0-9.]*)*", value):
            return value
        raise ValueError(f"{value!r} is not one of timm's policies; write one such as rand-m9-mstd0.5-inc1")

    def conflict(self) -> str:
        """Say which two settings contradict each other; empty if none do. Rows of a table may change settings."""
        if self.warmup_epochs and self.schedule == "one_cycle":
            return "warmup_epochs: the schedule one_cycle warms up by itself; write 0, or schedule: cosine"
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            return (
                f"warmup_epochs: {self.warmup_epochs} of {self.epochs} epochs leave none after the warm-up; write fewer"
            )
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            return f"batch_size: {self.batch_size} is odd, and mixup and cutmix blend pairs; write an even number"
        return ""
