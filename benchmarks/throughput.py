"""Speed of attack, evaluate and clean, relative to a bare loop on data on the device, and to three libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import foolbox
import numpy as np
import torch
import torch.nn.functional as F
import torchattack
import torchattacks
from numpy.typing import NDArray
from torch import Tensor, nn

import harness
from harness import Table, interleave, ratio
from sat.attacks.apply import attack, attack_all
from sat.attacks.evaluate import Source, evaluate
from sat.attacks.gradient import loss_gradient
from sat.attacks.interface import Attacked
from sat.models.batches import Batch
from sat.models.classifier import Classifier, build, plan_blueprint, predict, to_unit
from sat.models.feed import Behind, blocks
from sat.models.precision import pin, tolerate
from sat.models.sizes import size_facts
from sat.store import hdf5
from sat.store.chunks import Chunks, pack, store

EPS, STEP, SOURCES = 8, 2, 2
CLOCKS = {"cpu": time.process_time, "cuda": time.perf_counter}
"""On a CPU, processor time of all threads, which other work on the machine hardly changes. There, ours gains nothing by
work in the background: it counts in full."""
PEERS = ("torchattacks", "foolbox", "torchattack")


@dataclass(frozen=True)
class Case:
    """A network, and how much it has to do."""

    architecture: str
    side: int
    """Side of the canvas in pixels."""
    classes: int
    attacked: int
    """Images of the attack."""
    steps: int
    seen: int
    """Images of clean, and of each of evaluate's sources."""
    batch: int = 128


SMALL = [
    Case(f"test_{name}", 32, 10, attacked=128, steps=10, seen=1024)
    for name in ("resnet", "vit", "convnext", "efficientnet")
]
"""The nets of the demo."""
CASES = {
    "cpu": [
        *SMALL,
        *(
            Case(name, 224, 1000, attacked=16, steps=1, seen=16, batch=16)
            for name in ("resnet50", "vit_small_patch16_224")
        ),
    ],
    "cuda": [
        Case(name, 224, 1000, attacked=256, steps=4, seen=1024)
        for name in ("resnet50", "vit_base_patch16_224", "convnext_tiny", "efficientnet_b2")
    ],
}
PRECISIONS = {"cpu": ("float32",), "cuda": ("float32", "tf32", "bfloat16")}
ATTACK = (
    "model",
    "precision",
    "images/s",
    "to the bound",
    "to a bare loop",
    *(f"to {peer}" for peer in PEERS),
    "to the fastest, same work",
    "loop, to the bound",
    "loop, to the fastest, same work",
    "equal pixels",
    "GB",
)
SEEING = ("model", "precision", "stage", "images/s", "to the bound", "GB")


@dataclass
class Found:
    """Rows of both tables for one network in one precision, and its speed for the file of the device."""

    attack: tuple[object, ...]
    seeing: list[tuple[object, ...]]
    rate: dict[str, object]


def run(repeats: int) -> list[Table]:
    """Measure all cases of the device, one precision after the other, until the time is over."""
    torch.set_num_threads(1)
    device = harness.DEVICE
    found, left_out = [], []
    for precision in PRECISIONS[device]:
        for case in CASES[device]:
            if harness.time_is_over():
                left_out.append(f"{case.architecture} in {precision}")
                continue
            harness.say(f"  {case.architecture}, {precision}")
            try:
                found.append(measure(case, precision, device, repeats))
            except harness.TimeIsOver:
                left_out.append(f"{case.architecture} in {precision}")
    harness.SPEED = speed([one.rate for one in found], device)
    return tables(found, left_out, repeats, device)


