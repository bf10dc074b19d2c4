"""How models are trained: the config's section `training`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from sat.study.names import check_optimiser
from sat.study.section import Count, Section


class Training(Section):
    """How models are trained on the study's training images: those with `weights: train`, and those fine-tuned."""

    fine_tune: bool = False
    """Models with weights of their own (`hub`, or a checkpoint) are trained from these on, with a new classifier for
    the study's classes. Without it they are used as they are."""
    epochs: Count = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Images a step."""
    optimiser: str = "adamw"
    """Name of one of timm's optimisers. Biases and norms do not decay."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.003
    """Highest of the schedule."""
    schedule: Literal["one_cycle", "cosine", "tanh", "step", "poly", "constant"] = "one_cycle"
    """How the learning rate changes from step to step: `one_cycle` is PyTorch's, which warms up by itself; the others
    are timm's."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """The learning rate rises linearly at first; not of `one_cycle`."""
    decay_epochs: Count = 30
    """The learning rate is multiplied by decay_rate after every so many; of `step` alone."""
    decay_rate: Annotated[float, Field(gt=0)] = 0.1
    """Of `step`: the factor; of `poly`: the power."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """As the optimiser takes it: decoupled in AdamW."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Keeps logits small, so that the attack's gradients do not vanish."""
    clip_gradient: Annotated[float, Field(gt=0)] = 1.0
    """Largest L2 norm of the gradient of one step."""
    noise: Annotated[float, Field(ge=0)] = 0.03
    """Standard deviation of the Gaussian noise on training images, in units of [0, 1]."""
    crop_scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Random crops, resized to the canvas, keep at least this share of the image's area; 1 crops nothing."""
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that an image is mirrored."""
    auto_augment: str | None = None
    """A policy of timm's, such as rand-m9-mstd0.5-inc1, augmix-m3-w3 or original."""
    random_erasing: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a rectangle of an image is filled with the model's mean colour."""
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of mixup: batches are blended with themselves; 0 is off."""
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of CutMix: rectangles of other images are pasted in; 0 is off. With mixup as well, each step takes one of
    them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of features that the classifier drops."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Stochastic depth: share of residual branches that are dropped in the last block; less in those before."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the forward pass where PyTorch deems it safe; weights and their updates are float32 in any case."""

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
        raise ValueError(f"{value!r} is none of timm's policies; write one such as rand-m9-mstd0.5-inc1")

    def conflict(self) -> str:
        """What two settings contradict each other in, empty where none do; rows of a table change single ones."""
        if self.warmup_epochs and self.schedule == "one_cycle":
            return "warmup_epochs: the schedule one_cycle warms up by itself; write 0, or schedule: cosine"
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            return f"warmup_epochs: {self.warmup_epochs} of {self.epochs} epochs leave none to train in; write fewer"
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            return f"batch_size: {self.batch_size} is odd, and mixup and cutmix blend pairs; write an even number"
        return ""
