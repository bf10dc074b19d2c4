"""What would fail in a study, found without running any of it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from sat.errors import SatError
from sat.logs import progress
from sat.status.load import Load
from sat.study.study import Study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.images.datasets import Dataset, Listing

WHOLE = 2000
"""Up to this number, all images are decoded. Of more, all headers are read, and `SAMPLE` images are decoded."""
SAMPLE = 300
LISTED = 5
"""Largest number of names in a message."""


class Said(NamedTuple):
    """One thing to know before a study runs."""

    part: str
    """What it is about, in one word."""
    text: str
    kind: Literal["fact", "caution", "problem"] = "fact"
    """A problem would stop the run."""


class Images(NamedTuple):
    """The images of a study, as far as they can be listed here."""

    listing: Listing
    n_images: Mapping[str, int]
    """Number of images of every split."""
    labels: NDArray[np.int64]
    """Labels of the evaluation images."""


def check_images(study: Study) -> tuple[list[Said], Images | None]:
    """List the images of a study, and look for those that cannot be read.

    Parameters
    ----------
    study : Study

    Returns
    -------
    said : list of Said
    images : Images or None
        None if there are none, or they cannot be listed.
    """
    settings = study.config.images
    if settings.source == "none":
        return [], None
    if settings.over_network:
        return [Said("images", f"{settings.source}: not checked, because its reader may download it")], None
    try:
        dataset, images = list_images(study)
    except SatError as error:
        return [Said("images", str(error), "problem")], None
    said = _about(images)
    if settings.source == "folder":
        said += _unreadable(dataset, images.listing, settings.on_bad_image, study.config.compute.max_megapixels)
    return said, images


def list_images(study: Study) -> tuple[Dataset, Images]:
    """List the images of a study; none is read.

    Raises
    ------
    SatError
        If they cannot be listed, or not be divided as the study asks.
    """
    from sat.images.datasets import open_dataset

    settings = study.config.images
    root, class_map = (str(study.files.get(f"images.{key}", "")) for key in ("root", "class_map"))
    dataset = open_dataset(settings.source, root or None, settings.split, class_map or None)
    return dataset, _split(study, dataset.listing(), root)


def _split(study: Study, listing: Listing, root: str) -> Images:
    """Count the images of every split, as the stages choose them."""
    from sat.images.images import attack_count, eval_count, read_list, split_indices, training_images

    settings = study.config.images
    if not len(listing.names):
        raise SatError(f"images.source {settings.source!r}, root {root!r}: holds no image.")
    training = training_images(listing.names, settings.train_folder, root)
    train, evaluation = (
        split_indices(listing.labels, split, settings.train_fraction, study.config.seed, training)
        for split in ("train", "eval")
    )
    if not len(evaluation):
        raise SatError("key 'images.train_fraction': no image is left for the evaluation; lower it.")
    evaluation = evaluation[: eval_count(settings.eval_images, len(evaluation))]
    if settings.id_list:
        file = study.files["images.attack_images"]
        # If the file is not there, the study's check has said so.
        n_attack = len(read_list(file, listing.names, set(evaluation.tolist()))) if file.is_file() else len(evaluation)
    else:
        n_attack = attack_count(settings.attack_images, len(evaluation))
    n_images = {"train": len(train), "eval": len(evaluation), "attack": n_attack}
    return Images(listing, n_images, listing.labels[evaluation])


def _about(images: Images) -> list[Said]:
    import numpy as np

    listing, n_images = images.listing, images.n_images
    counts = np.bincount(listing.labels, minlength=listing.n_classes)
    several = f"{counts.min():,} to {counts.max():,}" if counts.min() < counts.max() else f"{counts.max():,}"
    text = (
        f"{len(listing.names):,} images of {listing.n_classes:,} classes ({several} each): {n_images['train']:,} to "
        f"train on, {n_images['eval']:,} evaluated, {n_images['attack']:,} of them attacked"
    )
    absent = listing.n_classes - len(np.unique(images.labels))
    lack = Said("images", f"{absent} of {listing.n_classes} classes have no evaluation image", "caution")
    return [Said("images", text), *([lack] if absent else [])]


def _unreadable(dataset: Dataset, listing: Listing, on_bad_image: str, most: float) -> Iterator[Said]:
    """Read the headers of all images of a folder, and decode all or a sample."""
    from sat.images.datasets import decode, peek
    from sat.images.images import TooManyPixels

    count = len(listing.names)
    step = 1 if count <= WHOLE else count // SAMPLE
    faults, bombs = [], []
    for row in progress(range(count), "images"):
        try:
            _, content = next(iter(dataset.read([row])))
            if row % step and isinstance(content, bytes):
                peek(content, most)
            else:
                decode(content, most)
        except TooManyPixels as error:
            bombs.append(f"{listing.names[row]} ({error})")
        except (ValueError, OSError) as error:
            faults.append(f"{listing.names[row]} ({error})")
    decoded = len(range(0, count, step))
    all_of_them = f"all {count:,} images were decoded"
    part = f"the headers of all {count:,} images were read, and {decoded:,} images were decoded"
    yield Said("images", f"{all_of_them if step == 1 else part}; {len(faults):,} cannot be read")
    if bombs:
        yield Said("images", f"{len(bombs)} image(s) are too large: {some(bombs)}", "problem")
    if faults:
        skip = on_bad_image == "skip"
        advice = (
            "they will be left out"
            if skip
            else "repair or remove them, or leave them out with images.on_bad_image: skip"
        )
        text = f"{len(faults)} image(s) cannot be read: {some(faults)}; {advice}"
        yield Said("images", text, "caution" if skip else "problem")


def check_matrices(study: Study, keys: Iterable[str]) -> Iterator[Said]:
    """Read the matrices that a study names.

    Parameters
    ----------
    study : Study
    keys : iterable of str
        Keys of the config that name one.

    Yields
    ------
    Said
    """
    for key in keys:
        path = study.files.get(key)
        if path is None or not path.is_file():
            continue  # the study's check has said so
        from sat.similarity.user_matrix import read_user_matrix
        from sat.store.files import file_digest

        names = study.used if key == "matrix" else None
        try:
            matrix = read_user_matrix(str(path), file_digest(path), names)
        except SatError as error:
            yield Said("matrix", f"key '{key}': {error}", "problem")
        else:
            yield Said("matrix", f"{path} (key '{key}'): {len(matrix)} models, symmetric, no value is missing")


def check_machine(study: Study, load: Load, results: Path) -> Iterator[Said]:
    """Compare what a study takes with this machine.

    Parameters
    ----------
    study : Study
    load : Load
    results : Path
        Folder of the study's results.

    Yields
    ------
    Said
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    largest = load.memory_mb * 1e6
    text = f"{cores} cores, {memory / 1e9:,.1f} GB of memory; the largest job asks for {largest / 1e9:,.1f} GB"
    yield Said("machine", f"{platform.node()}: {text}")
    if largest > memory:
        yield Said("machine", "the largest job asks for more memory than this machine has", "caution")
    if study.config.compute.device == "cuda" and not study.config.matrix:
        yield from _gpus()
    place = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:,.1f} GB free on the disk of {place}; results that are left take about"
    yield Said("disk", f"{text} {load.disk_left / 1e9:,.1f} GB")
    if load.disk_left > free:
        yield Said("disk", f"the disk of {place} is too small for the results that are left", "problem")
    if not os.access(place, os.W_OK):
        yield Said("disk", f"{place}: you may not write there; call snakemake in a folder of your own", "problem")


def _gpus() -> Iterator[Said]:
    words = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        listed = []
    gpus = [line.strip() for line in listed if "," in line]
    yield Said("machine", f"{len(gpus)} GPU(s) of NVIDIA: {some(gpus) or 'none'}")
    if not gpus:
        text = "compute.device is cuda, and this machine has no GPU; the jobs need a machine that has one"
        yield Said("machine", text, "caution")
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    if torch.endswith("+cpu"):
        text = f"compute.device is cuda, and torch {torch} cannot use a GPU; install one that can"
        yield Said("machine", text, "problem")


def some(names: list[str]) -> str:
    """The first names of a list, for a message."""
    return "; ".join(names[:LISTED]) + (f"; and {len(names) - LISTED} more" if len(names) > LISTED else "")