def tables(found: list[Found], left_out: list[str], repeats: int, device: str) -> list[Table]:
    """Make the tables of what was measured."""
    missing = f" Left out, because the time was over: {', '.join(left_out)}." if left_out else ""
    if device == "cpu":
        missing = " Seconds are processor time of all threads, also of those in the background." + missing
    memory = "GB: most memory of the GPU that PyTorch held meanwhile." if device == "cuda" else "GB: only on a GPU."
    return [
        Table(
            "attack",
            f"PGD with eps {EPS}/255, step {STEP}/255 and no random start. Ours reads images from a file that is in "
            "memory, attacks and packs perturbations, as the stage does. The bound and the libraries have all images "
            "on the device as float32. A bare loop: forward and input gradient alone, as many times as there are "
            "steps, and one forward pass that says which images are fooled. The bound: the same with our network, "
            "whose convolutions of patches are quicker on a CPU. Ours and foolbox also run that last pass. For the "
            "same work, its time is added to those of torchattacks and torchattack. Loop: our attack alone, on images "
            "in memory as grey levels, without reading and packing. Speed of ours relative to each: above 1 ours is "
            f"faster. Each runs once to warm up, and then in turn, up to {repeats} time(s). Frozen parameters, "
            "channels_last, deterministic algorithms and the named precision for all. Equal pixels: the share on which "
            f"all four end alike. {memory}{missing}",
            ATTACK,
            [one.attack for one in found],
        ),
        Table(
            "evaluate and clean",
            "Predictions on images, and on adversarial images of two sources, from files that are in memory, as the "
            "stages do, relative to a bare loop over images that lie on the device as float32. "
            f"{memory}{missing}",
            SEEING,
            [row for one in found for row in one.seeing],
        ),
    ]


def measure(case: Case, precision: str, device: str, repeats: int) -> Found:
    """Measure one network in one precision.

    Parameters
    ----------
    case : Case
    precision : str
    device : str
    repeats : int
        Runs of each contender after one to warm up; fewer where the time is over.
    """
    pin(precision, device)
    classifier = _classifier(case, device)
    classifier.precision = precision
    if classifier.blueprint.input_size != case.side:
        # Else the bound and the libraries would stop on a GPU; ours allows it by itself.
        tolerate("the gradient of a resize")
    with TemporaryDirectory(prefix="sat-benchmark-") as folder:
        data = _Data(case, Path(folder), device)
        seconds, memory, equal = _attacks(case, classifier, data, device, repeats)
        seeing, seeing_memory = _predictions(case, classifier, data, device, repeats)
    shown = case.architecture, precision
    same_work = {"foolbox": seconds["foolbox"]} | {
        peer: [sum(both) for both in zip(seconds[peer], seconds["last pass"], strict=True)]
        for peer in ("torchattacks", "torchattack")
    }
    fastest = min(same_work, key=lambda peer: median(same_work[peer]))
    attack = (
        *shown,
        f"{case.attacked / median(seconds['ours']):.4g}",
        *(ratio(seconds[peer], seconds["ours"]) for peer in ("bound", "bare loop", *PEERS)),
        f"{ratio(same_work[fastest], seconds['ours'])} {fastest}",
        ratio(seconds["bound"], seconds["loop"]),
        f"{ratio(same_work[fastest], seconds['loop'])} {fastest}",
        f"{equal:.4f}",
        memory,
    )
    rows = [
        (
            *shown,
            stage,
            f"{images / median(seeing[stage]):.4g}",
            ratio([bound * images / case.seen for bound in seeing["bound"]], seeing[stage]),
            seeing_memory[stage],
        )
        for stage, images in (("clean", case.seen), ("evaluate", case.seen * SOURCES))
    ]
    forward = median(seeing["bound"]) / case.seen
    # The bound of an attack has one more forward pass.
    gradient = (median(seconds["bound"]) / case.attacked - forward) / case.steps
    rate = {
        "architecture": case.architecture,
        "gmacs": size_facts(classifier)["gmacs"],
        "precision": precision,
        "forward": float(f"{1 / forward:.4g}"),
        "gradient": float(f"{1 / gradient:.4g}"),
    }
    return Found(attack, rows, rate)


