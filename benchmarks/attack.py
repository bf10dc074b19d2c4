"""Speed of our PGD, compared with the least work that any PGD must do and with two libraries."""

from __future__ import annotations

from statistics import median

import foolbox
import numpy as np
import torch
import torch.nn.functional as F
import torchattacks
from numpy.typing import NDArray
from torch import Tensor

from harness import Table, interleave, ratio
from sat.attacks.lattice import ascend
from sat.models.classifier import build, plan_blueprint, to_unit

ARCHITECTURES = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet")
SIDE, BATCH, CLASSES = 32, 128, 10
EPS, STEP, STEPS = 24, 6, 10


def run(repeats: int) -> Table:
    torch.set_num_threads(1)
    rows = [_compare(architecture, repeats) for architecture in ARCHITECTURES]
    return Table(
        "attack",
        f"PGD, {BATCH} images of {SIDE} px, eps {EPS}/255, step {STEP}/255, {STEPS} steps, no random start; one "
        "thread, frozen parameters and channels_last for all. Speed of `pgd_linf` relative to the bound (forward and "
        "input gradient alone, as many times) and to each library: above 1 ours is faster. Ours and foolbox run the "
        "model once more, to say which images are fooled. Equal pixels: the share on which all three end alike.",
        ("model", "images/s", "to the bound", "to torchattacks", "to foolbox", "equal pixels"),
        rows,
    )


def _compare(architecture: str, repeats: int) -> tuple[object, ...]:
    torch.manual_seed(0)
    classifier = build(plan_blueprint(architecture, CLASSES, SIDE)).freeze()
    images, labels = _digits_like()
    unit, target = to_unit(torch.from_numpy(images)), torch.from_numpy(labels)
    library = torchattacks.PGD(classifier, eps=EPS / 255, alpha=STEP / 255, steps=STEPS, random_start=False)
    model = foolbox.PyTorchModel(classifier, bounds=(0, 1), device="cpu")
    linf = foolbox.attacks.LinfPGD(abs_stepsize=STEP / 255, steps=STEPS, random_start=False)

    def bound() -> None:
        leaf = unit.clone().requires_grad_()
        for _ in range(STEPS):
            torch.autograd.grad(F.cross_entropy(classifier(leaf), target, reduction="sum"), leaf)

    def ours() -> Tensor:
        found = ascend(classifier, images, labels, eps=EPS, step=STEP, steps=STEPS)
        return torch.from_numpy(images + found.perturbation.astype(np.int16))

    def from_torchattacks() -> Tensor:
        return library(unit, target)

    def from_foolbox() -> Tensor:
        return linf(model, unit, target, epsilons=EPS / 255)[1]

    # Ratios mean nothing if the libraries compute something else. These calls also warm up.
    bound()
    mine, *others = ours(), (from_torchattacks() * 255).round(), (from_foolbox() * 255).round()
    equal = torch.stack([mine == other for other in others]).all(0).float().mean().item()
    seconds = interleave(
        {"bound": bound, "ours": ours, "torchattacks": from_torchattacks, "foolbox": from_foolbox}, repeats
    )
    peers = [ratio(seconds[peer], seconds["ours"]) for peer in ("bound", "torchattacks", "foolbox")]
    return architecture, f"{BATCH / median(seconds['ours']):.0f}", *peers, f"{equal:.4f}"


def _digits_like() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random scans of 8 x 8 px and 17 grey levels, enlarged to the canvas."""
    random = np.random.default_rng(0)
    levels = np.rint(random.integers(0, 17, (BATCH, 1, 8, 8)) * 255 / 16).astype(np.uint8)
    canvas = levels.repeat(SIDE // 8, axis=2).repeat(SIDE // 8, axis=3)
    return canvas.repeat(3, axis=1), random.integers(0, CLASSES, BATCH)
