"""Codecs of stored images and perturbations: time to write and to read, and size relative to raw."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import foolbox
import h5py
import hdf5plugin
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from harness import ROOT, Table, interleave, ratio, say, tiny_project
from sat.attacks import pgd_l2, pgd_linf
from sat.attacks.interface import Draws
from sat.images.images import to_canvas
from sat.models.classifier import Classifier, build, plan_blueprint, to_unit
from sat.store.files import file_digest
from sat.store.hdf5 import reading

NETS = ("resnet18", "test_vit")
SIDE, CROP, PHOTOGRAPHS = 224, 0.875, 16
EPS, STEP = 8, 2
L2_EPS = 3 * 255
EPOCHS, RATE = 20, 1e-3
BYTES = 20_000_000
"""A file of about this size is timed, as one image alone would be too quick."""
TODAY = "gzip-1"
CODECS: dict[str, Mapping[str, Any]] = {
    "none": {},
    TODAY: {"compression": "gzip", "compression_opts": 1},
    "Zstandard-1": hdf5plugin.Zstd(clevel=1),
    "Zstandard-3": hdf5plugin.Zstd(clevel=3),
    "bitshuffle, Zstandard-1": hdf5plugin.Bitshuffle(cname="zstd", clevel=1),
    "bitshuffle, Zstandard-3": hdf5plugin.Bitshuffle(cname="zstd", clevel=3),
}
# Shuffling bytes does nothing to numbers of one byte.
WIDE = {"bytes shuffled, gzip-1": {**CODECS[TODAY], "shuffle": True}} | {
    f"bytes shuffled, Zstandard-{level}": {**hdf5plugin.Zstd(clevel=level), "shuffle": True} for level in (1, 3)
}


def run(repeats: int) -> Table:
    torch.set_num_threads(1)
    rows = [row for what, arrays in {**_photographs(), **_digits()}.items() for row in _compare(what, arrays, repeats)]
    return Table(
        "storage",
        f"Milliseconds an image to write a file and to read it whole, from memory that the system keeps, one thread; "
        "with SHA-256 means with that of the file's bytes on top. Size: bytes of the file, relative to the arrays as "
        f"they are. Photographs: {PHOTOGRAPHS} of the 20 ImageNet photographs that foolbox ships, at {SIDE} px; their "
        f"perturbations are those of pgd_linf (eps {EPS}, step {STEP}, random start) and pgd_l2 (int16) on nets that "
        f"were trained here for {EPOCHS} epochs on these 20 photographs, each of them a class of its own, so nets with "
        "weights of ImageNet may differ. Digits: all adversarial sets of results/digits, or else of the small study.",
        ("what", "codec", "of raw", "write, ms", "read, ms", "read with SHA-256, ms", f"to {TODAY}"),
        rows,
    )


def _compare(what: str, arrays: NDArray[Any], repeats: int) -> list[tuple[object, ...]]:
    say(what)
    many = np.concatenate([arrays] * max(1, BYTES // arrays.nbytes))
    codecs = CODECS | (WIDE if arrays.dtype.itemsize > 1 else {})
    with TemporaryDirectory(prefix="sat-benchmark-") as folder:
        files = {name: Path(folder) / f"{number}.h5" for number, name in enumerate(codecs)}
        write, read, digest = (
            interleave({name: partial(work, file, many, codecs[name]) for name, file in files.items()}, repeats)
            for work in (_write, _read, _hash)
        )
        size = {name: file.stat().st_size / many.nbytes for name, file in files.items()}
    both = {name: [sum(pair) for pair in zip(read[name], digest[name], strict=True)] for name in codecs}

    def per_image(seconds: list[float]) -> str:
        return f"{1000 * median(seconds) / len(many):.3f}"

    return [
        (
            what,
            name,
            f"{size[name]:.3f}",
            *(per_image(took[name]) for took in (write, read, both)),
            ratio(both[name], both[TODAY]),
        )
        for name in codecs
    ]


def _write(path: Path, arrays: NDArray[Any], codec: Mapping[str, Any]) -> None:
    """Write images as `sat.store.hdf5.image_dataset` and the attack do: one a chunk, one after the other."""
    with h5py.File(path, "w", locking=False) as file:
        data = file.create_dataset("data", arrays.shape, arrays.dtype, chunks=(1, *arrays.shape[1:]), **codec)
        for row, values in enumerate(arrays):
            data[row] = values


def _read(path: Path, arrays: NDArray[Any], _: object) -> None:
    with h5py.File(path, "r", locking=False) as file:
        assert file["data"][:].shape == arrays.shape


def _hash(path: Path, *_: object) -> None:
    file_digest(path)


def _photographs() -> dict[str, NDArray[Any]]:
    folder = Path(foolbox.__file__).with_name("data")
    photographs = [Image.open(path).convert("RGB") for path in sorted(folder.glob("imagenet_*.jpg"))]
    images = np.stack([to_canvas(photograph, SIDE, CROP) for photograph in photographs])
    attacked, ids, found = images[:PHOTOGRAPHS], np.arange(PHOTOGRAPHS), {"photographs": images[:PHOTOGRAPHS]}
    for name in NETS:
        say(f"training and attacking {name}")
        net = _train(name, images)
        draws = Draws(ids, 0, name)
        for steps in (10, 50):
            made = pgd_linf.run(
                net, attacked, ids, eps=EPS, step=STEP, steps=steps, random_start=True, draws=draws, device="cpu"
            )
            say(f"{made.fooled.mean():.0%} fooled")
            found[f"PGD, {steps} steps, {name}"] = made.perturbation
    made = pgd_l2.run(
        net, attacked, ids, eps=L2_EPS, step=L2_EPS / 5, steps=10, random_start=True, draws=draws, device="cpu"
    )
    found[f"PGD in L2, 10 steps, {name}"] = made.perturbation
    return found


def _train(name: str, images: NDArray[np.uint8]) -> Classifier:
    torch.manual_seed(0)
    net = build(plan_blueprint(name, len(images), SIDE))
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    batch, labels = torch.from_numpy(images), torch.arange(len(images))
    for epoch in range(EPOCHS):
        # Mirrored and moved, so that the nets learn more than one pixel.
        moved = (batch.flip(3) if epoch % 2 else batch).roll((5 * epoch % 32, 7 * epoch % 32), (2, 3))
        optimiser.zero_grad()
        F.cross_entropy(net(to_unit(moved)), labels).backward()
        optimiser.step()
    return net.freeze()


def _digits() -> dict[str, NDArray[np.int8]]:
    results = ROOT / "results/digits"
    if not results.is_dir():
        results = tiny_project().results("tiny")
    sets = []
    for path in sorted(results.glob("adversarial/*.h5")):
        with reading(path) as file:
            sets.append(file["perturbation"][:][file["attacked"][:]])
    return {f"{len(sets)} sets of {results.name}, {sets[0].shape[-1]} px": np.concatenate(sets)}