def speed(rates: list[dict[str, object]], device: str) -> dict[str, object]:
    """Make the content of a file of benchmarks/devices, which `sat plan` reads."""
    code = f"import sat.models.classifier, torch; torch.zeros(1, device={device!r})"
    clock = _of_children if device == "cpu" else time.perf_counter
    taken = interleave({"start": lambda: subprocess.run([sys.executable, "-c", code], check=True)}, 2, clock)["start"]
    return {
        "device": harness.device_name(device),
        "kind": device,
        "command": harness.command(),
        "threads": 1,
        "start_seconds": round(min(taken), 1),
        "rates": rates,
    }


def _of_children() -> float:
    """Processor time of the processes that this one has started and that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


class _Data:
    """Images and perturbations of a case: in files, as stages read them, and on the device, as the others want them."""

    def __init__(self, case: Case, folder: Path, device: str) -> None:
        random = np.random.default_rng(0)
        count = max(case.attacked, case.seen)
        # Few grey levels in large squares, which are exact in float32, so that all must end alike.
        levels = np.rint(random.integers(0, 17, (count, 1, 8, 8)) * 255 / 16).astype(np.uint8)
        images = levels.repeat(case.side // 8, axis=2).repeat(case.side // 8, axis=3).repeat(3, axis=1)
        change = random.choice(np.arange(-EPS, EPS + 1, STEP), images.shape).astype(np.int8)
        self.images, self.labels = images, random.integers(0, case.classes, count)
        self.image_file = _written(folder / "images.h5", "image", images)
        # A file of as many as are attacked, as in a study.
        self.attacked_file = _written(folder / "attacked.h5", "image", images[: case.attacked])
        self.sets = [_written(folder / f"{number}.h5", "perturbation", change) for number in range(SOURCES)]
        self.batches = [
            (
                to_unit(torch.from_numpy(images[first : first + case.batch]).to(device)),
                torch.from_numpy(self.labels[first : first + case.batch]).to(device),
            )
            for first in range(0, count, case.batch)
        ]


def _written(path: Path, name: str, values: NDArray[Any]) -> Path:
    with hdf5.writing(path) as file:
        store(hdf5.image_dataset(file, name, values.shape, values.dtype), np.arange(len(values)), *pack(values, 2))
    return path


def _classifier(case: Case, device: str, ours: bool = True) -> Classifier:
    torch.manual_seed(0)
    size = case.side if case.architecture.startswith("test_") else None
    made = build(plan_blueprint(case.architecture, case.classes, size))
    return made.freeze(device) if ours else made.requires_grad_(False).eval().place(device)


def _attacks(
    case: Case, classifier: Classifier, data: _Data, device: str, repeats: int
) -> tuple[dict[str, list[float]], str, float]:
    """Seconds of every contender; memory of ours; share of pixels on which all end alike."""
    batches = data.batches[: -(-case.attacked // case.batch)]
    settings = {"eps": EPS / 255, "steps": case.steps, "alpha": STEP / 255, "random_start": False}
    # As users of the libraries have it, with the layers that timm made.
    plain = _classifier(case, device, ours=False)
    plain.precision = classifier.precision
    from_torchattacks = torchattacks.PGD(plain, **settings)
    model = foolbox.PyTorchModel(plain, bounds=(0, 1), device=device)
    linf = foolbox.attacks.LinfPGD(abs_stepsize=STEP / 255, steps=case.steps, random_start=False)
    from_torchattack = torchattack.PGD(plain, nn.Identity(), torch.device(device), **settings)
    params = {"method": "pgd_linf", "eps": EPS, "step": STEP, "steps": case.steps, "random_start": False}
    params |= {"seed": 0, "model": case.architecture}

    def bound() -> list[Tensor]:
        for unit, target in batches:
            leaf = unit.clone()
            for _ in range(case.steps):
                loss_gradient(classifier, leaf, target)
        return last_pass()

    def bare_loop() -> list[Tensor]:
        for unit, target in batches:
            leaf = unit.clone().requires_grad_()
            for _ in range(case.steps):
                torch.autograd.grad(F.cross_entropy(plain(leaf), target, reduction="sum"), leaf)
        return last_pass()

    @torch.no_grad()
    def last_pass() -> list[Tensor]:
        return [classifier(unit).argmax(1) for unit, _ in batches]

    rows = np.arange(case.attacked)

    def ours() -> list[Attacked]:
        found = []

        def keep(item: tuple[slice, Attacked]) -> None:
            pack(item[1].perturbation, 1)
            found.append(item[1])

        images = Chunks(data.attacked_file, "image")
        with Behind(keep) as keeping:
            for item in attack_all(classifier, images, data.labels, rows, rows, params, Batch(case.batch), device):
                keeping.put(item)
        return found

    def loop() -> None:
        for part in blocks(rows, Batch(case.batch)):
            attack(classifier, data.images[part], data.labels[part], part, params, device)

    def library(call: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], list[Tensor]]:
        return lambda: [call(unit, target) for unit, target in batches]

    contenders = {
        "bound": bound,
        "bare loop": bare_loop,
        "ours": ours,
        "loop": loop,
        "last pass": last_pass,
        "torchattacks": library(from_torchattacks),
        "foolbox": library(lambda unit, target: linf(model, unit, target, epsilons=EPS / 255)[1]),
        "torchattack": library(from_torchattack),
    }
    # Ratios mean nothing if the libraries compute something else. These calls also warm up.
    begun = time.monotonic()
    bound()
    # As long again for each, and each once more.
    if harness.DEADLINE - begun < 2 * len(contenders) * (time.monotonic() - begun):
        raise harness.TimeIsOver
    with _memory(device) as used:
        change = np.concatenate([part.perturbation for part in ours()])
    mine = torch.from_numpy(data.images[: case.attacked] + change.astype(np.int16))
    ends = [torch.cat([(part * 255).round().cpu() for part in contenders[peer]()]) for peer in PEERS]
    equal = torch.stack([mine == other for other in ends]).all(0).float().mean().item()
    return interleave(_synchronised(contenders, device), repeats, CLOCKS[device]), used(), equal


def _predictions(
    case: Case, classifier: Classifier, data: _Data, device: str, repeats: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of the bare loop, of clean and of evaluate; memory of the two."""
    rows = np.arange(case.seen)
    batches = data.batches[: -(-case.seen // case.batch)]

    @torch.no_grad()
    def bound() -> None:
        torch.cat([classifier(unit).argmax(1) for unit, _ in batches]).cpu()

    def clean() -> None:
        predict(classifier, Chunks(data.image_file, "image"), case.batch, device)

    def evaluated() -> None:
        attacked = np.zeros(len(data.images), bool)
        attacked[rows] = True
        sources = [Source(Chunks(path, "perturbation"), attacked) for path in data.sets]
        for _ in evaluate({"target": classifier}, Chunks(data.image_file, "image"), sources, case.batch, device):
            pass

    contenders = {"bound": bound, "clean": clean, "evaluate": evaluated}
    memory = {}
    for name, call in contenders.items():
        with _memory(device) as used:
            call()
        memory[name] = used()
    return interleave(_synchronised(contenders, device), repeats, CLOCKS[device]), memory


def _synchronised(contenders: Mapping[str, Callable[[], object]], device: str) -> dict[str, Callable[[], object]]:
    """The contenders, each of which ends when the device has done its work."""
    if device == "cpu":
        return dict(contenders)

    def ended(call: Callable[[], object]) -> Callable[[], object]:
        def wait() -> None:
            call()
            torch.cuda.synchronize()

        return wait

    return {name: ended(call) for name, call in contenders.items()}


@contextmanager
def _memory(device: str) -> Iterator[Callable[[], str]]:
    """Measure the most memory that PyTorch holds on a GPU within the context, in GB."""
    if device == "cpu":
        yield lambda: ""
        return
    torch.cuda.reset_peak_memory_stats()
    yield lambda: f"{most / 1e9:.2f}"
    most = torch.cuda.max_memory_allocated()
