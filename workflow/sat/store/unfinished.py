"""The hidden folder beside an artefact in which a job finds the work of a killed job that it may go on from."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat.store.artefact import Job
from sat.store.files import replacing
from sat.store.joining import computed, differences, digests

log = logging.getLogger("sat")
RUN = "run.json"
"""File in the folder that says how its content was computed."""


class Unfinished:
    """Work of a job that is not finished. It belongs to a step, to the bytes of its inputs, and to how it is computed.

    Work of other settings or inputs is removed at once. Work that was computed otherwise, such as on another GPU, is
    not used, and the log says why. It stays until the artefact is finished, so that a job that computes as before goes
    on from it.

    Parameters
    ----------
    path : path
        The artefact.
    job : Job
        The job; it has accepted its inputs already.
    kind : str
        Kind of the content, which is part of the folder's name.

    Attributes
    ----------
    folder : Path
        The folder. It need not exist.

    Raises
    ------
    SatError
        See `Job.ready`.
    """

    def __init__(self, path: Path | str, job: Job, kind: str) -> None:
        # Work that outlives this job must not come from damaged inputs.
        job.ready()
        path = Path(path)
        accounts = {name: digests(given) for name, given in job.inputs.items()}
        same = f".{path.name}.{kind}-{_key(job.step.json + json.dumps(accounts, sort_keys=True), 16)}"
        self._run = computed(job.run)
        self.folder = path.with_name(f"{same}-{_key(json.dumps(self._run, sort_keys=True), 8)}")
        self._all = f".{path.name}.{kind}-*"
        for other in path.parent.glob(self._all):
            if other == self.folder:
                continue
            before = _read_run(other) if other.name.startswith(same) else None
            if before is not None:
                log.info(
                    "the %s of a job that was stopped are not used, since it had another %s. This job starts anew. "
                    "They stay until the result is finished, for a job that computes as that one did: %s",
                    kind,
                    ", ".join(differences(before, self._run)),
                    other.name,
                )
            else:
                log.info("%s of other settings or inputs are removed: %s", kind, other.name)
                shutil.rmtree(other, ignore_errors=True)

    def sign(self) -> None:
        """Make the folder and say in it how its content is computed, before anything is written to it."""
        file = self.folder / RUN
        if not file.exists():
            with replacing(file) as temporary:
                temporary.write_text(json.dumps(self._run, indent=1) + "\n", encoding="utf-8")

    def remove(self) -> None:
        """Remove all unfinished work, after the artefact and its sidecar have been written."""
        for folder in self.folder.parent.glob(self._all):
            shutil.rmtree(folder, ignore_errors=True)


def _read_run(folder: Path) -> Mapping[str, Any] | None:
    """How the content of a folder was computed; None if it does not say so, as those of earlier versions."""
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    except (OSError, ValueError):
        return None


def _key(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


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
