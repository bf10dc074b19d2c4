"""Parts of a long computation, beside the artefact that they become: what a killed job leaves to the next one."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.store.artefact import Job
from sat.store.files import replacing


class Parts:
    """Arrays of consecutive items, a file a part.

    A part belongs to the step and to the bytes of the inputs that made it.
    Those of another step or other inputs are removed at once.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        After it has accepted its inputs.
    """

    def __init__(self, path: Path | str, job: Job) -> None:
        self.folder = beside(path, job, "parts")
        self.files: list[Path] = []
        self.stop = 0
        """Number of items that are done: from the first on, without a gap."""
        for file in sorted(self.folder.glob("*.npz")):
            first, last = (int(word) for word in file.stem.split("-"))
            if first == self.stop and readable(file):
                self.files.append(file)
                self.stop = last
            elif last > self.stop:
                file.unlink()
        if self.stop:
            logging.getLogger("sat").info("%d items are there from a job that was stopped", self.stop)

    def write(self, where: slice, **arrays: NDArray[Any]) -> None:
        """Add the next part.

        Parameters
        ----------
        where : slice
            Its items; it starts where the last one stopped.
        **arrays
            Shape (items, ...).
        """
        if where.start != self.stop:
            raise ValueError(f"part {where.start} to {where.stop} after {self.stop}")
        file = self.folder / f"{where.start:09d}-{where.stop:09d}.npz"
        with replacing(file) as temporary, temporary.open("xb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        self.files.append(file)
        self.stop = where.stop

    def read(self) -> Iterator[tuple[slice, Mapping[str, NDArray[Any]]]]:
        """Give all parts in order.

        Yields
        ------
        slice
            Items of the part.
        mapping of str to array
        """
        for file in self.files:
            first, last = (int(word) for word in file.stem.split("-"))
            with np.load(file, allow_pickle=False) as arrays:
                yield slice(first, last), dict(arrays)

    def remove(self) -> None:
        """Remove all parts: the artefact and its sidecar are there."""
        shutil.rmtree(self.folder, ignore_errors=True)


def beside(path: Path | str, job: Job, kind: str) -> Path:
    """Hidden folder beside an artefact for what a killed job leaves to the next one of the same step and inputs.

    Those that other settings or inputs have left are removed.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        After it has accepted its inputs.
    kind : str
        What is in the folder.

    Returns
    -------
    Path
        It need not exist.
    """
    path = Path(path)
    accounts = {name: _digests(given) for name, given in job.inputs.items()}
    key = hashlib.sha256(f"{job.step.json}{json.dumps(accounts, sort_keys=True)}".encode()).hexdigest()[:16]
    folder = path.with_name(f".{path.name}.{kind}-{key}")
    for other in path.parent.glob(f".{path.name}.{kind}-*"):
        if other != folder:
            logging.getLogger("sat").info("%s of other settings or inputs are removed: %s", kind, other.name)
            shutil.rmtree(other, ignore_errors=True)
    return folder


def _digests(given: Any) -> list[str]:
    return [entry["sha256"] for entry in (given if isinstance(given, list) else [given])]


def readable(file: Path) -> bool:
    """Whether a zip file, as numpy and torch write, was written whole: disks fill up, and file systems lose seconds."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
