"""Training a model on the study's own training images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sat.models.classifier import Blueprint, Classifier, build, to_unit
from sat.seeds import key


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher."""

    kind: str
    temperature: float
    weight: float

    def loss(self, student: Tensor, teacher: Tensor, own: Tensor) -> Tensor:
        """The loss of a batch."""
        if self.kind == "hard":
            term = F.cross_entropy(student, teacher.argmax(1))
        else:
            t = self.temperature
            term = t * t * F.kl_div(F.log_softmax(student / t, 1), F.softmax(teacher / t, 1), reduction="batchmean")
        return (1 - self.weight) * own + self.weight * term


def train(
    blueprint: Blueprint,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    label_smoothing: float,
    clip_gradient: float,
    noise: float,
    seed: tuple[object, ...],
    device: str = "cpu",
    teacher: Callable[[Tensor], Tensor] | None = None,
    distillation: Distillation | None = None,
    report: Callable[[dict[str, Any]], None] = lambda record: None,
) -> Classifier:
    """Train a classifier: AdamW, one-cycle rate, clipped gradients, light noise on the images.

    Parameters
    ----------
    blueprint : Blueprint
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
    epochs, batch_size : int
        Incomplete last batches are left out.
    learning_rate : float
        Peak of the schedule.
    weight_decay, label_smoothing : float
    clip_gradient : float
        Largest L2 norm of a step's gradient.
    noise : float
        Standard deviation in units of [0, 1].
    seed : tuple
        What the weights, order and noise are keyed by.
    device : str
    report : callable, optional
        Gets a record after every epoch: epoch, loss, accuracy on the training batches.

    Returns
    -------
    Classifier

    Raises
    ------
    ValueError
        If there are fewer images than one batch holds.
    FloatingPointError
        If the loss is not finite.
    """
    if len(images) < batch_size:
        raise ValueError(f"{len(images)} training images, fewer than one batch of {batch_size}")
    torch.manual_seed(key("training", *seed) % 2**63)
    classifier = build(blueprint).train()
    classifier.place(device)
    # One generator, on the CPU: the order and the noise are the same on every device.
    random = torch.Generator().manual_seed(key("order and noise", *seed) % 2**63)
    steps = len(images) // batch_size
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=epochs * steps)
    all_images, all_labels = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    for epoch in range(1, epochs + 1):
        total, right = 0.0, 0
        for chosen in torch.randperm(len(images), generator=random)[: steps * batch_size].split(batch_size):
            batch, target = all_images[chosen], all_labels[chosen].to(device)
            unit = to_unit(batch) + noise * torch.randn(batch.shape, generator=random)
            logits = classifier(unit.to(device)).float()
            loss = F.cross_entropy(logits, target, label_smoothing=label_smoothing)
            if teacher is not None and distillation is not None:
                with torch.no_grad():
                    said = teacher(unit.to(device)).float()
                loss = distillation.loss(logits, said, loss)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(classifier.parameters(), clip_gradient)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            right += int((logits.argmax(1) == target).sum())
        if not np.isfinite(total):
            raise FloatingPointError(f"the loss of epoch {epoch} is not finite; try a lower training.learning_rate")
        report({"epoch": epoch, "loss": round(total / steps, 4), "accuracy": round(right / (steps * batch_size), 4)})
    return classifier
