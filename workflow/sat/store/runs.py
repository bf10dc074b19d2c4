"""Which run works on a study: locks that the kernel releases, and what a killed run leaves in .snakemake.

The main process of a run holds one lock of the study's results. The shells of its jobs share another (rules/job.sh),
which everything that they start inherits. The kernel releases both however a process ends. So a new run knows whether
an earlier one, or a job that outlived it, is still at work, whichever folder or host it was started from. Where the
file system has no locks, only processes on this host that have the file open are noticed, and there is a warning.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import json
import logging
import os
import platform
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path

from sat.errors import SatError

log = logging.getLogger("sat")

RUN, JOBS = ".run.lock", ".jobs.lock"
"""Locks in the folder of the study's results: of the main process (exclusive), and of its jobs (shared)."""
UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
LOOKING, ENDING, PAUSE = 1.0, 3.0, 0.05
"""Seconds that others may only look at a lock, that jobs which are being stopped may take to end, and between tries."""
STUDIES, OLD = "studies", 86_400.0
"""Folder in .snakemake of the studies that `sat run` has written, and the seconds after which a dry run needs none."""
STALE = '{"external_jobid": null, "stale": true}'
"""Content of our own marks in .snakemake/incomplete."""
_held: list[int] = []


def hold_run(results: Path) -> None:
    """Take the lock of a study's results for the main process, until it ends.

    Parameters
    ----------
    results : Path
        Folder of the study's results.

    Raises
    ------
    SatError
        If another run holds it, or jobs of an earlier run are still at work.
    """
    results.mkdir(parents=True, exist_ok=True)
    if (run := _lock(results / RUN, LOOKING)) is None:
        raise _another(results)
    if (jobs := _lock(results / JOBS, ENDING)) is not None:
        os.close(jobs)
    else:
        processes = sorted(_processes(results / JOBS))
        local = f" (here: {', '.join(processes)})" if processes else " on other hosts"
        os.close(run)
        raise SatError(
            f"jobs of a run that was killed are still at work on {results}{local}. They end by themselves; call this "
            "again then. To stop them, kill these processes, or cancel the SLURM jobs: sat resume."
        )
    words = {"process": os.getpid(), "host": platform.node(), "folder": str(Path.cwd()), "since": _now()}
    os.ftruncate(run, 0)
    os.pwrite(run, json.dumps(words).encode(), 0)
    _held.append(run)
    # The number of a process that has ended may become that of another.
    atexit.register(os.ftruncate, run, 0)


def check_dead(folder: Path) -> None:
    """Check that no run is at work on any study of a folder.

    Parameters
    ----------
    folder : Path
        Folder where Snakemake runs.

    Raises
    ------
    SatError
        If one is.
    """
    for lock in sorted(folder.glob(f"results/*/{RUN}")):
        if is_running(lock.parent):
            raise _another(lock.parent.relative_to(folder))


def at_work(results: Path) -> str:
    """Say who is at work on a study's results, without taking a lock; empty if nobody is.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    """
    if is_running(results):
        return f"a run is at work: {_holder(results / RUN)}."
    # Who may not write here can neither ask for this lock nor change anything.
    if os.access(results / JOBS, os.W_OK):
        if (descriptor := _lock(results / JOBS)) is None:
            return "jobs of a run are at work."
        os.close(descriptor)
    return ""


