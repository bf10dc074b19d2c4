"""Training a model on the study's own training images.

Everything random is keyed by the seed and the epoch, and the learning rate depends
on the number of the step. So the state after an epoch consists of the network, its
optimiser and the scaling of float16, and training that resumes from it ends with the
same weights.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from timm.data.mixup import Mixup
from timm.scheduler.scheduler_factory import create_scheduler_v2
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import OneCycleLR

from sat.models.augmentation import ImageArray, load_batches, seed_all
from sat.models.classifier import Blueprint, Classifier, build, classifier_layers, to_unit
from sat.models.own import WrongArguments, not_logits
from sat.models.without_compiler import without_compiler
from sat.study.training import Training

with without_compiler():
    optim: Any = import_module("timm.optim")
log = logging.getLogger("sat")
LINE = 30.0
"""Seconds between two log lines within an epoch."""
WARMUP_START = 0.01
"""First learning rate of a warm-up, as a share of the highest."""


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher."""

    kind: Literal["soft", "hard"]
    """`soft`: from the teacher's probabilities. `hard`: from the class that the teacher predicts."""
    temperature: float = 1.0
    """Divisor of the logits of student and teacher; only `soft` uses it."""
    weight: float = 0.5
    """Weight of the teacher in the loss. The labels have the rest."""


