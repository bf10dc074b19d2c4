"""Parts of a long computation, beside its artefact, from which a job resumes after another was killed."""

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

PART = ".part"
"""End of the names of parts, which are numpy's zip files. Those of versions that did not pack them end in .npz."""


class Parts:
    """Arrays of consecutive items, with one file per part.

    A part belongs to a step and to the bytes of its inputs. Parts of another step or
    other inputs are removed at once.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        The job; it has accepted its inputs already.
    start : int
        Number of items that no part needs to hold, since they are there otherwise.
    """

    def __init__(self, path: Path | str, job: Job, start: int = 0) -> None:
        self.folder = beside(path, job, "parts")
        self.files: list[Path] = []
        self.stop = start
        """Number of items that are done, from the first on and without a gap."""
        for file in sorted(self.folder.glob(f"*{PART}")):
            first, last = (int(word) for word in file.stem.split("-"))
            if first == self.stop and readable(file):
                self.files.append(file)
                self.stop = last
            elif last > self.stop:
                file.unlink()
        if self.files:
            logging.getLogger("sat").info("%d items are there from a job that was stopped", self.stop - start)

    def write(self, where: slice, **arrays: NDArray[Any]) -> None:
        """Add the next part.

        Parameters
        ----------
        where : slice
            Items of the part. It starts where the last part stopped.
        **arrays
            Arrays of shape (items, ...).
        """
        if where.start != self.stop:
            raise ValueError(f"part {where.start} to {where.stop} after {self.stop}")
        file = self.folder / f"{where.start:09d}-{where.stop:09d}{PART}"
        with replacing(file) as temporary, temporary.open("xb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        self.files.append(file)
        self.stop = where.stop

    def read(self) -> Iterator[tuple[slice, Mapping[str, NDArray[Any]]]]:
        """Yield all parts in order.

        Yields
        ------
        slice
            The items of the part.
        mapping of str to array
        """
        for file in self.files:
            first, last = (int(word) for word in file.stem.split("-"))
            with np.load(file, allow_pickle=False) as arrays:
                yield slice(first, last), dict(arrays)

    def remove(self) -> None:
        """Remove all parts, after the artefact and its sidecar have been written."""
        shutil.rmtree(self.folder, ignore_errors=True)


def beside(path: Path | str, job: Job, kind: str) -> Path:
    """Find the hidden folder beside an artefact where a job finds the work of a killed job of the same step and inputs.

    Folders of other settings or inputs are removed.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        The job; it has accepted its inputs already.
    kind : str
        Kind of the content, which is part of the folder's name.

    Returns
    -------
    Path
        The folder, which need not exist.

    Raises
    ------
    SatError
        See `Job.ready`.
    """
    # Work that outlives this job must not come from damaged inputs.
    job.ready()
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
    """Say whether a zip file of numpy or torch is complete. Full disks and crashes can leave incomplete files.

    Neither library compresses here, so a file that claims to hold more than its own size is not theirs.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(info.file_size for info in archive.infolist())
            return size <= file.stat().st_size and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