def is_running(results: Path) -> bool:
    """Say whether a run is at work on a study's results, on any host whose locks are seen here."""
    try:
        descriptor = os.open(results / RUN, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _try(results / RUN, descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock(path: Path, patience: float = 0.0) -> int | None:
    """Lock a file alone, within some seconds, and give its descriptor; None if another process keeps the lock."""
    descriptor, until = os.open(path, os.O_RDWR | os.O_CREAT, 0o666), time.monotonic() + patience
    while not _try(path, descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= until:
            os.close(descriptor)
            return None
        time.sleep(PAUSE)
    return descriptor


def _try(path: Path, descriptor: int, kind: int) -> bool:
    """Try to lock a file that is open; without locks, say whether no other process on this host has it open."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno not in UNSUPPORTED:
            raise SatError(f"{path}: cannot be locked ({error.strerror}).") from None
        if any(_processes(path)):
            return False
        log.warning("%s: this file system has no locks, so a run on another host is not noticed.", path)
    return True


def _another(results: Path) -> SatError:
    return SatError(f"another run is at work on {results}: {_holder(results / RUN)}.")


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        words = f"process {found['process']} on {found['host']}, in {found['folder']}, since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has just started"
    return f"{words}. To stop it and its jobs there: kill -INT {found['process']}"


def _processes(path: Path) -> Iterator[str]:
    """Ids of the processes on this host that have a file open."""
    wanted = path.resolve()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == wanted and link.parts[2] != str(os.getpid()):
                yield link.parts[2]
        except OSError:
            continue


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def forget_dead_runs(snakemake: Path, results: Path, finished: Callable[[str], bool]) -> bool:
    """Remove what a killed run left in .snakemake. Only call this while holding the run's lock.

    Snakemake's lock files of the study are removed, since whoever wrote them is dead. A finished result that is
    marked as incomplete loses the mark and Snakemake's record of it, so that it is not made again.

    Parameters
    ----------
    snakemake : Path
        The folder .snakemake.
    results : Path
        Folder of the study's results, as Snakemake names it.
    finished : callable
        Function that says whether the job that makes a file is finished.

    Returns
    -------
    bool
        Whether a killed run had left a lock.
    """
    prefix, stale = f"{results}/", False
    for lock in snakemake.glob("locks/*.lock"):
        if lock.is_file() and any(line.startswith(prefix) for line in lock.read_text(errors="replace").splitlines()):
            lock.unlink()
            stale = True
    if stale:
        log.warning("an earlier run on %s was killed; its locks are removed", results)
    marks = _marks(snakemake, ours=False)
    kept = [file for file in marks if file.startswith(prefix) and finished(file)]
    for file in kept:
        marks[file].unlink()
        # The record is of an earlier job, perhaps with other settings.
        _record(snakemake / "metadata", file).unlink(missing_ok=True)
    if kept:
        log.warning("finished, although the earlier run did not record it: %s", ", ".join(sorted(kept)))
    return stale


def forget_studies(snakemake: Path, study: str, used: Collection[Path]) -> None:
    """Remove what `sat run` wrote of a study for earlier runs. Only call this if no job of theirs is left.

    Parameters
    ----------
    snakemake : Path
        The folder .snakemake.
    study : str
        The study's name.
    used : collection of Path
        Config files of this run, which stay, as do files of the last day: a dry run may be about to read them.
    """
    kept = {file.resolve() for file in used}
    for file in snakemake.glob(f"{STUDIES}/{study}/*.json"):
        if file.resolve() not in kept and time.time() - file.stat().st_mtime > OLD:
            file.unlink(missing_ok=True)


def mark_unrecorded(snakemake: Path, files: Collection[str], stale: Callable[[str], bool]) -> None:
    """Have Snakemake make results again that are not as the study asks, where it has no record of them.

    Snakemake compares settings with its own records. It has none of what a job finished after Snakemake was killed, nor
    of results that came without .snakemake; then other settings would make nothing again. Such a result is marked as
    incomplete. The mark goes when the study asks for the result as it is.

    Parameters
    ----------
    snakemake : Path
        The folder .snakemake.
    files : collection of str
        Results of the study.
    stale : callable
        Function that says whether a result was made by another step than the study asks for. It is called for
        results that are there and have no record.
    """
    records, ours = snakemake / "metadata", _marks(snakemake, ours=True)
    again = {file for file in files if Path(file).exists() and not _record(records, file).exists() and stale(file)}
    for file in again - ours.keys():
        mark = _record(snakemake / "incomplete", file)
        if not mark.exists():  # Snakemake's own says the same
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(STALE, encoding="utf-8")
    for file in (ours.keys() & set(files)) - again:
        ours[file].unlink()


def _marks(snakemake: Path, ours: bool) -> dict[str, Path]:
    """Marks of incomplete files, by the file: our own, or those of Snakemake."""
    found = (mark for mark in snakemake.glob("incomplete/**/*") if mark.is_file())
    return {file: mark for mark in found if (mark.read_text() == STALE) == ours and (file := _marked(mark))}


def _record(folder: Path, file: str) -> Path:
    """Where Snakemake keeps what it knows of a file; long names are cut into folders."""
    code, most = urlsafe_b64encode(file.encode()).decode(), 254
    parts = [code[start : start + most] for start in range(0, len(code), most)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _marked(mark: Path) -> str:
    """The file that a mark of Snakemake stands for; empty if the mark is none of Snakemake's."""
    parts = mark.parts[mark.parts.index("incomplete") + 1 :]
    try:
        return urlsafe_b64decode("".join(part.removeprefix("@") for part in parts)).decode()
    except ValueError:
        return ""
