"""Go on after Snakemake itself was killed.

SLURM jobs that are left are cancelled, or the command waits for them. Then the folder
is unlocked, and Snakemake starts again.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sat.errors import SatError
from sat.logs import log

GROUP = "Run it"

GROUP = "Run it"

SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"
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
    parser.add_argument("--profile", default="slurm", help="Snakemake's profile (default: slurm)")
    parser.add_argument("--wait", action="store_true", help="let the jobs that are left finish")
    parser.set_defaults(passed_on=[])
    parser.epilog = "Words after -- are passed on to snakemake: sat resume -- --keep-going"


def run(arguments: argparse.Namespace) -> int:
    """Cancel the jobs that are left or wait for them, unlock, take over what they finished, and start again."""
    if main := next(living(Path.cwd()), None):
        raise SatError(
            f"Snakemake is at work in this folder (process {main}). To stop it and its jobs, run: kill -INT {main}"
        )
    settle(Path.cwd(), arguments.wait)
    chosen = arguments.study != ["config.yaml"]
    study = ["--configfile", *arguments.study] if chosen else []
    study += ["--config", *arguments.config] if arguments.config else []
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE)]
    if subprocess.run([*snakemake, "--unlock", *study]).returncode:
        raise SatError("Snakemake cannot unlock this folder: see above.")
    if not chosen and not Path("config.yaml").exists():
        arguments.study = [str(SNAKEFILE.with_name("config.yaml"))]
    if files := unrecorded([*snakemake, *study], arguments):
        log.info("finished without Snakemake's knowledge: %s", ", ".join(files))
        touch = ["--touch", "--force", "--rerun-incomplete", "--cores", "1", "--quiet", "all"]
        if subprocess.run([*snakemake, *touch, *study, "--", *files]).returncode:
            log.warning("Snakemake could not take them over, and may make some again.")
    command = [*snakemake, "--profile", arguments.profile, *arguments.passed_on, *study]
    log.info("snakemake %s", " ".join(command[3:]))
    sys.stdout.flush()
    os.execv(command[0], command)


def living(folder: Path) -> Iterator[str]:
    """Find the ids of Snakemake's main processes that work in a folder, on this machine.

    Parameters
    ----------
    folder : Path

    Yields
    ------
    str
    """
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            here = (process / "cwd").resolve() == folder.resolve()
            # A process that is ending has no command line any more.
            ended = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        # A Snakemake process within a job has the argument --mode; the main process has not.
        if here and not ended and "--mode" not in words and _is_snakemake(words):
            yield process.name


def _is_snakemake(words: list[str]) -> bool:
    interpreted = words[1:2] if Path(words[0]).name.startswith("python") else words[:1]
    return any(Path(word).name == "snakemake" for word in interpreted) or words[1:3] == ["-m", "snakemake"]


def settle(folder: Path, wait: bool) -> None:
    """Cancel a folder's jobs, or wait for them, until none is left.

    Parameters
    ----------
    folder : Path
    wait : bool
        Whether to wait for the jobs instead of cancelling them.
    """
    told = -REMINDER
    cancelled: set[str] = set()
    while jobs := left(folder):
        if time.monotonic() - told >= REMINDER:
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
        raise SatError(f"squeue: {done.stderr.strip()}")
    jobs = [Left(*line.split("|", 3)) for line in done.stdout.splitlines() if line.count("|") >= 3]
    here = folder.resolve()
    return [job for job in jobs if _RUN.fullmatch(job.name) and Path(job.folder).resolve() == here]


def unrecorded(snakemake: list[str], arguments: argparse.Namespace) -> list[str]:
    """Find finished artefacts that Snakemake would make again, or has no record of.

    Their sidecars prove that they are finished. Jobs that outlived Snakemake made them.

    Parameters
    ----------
    snakemake : list of str
        Beginning of a command line, with the study.
    arguments : argparse.Namespace
        The arguments that name the study.
    """
    from sat.cli.tools import plan_of, results_folder, study_of
    from sat.status.verify import verify

    words = ["--summary", "--rerun-incomplete", "--quiet", "all"]
    done = subprocess.run([*snakemake, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SatError(f"snakemake --summary: {done.stderr.strip()[-2000:]}")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    # The columns are output_file, date, rule, log-file(s), status and plan.
    doubtful = {row[0] for row in rows if len(row) == 6 and (row[3] == "-" or row[4:] != ["ok", "no update"])}
    study = study_of(arguments)
    plan, results = plan_of(study), results_folder(study)
    if not any(f"{results / name}" in doubtful and (results / name).exists() for name in plan.artefacts()):
        return []
    faulty = {str(finding.path) for finding in verify(plan, results)}
    # If a job makes one artefact only, its sidecar proves that the whole job is done.
    single = [made[0] for made in plan.jobs().values() if len(made) == 1 and not made[0].path.endswith(".json")]
    paths = [str(results / artefact.path) for artefact in single]
    return [path for path in paths if path in doubtful and path not in faulty]
