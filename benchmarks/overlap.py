"""How much of a stand-in device's own speed the pipeline reaches, from files to predictions and adversarial sets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast

import foolbox
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import harness
from harness import Table, say
from sat.attacks import apply
from sat.attacks.evaluate import Source, evaluate
from sat.attacks.interface import Attacked
from sat.images.images import to_canvas
from sat.models import classifier as classifiers
from sat.models.batches import Batch
from sat.models.classifier import Classifier, predict
from sat.models.feed import Behind, Line, Sent
from sat.store import hdf5
from sat.store.chunks import Chunks, pack, store

SIDE, CROP, BATCH, CLASSES = 224, 0.875, 128, 1000
IMAGES = 4096
"""Nearly as many as the paper attacks. What a job takes before its first and after its last batch counts."""
FEWER = {0.35: 2048, 1.0: 1024}
"""A slower device gets fewer, which takes it about as long."""
EPS, STEPS, SOURCES = 8, 10, 3
MILLISECONDS = (0.15, 0.35, 1.0)
"""Time that a stand-in takes for an image: the range of ResNet-50 on modern GPUs, and a larger net."""
AIMS = {"clean": 0.9, "evaluate, 1 target": 0.9, "evaluate, 8 targets": 0.9, "attack": 0.95}


class Device(Line):
    """A device that takes its time for each image, and leaves the CPU alone meanwhile, as a GPU does.

    Work is queued and takes place one after the other; whoever fetches a result waits until it is done. Of an image
    that is sent, one pixel arrives, so the device's arithmetic costs the CPU next to nothing.
    """

    threads = 2

    def __init__(self, milliseconds: float) -> None:
        self.seconds, self.until = milliseconds / 1000, 0.0

    def work(self, images: int) -> None:
        """Queue the work of so many images."""
        self.until = max(self.until, time.perf_counter()) + images * self.seconds

    def send(self, room: Tensor, count: int | None = None) -> Sent:
        """See `Line`."""
        arrived = room[:, :1, :1, :1].clone() if room.ndim == 4 else room
        return Sent(len(room) if count is None else count, arrived)

    def fetch(self, values: Tensor) -> Callable[[], NDArray[Any]]:
        """See `Line`."""
        done, found = self.until, values.numpy()

        def wait() -> NDArray[Any]:
            time.sleep(max(0.0, done - time.perf_counter()))
            return found

        return wait


class StandIn(nn.Module):
    """A net on the stand-in device: it answers at once with any logits, and its work is queued."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device
        self.blueprint = classifiers.Blueprint("stand-in", CLASSES, SIDE, (0, 0, 0), (1, 1, 1))
        self.logits = torch.randn(BATCH, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Queue the work. The logits do not depend on the images."""
        self.device.work(len(images))
        return self.logits[: len(images)]


def run(repeats: int) -> Table:
    torch.set_num_threads(1)
    with TemporaryDirectory(prefix="sat-benchmark-") as folder:
        images, sets = _files(Path(folder))
        rows = [
            (what, milliseconds, *_ratios(what, milliseconds, images, sets, repeats), AIMS[what])
            for what in AIMS
            for milliseconds in MILLISECONDS
            if not harness.time_is_over()
        ]
    return Table(
        "overlap",
        f"{IMAGES} photographs of {SIDE} px (at 0.35 ms {FEWER[0.35]}, at 1 ms {FEWER[1.0]}) in files that are not in "
        f"memory, batches of {BATCH}, {SOURCES} sources (one for 8 targets), PGD of {STEPS} steps with random start. "
        "The device is a stand-in: each image takes it a set time (in an "
        "attack: in each step) and no CPU; adding, clipping and scaling are the device's. What remains is reading, "
        "unpacking, drawing random starts, packing and writing parts, with two background threads. To the bound: "
        "images/s relative to those of the stand-in that never waits, median (least to greatest). CPU: milliseconds of "
        "all threads for an image; two cores cannot do better than half of it.",
        ("what", "device, ms an image", "images/s", "to the bound", "CPU, ms an image", "aim"),
        rows,
    )


def _ratios(what: str, milliseconds: float, images: Path, sets: list[Path], repeats: int) -> tuple[str, str, str]:
    say(f"{what}, {milliseconds} ms")
    ratios, speeds, cpu = [], [], []
    many = FEWER.get(milliseconds, IMAGES)
    for _ in range(repeats):
        for path in (images, *sets):
            _forget(path)
        device = Device(milliseconds)
        begun, used = time.perf_counter(), time.process_time()
        work, number = WORK[what]
        read = [Front(path, "perturbation", many) for path in sets[:number]]
        count, bound = work(device, Front(images, "image", many), read)
        seconds = time.perf_counter() - begun
        ratios.append(bound / seconds)
        speeds.append(count / seconds)
        cpu.append(1000 * (time.process_time() - used) / count)
    spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{median(speeds):.0f}", spread, f"{median(cpu):.2f}"


class Front:
    """The first items of a stored array."""

    def __init__(self, path: Path, name: str, count: int) -> None:
        self._items = Chunks(path, name)
        self.shape: tuple[int, ...]
        self.shape, self.dtype = (count, *self._items.shape[1:]), self._items.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """See `Items`."""
        self._items.read(rows, out)


Work = Callable[[Device, Front, list[Front]], tuple[int, float]]
"""Function of a device, images and adversarial sets; it returns the number of predictions, or of attacked images, and
the seconds that the device needs for them."""


def _clean(device: Device, images: Front, _: list[Front]) -> tuple[int, float]:
    predict(cast(Classifier, StandIn(device)), images, BATCH, device)
    return len(images), len(images) * device.seconds


def _evaluate(targets: int) -> Work:
    def work(device: Device, images: Front, sets: list[Front]) -> tuple[int, float]:
        nets = {f"target{number}": cast(Classifier, StandIn(device)) for number in range(targets)}
        sources = [Source(one, np.ones(len(one), bool)) for one in sets]
        count = sum(len(found.rows) for found in evaluate(nets, images, sources, BATCH, device))
        return count, count * device.seconds

    return work


def _attack(device: Device, images: Front, sets: list[Front]) -> tuple[int, float]:
    """The stage's own loop; the attack itself is a stand-in, which returns perturbations of PGD's kind."""
    found = np.empty((BATCH, *sets[0].shape[1:]), sets[0].dtype)
    sets[0].read(np.arange(BATCH), found)

    def stand_in(net: object, levels: NDArray[np.uint8], *_: object) -> Attacked:
        count = len(levels)
        time.sleep(count * device.seconds * STEPS)
        return Attacked(found[:count], np.ones(count, bool), np.zeros(count, np.int64))

    params = {"method": "pgd_linf", "eps": EPS, "step": 2, "steps": STEPS, "random_start": True}
    params |= {"seed": 0, "model": "stand-in"}
    every = np.arange(len(images))
    original, apply.attack = apply.attack, cast(Any, stand_in)
    try:
        with TemporaryDirectory(prefix="sat-benchmark-") as folder:
            done = []

            def keep(item: tuple[slice, Attacked]) -> None:
                where, result = item
                packed, sizes = pack(result.perturbation, device.threads)
                np.savez(Path(folder) / f"{where.start}.npz", packed=packed, sizes=sizes)
                done.append((where, packed, sizes))

            with Behind(keep) as keeping:
                for item in apply.attack_all(
                    cast(Classifier, None), images, every, every, every, params, Batch(BATCH), device
                ):
                    keeping.put(item)
    finally:
        apply.attack = original
    return len(images), len(images) * device.seconds * STEPS


WORK = {
    "clean": (_clean, 0),
    "evaluate, 1 target": (_evaluate(1), SOURCES),
    "evaluate, 8 targets": (_evaluate(8), 1),
    "attack": (_attack, 1),
}
"""What runs, and the number of adversarial sets that it reads."""


def _forget(path: Path) -> None:
    """Drop a file from the system's memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _files(folder: Path) -> tuple[Path, list[Path]]:
    """Photographs that foolbox ships, moved so that no two are equal, and perturbations as PGD's steps leave them."""
    random = np.random.default_rng(0)
    shipped = sorted(Path(foolbox.__file__).with_name("data").glob("imagenet_*.jpg"))
    photographs = [to_canvas(Image.open(path).convert("RGB"), SIDE, CROP) for path in shipped]
    rows = np.arange(IMAGES)
    say("writing files")
    with hdf5.writing(folder / "images.h5") as file:
        data = hdf5.image_dataset(file, "image", (IMAGES, 3, SIDE, SIDE), np.uint8)
        moved = [np.roll(photographs[row % len(photographs)], (row, 7 * row), (1, 2)) for row in rows]
        store(data, rows, *pack(np.stack(moved), 2))
    sets = []
    for number in range(SOURCES):
        sets.append(folder / f"{number}.h5")
        values = [random.choice(np.arange(-EPS, EPS + 1, 2), (3, SIDE, SIDE)).astype(np.int8) for _ in range(BATCH)]
        packed, sizes = pack(np.stack(values), 2)
        with hdf5.writing(sets[-1]) as file:
            data = hdf5.image_dataset(file, "perturbation", (IMAGES, 3, SIDE, SIDE), np.int8)
            for first in range(0, IMAGES, BATCH):
                store(data, rows[first : first + BATCH], packed, sizes)
    return folder / "images.h5", sets
