"""The same command goes on after any kill, makes nothing again that is finished, and two runs do not meet."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROWS, TINY
from projects import SNAKEMAKE, Project
from sat.errors import SatError
from sat.store.runs import RUN, forget_dead_runs, hold_run

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(project: Project, *words: str) -> subprocess.Popen[str]:
    """Snakemake in a session of its own, as from another terminal."""
    command = [SNAKEMAKE, "--cores", "2", *words]
    with (project.folder / "run.log").open("w") as log:
        return subprocess.Popen(
            command, cwd=project.folder, env=ENVIRONMENT, stdout=log, stderr=log, text=True, start_new_session=True
        )


def wait_for(what: str, found: Callable[[], object], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < until, f"no {what}"
        time.sleep(0.05)


def jobs_of(run: subprocess.Popen[str]) -> list[int]:
    """Processes of a run's session, but for its main process."""
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(run.pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split() if int(word) != run.pid]


@pytest.fixture
def attacking(project: Project) -> Project:
    """Everything is made but the attacks and what follows, and the attacks take a while."""
    project.configure(attack={**TINY["attack"], "steps": 1500})
    return project


def test_after_kill_9_of_everything_the_same_command_goes_on(attacking: Project) -> None:
    project = attacking
    run = start(project, "--until", "attack")
    wait_for("parts", lambda: list(project.results.glob("adversarial/.*.parts-*/*.part")))
    before = project.state("clean/*")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert list((project.folder / ".snakemake/locks").glob("*.lock")), "killed too early to show anything"
    project.run("--until", "attack")
    assert project.state("clean/*") == before
    resumed = [
        json.loads(path.read_text())["facts"]["n_resumed"] for path in project.results.glob("adversarial/*.json")
    ]
    assert max(resumed) > 0
    found = project.sat("verify", "--full").stdout
    assert "results/tiny/tiles" in found
    assert not re.search(r"^\w+ +results/tiny/adversarial", found, re.MULTILINE), found


def test_jobs_that_outlive_snakemake_are_not_met_by_a_second_run_and_their_work_counts(attacking: Project) -> None:
    project = attacking
    run = start(project, "--until", "attack")
    wait_for("parts", lambda: list(project.results.glob("adversarial/.*.parts-*/*.part")))
    second = project.snakemake("--until", "attack")
    assert second.returncode == 1 and f"process {run.pid} on" in second.stdout + second.stderr
    before, now = project.sat("history").stdout.split("\n\n")
    assert "UTC: finished after" in before and "UTC: is at work." in now
    run.kill()
    run.wait()
    assert "UTC: did not end. It was killed" in project.sat("history").stdout.split("\n\n")[1]
    orphans = jobs_of(run)
    assert orphans, "no attack has outlived Snakemake"
    refused = project.snakemake("--until", "attack")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "jobs of a run that was killed are still at work" in said, said
    assert any(str(process) in said for process in orphans)
    wait_for("end of the attacks", lambda: not jobs_of(run))
    made = project.state("adversarial/*.h5")
    # A model whose attack had not begun still has its set of the earlier study.
    sidecars = {path: json.loads(path.read_text()) for path in project.results.glob("adversarial/*.json")}
    finished = {f"adversarial/{path.stem}" for path, read in sidecars.items() if read["params"]["steps"] == 1500}
    assert finished
    assert "finished, although the earlier run did not record it" in project.run("--until", "attack")
    after = project.state("adversarial/*.h5")
    assert {path: after[path] for path in finished} == {path: made[path] for path in finished}
    # Snakemake has no record of them, and yet other settings make them again.
    assert "attack" in project.planned("--config", "attack={steps: 2}"), "a dry run says so"
    assert "attack" not in project.planned(), "and what it noted is gone"
    project.configure(attack={**TINY["attack"], "steps": 2})
    project.run("--until", "attack")
    again = project.state("adversarial/*.h5")
    assert all(again[path] != after[path] for path in finished)


def test_looking_takes_no_lock(project: Project, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(project.folder / 'workflow')!r}); from pathlib import Path; "
    code += (
        f"from sat.store.runs import hold_run; hold_run(Path({str(project.results)!r})); print(1, flush=True); input()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "1\n"
        for words in (["-n"], ["-np"], ["--summary"], ["--unlock"], ["--report", str(tmp_path / "report.html")]):
            assert project.snakemake("--quiet", "all", *words).returncode == 0, words
        # What begins like an option that only looks.
        refused = project.snakemake("--printshellcmds", "--conda-prefix", str(tmp_path))
        assert refused.returncode == 1 and f"process {holder.pid} on" in refused.stdout + refused.stderr
        # From another folder with the same results, as from another clone.
        other = project.copy(tmp_path / "clone")
        subprocess.run(["rm", "-r", other.folder / "results"], check=True)
        (other.folder / "results").symlink_to(project.folder / "results")
        refused = other.snakemake()
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and f"process {holder.pid} on" in said and str(Path.cwd()) in said
    finally:
        holder.kill()
        holder.wait()
    assert project.snakemake().returncode == 0


def test_only_the_marks_of_this_study_and_of_finished_files_go(tmp_path: Path) -> None:
    from base64 import urlsafe_b64encode

    names = ["results/tiny/a.h5", "results/tiny/b.h5", "results/other/a.h5", "results/tiny/" + "long" * 80]
    for name in names:
        code = urlsafe_b64encode(name.encode()).decode()
        mark = tmp_path / "incomplete" / (code if len(code) < 254 else f"@{code[:254]}/{code[254:]}")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text("{}")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.output.lock").write_text("results/tiny/a.h5\n")
    (tmp_path / "locks/1.output.lock").write_text("results/other/a.h5\n")
    assert forget_dead_runs(tmp_path, Path("results/tiny"), lambda file: not file.endswith("b.h5"))
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["1.output.lock"]
    assert len([path for path in (tmp_path / "incomplete").rglob("*") if path.is_file()]) == 2
    assert not forget_dead_runs(tmp_path, Path("results/tiny"), lambda file: True)


def test_a_file_system_without_locks_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    import errno

    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    hold_run(tmp_path)
    assert "no locks" in caplog.text
    monkeypatch.undo()
    hold_run(tmp_path / "locked")
    with pytest.raises(SatError, match=f"process {os.getpid()} on"):
        hold_run(tmp_path / "locked")
    assert json.loads((tmp_path / "locked" / RUN).read_text())["folder"] == str(Path.cwd())


__all__ = ["ROWS"]
