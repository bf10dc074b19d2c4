"""sat resume cancels jobs only if their run is dead. Two scripts stand in for squeue and scancel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sat.store.runs import RUN

HOLD = (
    "import fcntl, sys; stream = open(sys.argv[1], 'a'); fcntl.flock(stream, fcntl.LOCK_EX); print(flush=True); input()"
)
SQUEUE = """#!/bin/sh
test -e {folder}/cancelled || echo "42|PENDING|6f9619ff-8b86-4d01-b42d-00cf4fc964ff|{folder}"
"""
SCANCEL = """#!/bin/sh
echo "$@" > {folder}/cancelled
"""


@pytest.fixture
def queued(write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study and a job of Snakemake's in the queue; the file `cancelled` names the job once it is."""
    write_study()
    for name, text in (("squeue", SQUEUE), ("scancel", SCANCEL)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text.format(folder=tmp_path))
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    # The command would become Snakemake.
    monkeypatch.setattr("sat.cli.calls.call_snakemake", lambda arguments, words: print("snakemake", *words))
    return tmp_path


# As from another host: the process has no word of Snakemake, nor does it work in the folder.
@pytest.mark.parametrize("study", ["tiny", "other"])
@pytest.mark.parametrize("words", [[], ["--wait"]])
def test_the_jobs_of_a_living_run_are_left_alone(queued: Path, sat, study: str, words: list[str]) -> None:
    lock = queued / "results" / study / RUN
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        done = sat(queued, "resume", "study.yaml", *words)
        holder.communicate(b"\n")
    assert done.returncode == 1 and f"another run is at work on results/{study}" in done.stderr, done.stderr
    assert not (queued / "cancelled").exists() and "snakemake" not in done.stdout
    done = sat(queued, "resume", "study.yaml")
    assert done.returncode == 0 and (queued / "cancelled").read_text() == "42\n"
    assert done.stdout == "snakemake --profile slurm\n"


@pytest.mark.parametrize("words", [["-n"], ["--dry-run"], ["-c1", "-pn"], ["--summary"]])
def test_who_only_looks_cancels_nothing(queued: Path, sat, words: list[str]) -> None:
    done = sat(queued, "resume", "study.yaml", *words)
    assert done.returncode == 0 and "snakemake" in done.stdout
    assert not (queued / "cancelled").exists()
