"""Who is at work on a study: several processes and one lock."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import ROOT
from sat.errors import SatError
from sat.store.runs import RUN, at_work, forget_studies, hold_run, is_running

START = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from pathlib import Path
from sat.errors import SatError
from sat.store.runs import hold_run, is_running
results = Path(sys.argv[1])
"""
HOLD = "hold_run(results); print(1, flush=True); input()"
LOOK = "print(1, flush=True)\nwhile True: is_running(results)"
START_OFTEN = """
refused = 0
for _ in range(40):
    if not (child := os.fork()):
        try:
            hold_run(results)
        except SatError:
            os._exit(1)
        os._exit(0)
    refused += os.waitpid(child, 0)[1] != 0
print(refused)
"""
WITHOUT_LOCKS = f"""
import errno, fcntl
def refuse(descriptor, kind):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = refuse
{HOLD}
"""


@contextmanager
def other(results: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that does something to the results; it has begun."""
    command = [sys.executable, "-c", START + code, str(results)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "1\n"
            yield process
        finally:
            process.kill()


def test_looking_at_a_run_refuses_none(tmp_path: Path) -> None:
    (tmp_path / RUN).touch()
    with other(tmp_path, LOOK), other(tmp_path, LOOK):
        done = subprocess.run(
            [sys.executable, "-c", START + START_OFTEN, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert done.stdout == "0\n", "runs that were refused"


def test_a_run_that_has_ended_leaves_no_process_to_kill(tmp_path: Path) -> None:
    with other(tmp_path, HOLD) as process:
        assert is_running(tmp_path) and f"kill -INT {process.pid}" in at_work(tmp_path)
        process.communicate("\n")
    assert not is_running(tmp_path) and (tmp_path / RUN).read_text() == ""


def test_without_locks_a_run_on_this_host_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with other(tmp_path, WITHOUT_LOCKS) as process:
        assert is_running(tmp_path)
        with pytest.raises(SatError, match=f"another run is at work on .*: process {process.pid} on"):
            hold_run(tmp_path)
    assert not is_running(tmp_path)
    hold_run(tmp_path)


def test_studies_of_earlier_runs_go_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = [Path(".snakemake/studies", name) for name in ("tiny/used.json", "tiny/old.json", "tiny-2/old.json")]
    files.append(Path(".snakemake/studies/tiny/new.json"))
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for file in files[:3]:
        os.utime(file, (0, 0))
    forget_studies(Path(".snakemake"), "tiny", [files[0].absolute()])
    assert [file.exists() for file in files] == [True, False, True, True]
