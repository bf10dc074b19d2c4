"""The history of a study's runs: one line of JSON for every start and every end of a run, never rewritten.

Snakemake's main process writes the lines (onstart, onsuccess and onerror in the Snakefile), and `sat import --study`
adds those of the archive. Each is one write to a file that is open for appending, so lines of several processes do not
mix. A run without a line about its end was killed, or is still at work.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from sat.errors import SatError
from sat.store.environment import environment
from sat.store.leases import nvidia_smi

log = logging.getLogger("sat")

HISTORY = "provenance/history.jsonl"
"""Path below the folder of a study's results."""
FINISHED, FAILED, STOPPED = "finished", "failed", "stopped"
"""How a run ended: all jobs are done, a job failed, or somebody stopped it."""


class Recorder:
    """Writes the lines of one run.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    """

    def __init__(self, results: Path) -> None:
        self.path = results / HISTORY
        self.run = uuid4().hex

    def start(self, words: Sequence[str], planned: Mapping[str, int]) -> None:
        """Record the start.

        Parameters
        ----------
        words : sequence of str
            Words of the command, as in ``sys.argv``.
        planned : mapping of str to int
            Number of jobs of each rule that the run is about to do.
        """
        command = shlex.join(["snakemake", *words[1:]])
        devices = {"cpus": len(os.sched_getaffinity(0)), "gpus": _gpus()}
        self._append("start", command=command, planned=dict(planned), devices=devices, **environment())

    def end(self, ran: Mapping[str, int], failed: Mapping[str, int], whole: bool) -> None:
        """Record the end.

        Parameters
        ----------
        ran, failed : mapping of str to int
            Number of jobs of each rule that have finished, and that have failed.
        whole : bool
            Whether Snakemake calls the run a success.
        """
        how = FINISHED if whole else FAILED if failed else STOPPED
        self._append("end", how=how, ran=dict(ran), failed=dict(failed))

    def _append(self, event: str, **more: Any) -> None:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        _append(self.path, [{"event": event, "run": self.run, "time": time, **more}])


def _append(path: Path, events: Sequence[Mapping[str, Any]]) -> None:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, lines.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # A run, or an import, is worth more than the lines about it.
        log.warning("%s: cannot be written (%s); the history is not complete.", path, error.strerror)


def _gpus() -> list[str]:
    """Names of the GPUs of this host, as its driver lists them. On a cluster, sidecars have those of the jobs."""
    return [line.partition(" (UUID")[0] for line in nvidia_smi().splitlines() if line.startswith("GPU ")]


class _Devices(BaseModel):
    cpus: int
    gpus: list[str]


class _Machine(BaseModel):
    host: str
    cpu: str


class _Git(BaseModel):
    commit: str | None
    dirty: bool | None


class _Joined(BaseModel):
    """Where a run of another study has come from."""

    study: str
    archive: str


class _Start(BaseModel):
    """What a line about a start must hold. It may hold more."""

    event: Literal["start"]
    run: str
    time: AwareDatetime
    command: str
    planned: dict[str, int]
    devices: _Devices
    machine: _Machine
    git: _Git
    packages: dict[str, str]
    python: str
    joined: _Joined | None = None


class _End(BaseModel):
    """What a line about an end must hold."""

    event: Literal["end"]
    run: str
    time: AwareDatetime
    how: Literal["finished", "failed", "stopped"]
    ran: dict[str, int]
    failed: dict[str, int]


LINE: TypeAdapter[_Start | _End] = TypeAdapter(Annotated[_Start | _End, Field(discriminator="event")])


@dataclass(frozen=True)
class PastRun:
    """What the history says of one run."""

    start: Mapping[str, Any]
    end: Mapping[str, Any] | None
    """None if the run was killed, or is at work."""


def read_history(results: Path) -> list[PastRun]:
    """Read the history of a study.

    Parameters
    ----------
    results : Path
        Folder of the study's results.

    Returns
    -------
    list of PastRun
        In the order of their starts. A line that was cut by a full disk is left out.

    Raises
    ------
    SatError
        If there is none.
    """
    path = results / HISTORY
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SatError(
            f"{path}: cannot be read ({error.strerror}). Every run that has something to do writes to it, so the next "
            "one makes it."
        ) from None
    return parse_history(text)


def parse_history(text: str) -> list[PastRun]:
    """Find the runs in the text of a history, in the order of their starts.

    Lines that are damaged, or that no run of ours has written, are left out: a history may come with an archive.
    """
    starts: dict[str, Mapping[str, Any]] = {}
    ends: dict[str, Mapping[str, Any]] = {}
    for line in text.splitlines():
        try:
            written = LINE.validate_json(line, strict=True)
        except ValidationError:
            continue
        (starts if isinstance(written, _Start) else ends)[written.run] = json.loads(line)
    # The runs of a study that was joined stand behind those that were there before.
    runs = [PastRun(start, ends.get(run)) for run, start in starts.items()]
    return sorted(runs, key=lambda run: datetime.fromisoformat(run.start["time"]))


def join_history(results: Path, other: Path, joined: Mapping[str, str]) -> int:
    """Add the runs of another study to the history of a study.

    Parameters
    ----------
    results, other : Path
        Folders of the results of the study and of the other one, which need not have a history.
    joined : mapping of str to str
        Where the runs have come from: `study`, `archive`, and what else is to be recorded. A run that the other study
        has from a third one keeps what it says.

    Returns
    -------
    int
        Number of runs that are new. A run that is there already stays as it is.
    """
    ours, theirs = (
        {run.start["run"]: run for run in (read_history(folder) if (folder / HISTORY).is_file() else [])}
        for folder in (results, other)
    )
    new = [run for name, run in theirs.items() if name not in ours]
    marked = [({**run.start, "joined": run.start.get("joined") or joined}, run.end) for run in new]
    if marked:
        _append(results / HISTORY, [event for events in marked for event in events if event])
    return len(new)
