"""Parts of a long computation, beside its artefact, from which a job resumes after another was killed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.store.artefact import Job
from sat.store.files import replacing
from sat.store.unfinished import Unfinished, readable

PART = ".part"
"""End of the names of parts, which are numpy's zip files. Those of versions that did not pack them end in .npz."""


class Parts(Unfinished):
    """Arrays of consecutive items, with one file per part. `Unfinished` says which job finds them.

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
        super().__init__(path, job, "parts")
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
        self.sign()
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