class Checkpoints(Protocol):
    """Storage for the state after an epoch, such as `sat.store.checkpoint.Checkpoint`."""

    @property
    def due(self) -> bool:
        """Whether to write a checkpoint now."""

    def read(self) -> dict[str, Any] | None:
        """Read the state that was written last."""

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state that was written before."""


@dataclass(frozen=True)
class Trained:
    """A trained classifier, and the record of its training."""

    classifier: Classifier
    history: list[dict[str, float]]
    """One record per epoch: epoch, loss and accuracy on the augmented training batches, learning_rate at the end of the
    epoch, seconds."""
    n_resumed: int
    """Number of epochs that an earlier job had finished."""


def train(
    blueprint: Blueprint,
    images: ImageArray,
    labels: NDArray[np.integer],
    settings: Training,
    *,
    seed: tuple[object, ...],
    device: str = "cpu",
    workers: int = 0,
    start: Mapping[str, Tensor] | None = None,
    teacher: Callable[[Tensor], Tensor] | None = None,
    distillation: Distillation | None = None,
    checkpoint: Checkpoints | None = None,
) -> Trained:
    """Train a classifier.

    Parameters
    ----------
    blueprint : Blueprint
    images : ImageArray, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
    settings : Training
    seed : tuple
        Key of everything random.
    device : str
    workers : int
        Number of processes that prepare images. It does not change the result.
    start : mapping of str to Tensor, optional
        State of a network of the same architecture to start from. Its classifier is replaced by a new one.
    teacher : callable, optional
        A frozen model. It takes the augmented images in units of [0, 1], shape (batch, 3, S, S), and returns logits.
    distillation : Distillation, optional
        How the student learns from the teacher; given if `teacher` is.
    checkpoint : Checkpoints, optional
        Where to resume from, and where to write the state after an epoch.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        If there are fewer images than one batch holds, or if timm does not know or accept a setting.
    FloatingPointError
        If the loss is not finite.
    """
    if len(images) < settings.batch_size:
        raise ValueError(f"{len(images)} training images, fewer than one batch of {settings.batch_size}")
    steps = len(images) // settings.batch_size
    seed_all("weights", *seed)
    classifier = build_for_training(blueprint, settings, start).train()
    classifier.place(device)
    parameters = list(classifier.parameters())
    optimiser = make_optimiser(classifier, settings)
    set_rate = make_schedule(optimiser, settings, steps)
    scaler = GradScaler(device, enabled=settings.precision == "float16")
    mix = (
        Mixup(settings.mixup, settings.cutmix, label_smoothing=0.0, num_classes=blueprint.num_classes)
        if settings.mixup or settings.cutmix
        else None
    )
    history: list[dict[str, float]] = []
    state = checkpoint.read() if checkpoint else None
    if state:
        classifier.net.load_state_dict(state["net"])
        with without_compiler():
            optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state["scaler"])
        history = state["history"]
        log.info("%d of %d epochs were finished by a job that was stopped", len(history), settings.epochs)
    resumed = len(history)
    epochs = range(resumed + 1, settings.epochs + 1)
    batches = load_batches(
        images, labels, settings, blueprint.mean, epochs=epochs, seed=seed, workers=workers, pin=device == "cuda"
    )
    pace = _Pace(settings, steps, resumed)
    for epoch in epochs:
        seed_all("epoch", *seed, epoch)
        begun = time.monotonic()
        # These are read rarely, because the GPU has to wait each time.
        total, right = torch.zeros((), device=device), torch.zeros((), device=device)
        for step in range(1, steps + 1):
            levels, target = next(batches)
            unit, target = to_unit(levels.to(device, non_blocking=True)), target.to(device, non_blocking=True)
            if settings.noise:
                # randn_like would use the memory layout of `unit`, in which it takes three times as long.
                unit = unit + settings.noise * torch.randn(unit.shape, device=device)
            if mix:
                unit, target = mix(unit, target)
            with torch.autocast(device, getattr(torch, settings.precision), settings.precision != "float32"):
                logits = classifier(unit)
            # Some nets return more in training than otherwise.
            if words := not_logits(logits):
                raise ValueError(f"{blueprint.architecture}: in training, it {words}")
            logits = logits.float()
            loss = F.cross_entropy(logits, target, label_smoothing=settings.label_smoothing)
            if teacher and distillation:
                with torch.no_grad():
                    said = teacher(unit).float()
                loss = distillation_loss(loss, logits, said, distillation)
            scaler.scale(loss).backward()
            scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(parameters, settings.clip_gradient)
            with without_compiler():
                scaler.step(optimiser)
                optimiser.zero_grad()
            scaler.update()
            set_rate((epoch - 1) * steps + step)
            total += loss.detach()
            right += (logits.argmax(1) == (target.argmax(1) if mix else target)).sum()
            if pace.due or step == steps:
                _check_finite(float(total), epoch, settings)
                pace.log(epoch, step, float(total) / step, float(right) / (step * settings.batch_size))
        history.append(
            {
                "epoch": epoch,
                "loss": round(float(total) / steps, 4),
                "accuracy": round(float(right) / (steps * settings.batch_size), 4),
                "learning_rate": optimiser.param_groups[0]["lr"],
                "seconds": round(time.monotonic() - begun, 3),
            }
        )
        if checkpoint and checkpoint.due and epoch < settings.epochs:
            with without_compiler():
                states = {"net": classifier.net.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoint.write({**states, "scaler": scaler.state_dict(), "history": history})
    return Trained(classifier, history, resumed)


def distillation_loss(loss: Tensor, student: Tensor, teacher: Tensor, distillation: Distillation) -> Tensor:
    """Compute the loss of a student that learns from a teacher and the labels.

    Let w be the weight and T the temperature. The soft loss is
    (1 - w) CE + w T² KL(teacher_T || student_T) (Hinton et al. 2015). The hard loss is
    (1 - w) CE + w CE of the teacher's class (Touvron et al. 2021, eq. 3, where w is 0.5).

    Parameters
    ----------
    loss : Tensor, shape ()
        Cross-entropy with the labels.
    student, teacher : float Tensor, shape (n, classes)
        Logits.
    distillation : Distillation

    Returns
    -------
    Tensor, shape ()
    """
    weight, temperature = distillation.weight, distillation.temperature
    if distillation.kind == "hard":
        other = F.cross_entropy(student, teacher.argmax(1))
    else:
        other = temperature**2 * F.kl_div(
            F.log_softmax(student / temperature, 1),
            F.log_softmax(teacher / temperature, 1),
            reduction="batchmean",
            log_target=True,
        )
    return (1 - weight) * loss + weight * other


def build_for_training(blueprint: Blueprint, settings: Training, start: Mapping[str, Tensor] | None) -> Classifier:
    """Build a classifier with dropout and stochastic depth, from random weights or from others.

    Parameters
    ----------
    blueprint : Blueprint
    settings : Training
    start : mapping of str to Tensor, optional
        See `train`.

    Returns
    -------
    Classifier

    Raises
    ------
    ValueError
        If the architecture lacks an option, or the weights are those of another architecture.
    """
    options = {"drop_rate": settings.dropout, "drop_path_rate": settings.drop_path}
    try:
        classifier = build(blueprint, options={name: value for name, value in options.items() if value})
    except (TypeError, WrongArguments) as error:
        if not any(options.values()):
            raise
        raise ValueError(
            f"{blueprint.architecture} does not take every setting ({error}); leave out training.dropout and "
            "training.drop_path for it"
        ) from None
    if start is not None:
        expected = classifier.net.state_dict()
        # A net of the user's own does not name its classifier. It is what has other shapes with other classes.
        others = {name for name, value in start.items() if name in expected and expected[name].shape != value.shape}
        own = tuple({name.rpartition(".")[0] for name in others}) if blueprint.code else ()
        layers = classifier_layers(blueprint.architecture) + own
        kept = {name: value for name, value in start.items() if name.rpartition(".")[0] not in layers}
        try:
            missing, unexpected = classifier.net.load_state_dict(kept, strict=False)
        except RuntimeError as error:
            raise ValueError(f"the weights to start from do not fit ({' '.join(str(error).split())[:300]})") from None
        strange = [*unexpected, *(name for name in missing if name.rpartition(".")[0] not in layers)]
        if strange:
            raise ValueError(f"the weights to start from do not fit ({', '.join(strange[:5])})")
    return classifier


def make_optimiser(classifier: Classifier, settings: Training) -> torch.optim.Optimizer:
    """Make one of timm's optimisers, by its name.

    Raises
    ------
    ValueError
        If timm has no optimiser of this name, if it needs a package that is not installed, or if it cannot be resumed.
    """
    name = settings.optimiser.lower()
    # Kron draws from a generator of its own, which a checkpoint does not contain.
    names = [
        known
        for known in map(str, optim.list_optimizers())
        if not (optim.get_optimizer_info(known).second_order or known.startswith("kron"))
    ]
    if name not in names:
        close = [known for known in names if known[:3] == name[:3]] or ["adamw", "sgd", "lamb", "lion"]
        raise ValueError(
            f"training.optimiser: timm {timm.__version__} has no {settings.optimiser!r} that can be had here; write "
            f"one such as {', '.join(close)}"
        )
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if "fused" in inspect.signature(optim.get_optimizer_class(name, bind_defaults=False)).parameters:
        options["fused"] = True
    try:
        with without_compiler():
            optimiser: torch.optim.Optimizer = optim.create_optimizer_v2(classifier.net, name, **options)
    except Exception as error:  # errors of packages that timm leaves to the user
        raise ValueError(f"training.optimiser: {settings.optimiser!r} cannot be had here ({error})") from None
    return optimiser


def make_schedule(optimiser: torch.optim.Optimizer, settings: Training, steps: int) -> Callable[[int], None]:
    """Make a learning rate schedule that depends only on the number of the step.

    Parameters
    ----------
    optimiser : Optimizer
        Its learning rate is set for the first step at once.
    settings : Training
    steps : int
        Number of steps in an epoch.

    Returns
    -------
    callable
        Function of the number of steps done, which sets the learning rate of the next step.
    """
    if settings.schedule == "one_cycle":
        cycle = OneCycleLR(optimiser, settings.learning_rate, total_steps=settings.epochs * steps)

        def set_rate(done: int) -> None:
            cycle.last_epoch = done - 1
            cycle.step()

        return set_rate
    schedule, _ = create_scheduler_v2(
        optimiser,
        settings.schedule,
        num_epochs=settings.epochs,
        warmup_epochs=settings.warmup_epochs,
        warmup_lr=WARMUP_START * settings.learning_rate,
        decay_epochs=settings.decay_epochs,
        decay_rate=settings.decay_rate,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    by_steps: Any = schedule
    return lambda done: by_steps.step_update(done)


def _check_finite(total: float, epoch: int, settings: Training) -> None:
    if not math.isfinite(total):
        remedy = "a lower training.learning_rate, or a longer warm-up"
        if settings.precision == "float16":
            remedy += ", or training.precision: bfloat16"
        raise FloatingPointError(f"the loss of epoch {epoch} is not finite; try {remedy}")


class _Pace:
    """Writes log lines: one per epoch, and one from time to time within an epoch."""

    def __init__(self, settings: Training, steps: int, resumed: int) -> None:
        self.settings, self.steps, self.resumed = settings, steps, resumed
        self.begun = self.shown = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for a line."""
        return time.monotonic() - self.shown > LINE

    def log(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """Write a line."""
        self.shown = time.monotonic()
        done = (epoch - 1 - self.resumed) * self.steps + step
        left = (self.settings.epochs - self.resumed) * self.steps - done
        a_step = (self.shown - self.begun) / done
        log.info(
            "epoch %d of %d%s: loss %.4f, accuracy %.4f, %.0f images/s, about %.0f s left",
            epoch,
            self.settings.epochs,
            "" if step == self.steps else f", step {step} of {self.steps}",
            loss,
            accuracy,
            self.settings.batch_size / a_step,
            a_step * left,
        )
