"""Go on after Snakemake itself was killed.

SLURM jobs that are left are cancelled, or the command waits for them. Then Snakemake
starts again. Without SLURM, the command that was killed does the same.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sat.errors import SatError
from sat.logs import log
from sat.store.runs import check_dead

GROUP = "Run it"

PAUSE, REMINDER = 5.0, 600.0
"""Seconds between two looks at the queue, and between two log lines about it."""

# Snakemake names all SLURM jobs of a run after the run: a UUID, with a prefix if the user asked for one.
_RUN = re.compile(r"(?:[\w-]{1,50}_)?[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Left:
    """A SLURM job that is waiting or running."""

    id: str
    state: str
    name: str
    folder: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--profile", help="Snakemake's profile (default: slurm where there is SLURM, otherwise none)")
    parser.add_argument("--wait", action="store_true", help="let the jobs that are left finish")
    parser.set_defaults(passed_on=[])
    parser.epilog = "All other options are passed on to snakemake: sat resume --keep-going"


def run(arguments: argparse.Namespace) -> None:
    """Cancel the SLURM jobs that are left or wait for them, and start again."""
    from sat.cli.calls import call_snakemake, runs_jobs
    from sat.cli.tools import study_of

    study_of(arguments)  # a mistake in it is told before any job is cancelled
    slurm = shutil.which("squeue") is not None
    profile = arguments.profile or ("slurm" if slurm else "")
    words = ["--profile", profile] if profile else []
    if slurm and runs_jobs([*words, *arguments.passed_on]):
        settle(Path.cwd(), arguments.wait)
    call_snakemake(arguments, words)


def settle(folder: Path, wait: bool) -> None:
    """Cancel a folder's jobs, or wait for them, until none is left.

    Parameters
    ----------
    folder : Path
    wait : bool
        Whether to wait for the jobs instead of cancelling them.

    Raises
    ------
    SatError
        If a run is at work on a study of the folder, because the jobs may be its own.
    """
    told: float | None = None
    cancelled: set[str] = set()
    while jobs := left(folder):
        if told is None or not wait:
            # A run takes its lock before it submits jobs. So if one of these jobs is of a living run, its lock is seen.
            check_dead(folder)
        if told is None or time.monotonic() - told >= REMINDER:
            told = time.monotonic()
            states = ", ".join(f"{job.id} ({job.state})" for job in jobs)
            log.info(
                "%s %d jobs of a run that has died: %s", "waiting for" if wait else "cancelling", len(jobs), states
            )
        new = [job.id for job in jobs if job.id not in cancelled]
        if new and not wait:
            # scancel fails for a job that ends by itself at this moment, which does no harm.
            subprocess.run(["scancel", *new], capture_output=True, text=True, check=False)
            cancelled.update(new)
        time.sleep(PAUSE if wait else 1.0)


def left(folder: Path) -> list[Left]:
    """Find the user's SLURM jobs that a run of Snakemake in this folder submitted and that have not ended.

    Parameters
    ----------
    folder : Path
        The folder. Jobs of a copy of the folder are not found.

    Raises
    ------
    SatError
        If SLURM does not answer, because it is then unknown whether jobs are left.
    """
    words = ["squeue", "--me", "--noheader", "--format=%A|%T|%j|%Z"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SatError(f"{error}: call 'sat resume' on a machine that has SLURM.") from None
    if done.returncode:
        raise SatError(
            f"squeue: {done.stderr.strip()}. Without SLURM, run the killed command again: it goes on by itself."
        )
    jobs = [Left(*line.split("|", 3)) for line in done.stdout.splitlines() if line.count("|") >= 3]
    here = folder.resolve()
    return [job for job in jobs if _RUN.fullmatch(job.name) and Path(job.folder).resolve() == here]
