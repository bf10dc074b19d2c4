"""Kill a study at random moments, start it again each time, and compare all that it made with an undisturbed run.

    python tests/kills.py --kills 100 --seed 0

Processes are forked from one that has imported what they need (see forks.py), since a kill during imports shows
nothing: imports write no file. The exit status is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import forks
from conftest import ROWS, TINY
from projects import Project
from sat.status.verify import verify
from sat.store.artefact import sidecar_path
from sat.store.user_files import register
from sat.study.plan import Plan
from sat.study.study import load_study

KINDS = ("everything", "Snakemake alone", "one job")
WORDS = ("--cores", "2", "--quiet", "rules")
STATED = ("stage", "stage_version", "params", "recipe", "inputs", "sha256", "content_sha256")
"""Keys of a sidecar that must be those of an undisturbed run; some of its facts too."""
Finished = dict[str, tuple[int, str, str]]


@dataclass
class Account:
    """What was done, and what was found."""

    kills: Counter[str] = field(default_factory=Counter)
    """By kind."""
    starts: int = 0
    refused: int = 0
    """Starts that ended with the advice to wait for jobs that had outlived their run."""
    ends: int = 0
    """Runs that came to the end of the study."""
    compared: int = 0
    """Artefacts that were compared with those of the undisturbed run, over all ends."""
    kept: int = 0
    """Finished artefacts that were looked at again after a start, over all starts."""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0

    def __str__(self) -> str:
        lines = [("kills", sum(self.kills.values())), *((f"  of {kind}", self.kills[kind]) for kind in KINDS)]
        lines += [("starts", self.starts), ("  refused, since jobs of a killed run were at work", self.refused)]
        lines += [("  that came to the end of the study", self.ends)]
        lines += [("artefacts compared with those of an undisturbed run", self.compared)]
        lines += [("finished artefacts seen to be the same files after a start", self.kept)]
        lines += [("minutes", round(self.seconds / 60, 1)), ("faults", len(self.faults))]
        return "\n".join([*(f"{name:<62}{value:>8}" for name, value in lines), *self.faults])


def disturb(project: Project, reference: Project, kills: int, seed: int, longest: float = 6) -> Account:
    """Kill runs of a study until there were enough kills, and let the last one come to its end.

    Parameters
    ----------
    project : Project
        A study of which nothing is made yet. What a killed run has made, the next one finds. Where a run comes to the
        end before there were enough kills, the results are deleted.
    reference : Project
        The same study, run without disturbance.
    kills : int
    seed : int
        Seed of moments and kinds.
    longest : float
        Seconds from the start of a run, or of its first job, after which it is killed at the latest.
    """
    account, chance, began = Account(), random.Random(seed), time.monotonic()
    log = project.folder / "run.log"
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary, only_ours() as sessions:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": temporary}
        while True:
            before = finished(project)
            log.unlink(missing_ok=True)
            run = forks.start(project.folder, WORDS, environment, log)
            sessions.append(run.pid or 0)
            account.starts += 1
            kind = ""
            if account.kills.total() < kills:
                # The start of a run may take longer than its jobs, so most moments count from the first job.
                if chance.random() < 0.75:
                    wait_for_job(run, 120)
                run.join(chance.uniform(0, longest))
                kind = kill(run, chance.choice(KINDS), chance)
                if kind:
                    account.kills[kind] += 1
                    print(f"{account.kills.total():>4}: {kind}, {len(before)} artefacts were finished", file=sys.stderr)
            run.join(600)
            if kind == "Snakemake alone" and chance.random() < 0.5:
                wait_for_end(run.pid or 0)
            after = state(project, before)
            account.kept += len(before)
            account.faults += [
                f"{path}: was finished, and is another file now" for path in before if before[path] != after.get(path)
            ]
            said = log.read_text() if log.exists() else ""
            if not kind and run.exitcode and "jobs of a run that was killed are still at work" in said:
                account.refused += 1
                time.sleep(0.3)
            elif not kind and run.exitcode:
                account.faults.append(f"a start that was not disturbed ended with {run.exitcode}: {said[-2000:]}")
            if account.faults:
                break
            if not kind and run.exitcode == 0:
                account.ends += 1
                account.compared += compare(project, reference, account.faults)
                if account.faults or account.kills.total() >= kills:
                    break
                shutil.rmtree(project.results)
    account.seconds = time.monotonic() - began
    return account


def kill(run: ForkServerProcess, kind: str, chance: random.Random) -> str:
    """Send SIGKILL to a run, or to a part of it, and return the kind of the kill; empty if it has ended before."""
    main = run.pid or 0
    jobs = wait_for_job(run, 30) if kind == "one job" else []
    if not run.is_alive():
        return ""
    if jobs:
        try:
            os.kill(chance.choice(jobs), signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return kind
    os.kill(main, signal.SIGKILL)
    if kind == "Snakemake alone":
        return kind
    end(main)
    return KINDS[0]


def wait_for_job(run: ForkServerProcess, seconds: float) -> list[int]:
    """Wait for a run to start a job; return the jobs that it runs."""
    until, jobs = time.monotonic() + seconds, jobs_of(run.pid or 0)
    while run.is_alive() and not jobs and time.monotonic() < until:
        time.sleep(0.02)
        jobs = jobs_of(run.pid or 0)
    return jobs


def processes(session: int) -> dict[int, int]:
    """Processes of a session that have not ended, each with its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            condition, parent, _, own, *_ = path.read_text().rpartition(")")[2].split()
            if int(own) == session and condition not in "ZX":
                found[int(path.parent.name)] = int(parent)
    return found


def jobs_of(main: int) -> list[int]:
    """Processes that are jobs: children of the one that forks them, which is Snakemake's child that is no shell."""
    there = processes(main)
    words = {process: Path(f"/proc/{process}/cmdline") for process in there}
    # It may have ended, or not have a session of its own yet.
    with contextlib.suppress(OSError, KeyError):
        own = words[main].read_bytes()
        servers = {
            process for process, parent in there.items() if parent == main and words[process].read_bytes() == own
        }
        return sorted(process for process, parent in there.items() if parent in servers)
    return []


def end(session: int) -> None:
    """Kill all processes of a session."""
    while there := processes(session):
        for process in there:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def wait_for_end(session: int) -> None:
    """Wait until no process of a session is left."""
    until = time.monotonic() + 300
    while processes(session):
        assert time.monotonic() < until, "jobs that outlived their run do not end"
        time.sleep(0.1)


@contextlib.contextmanager
def only_ours() -> Iterator[list[int]]:
    """Leave no process behind of the sessions that are put into the list."""
    sessions: list[int] = []
    try:
        yield sessions
    finally:
        for session in sessions:
            end(session)


def finished(project: Project) -> Finished:
    """Inode and digests of each artefact whose job is finished, as ``sat verify --full`` sees it."""
    with contextlib.chdir(project.folder):
        study = load_study(["config.yaml"])
        results = Path("results") / study.name
        if not results.exists():
            return {}
        plan = Plan(study, register(study.files, results, write=False))
        faulty = {str(finding.path.relative_to(results)) for finding in verify(plan, results, full=True)}
    jobs = [{made.path for made in artefacts} for artefacts in plan.jobs().values()]
    return state(project, [path for paths in jobs if not paths & faulty for path in sorted(paths)])


def state(project: Project, paths: Any) -> Finished:
    """Inode and digest of artefacts that are there, and digest of the sidecar."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            file, sidecar = project.results / path, sidecar_path(project.results / path)
            content = [hashlib.sha256(each.read_bytes()).hexdigest() for each in (file, sidecar) if each.exists()]
            found[path] = (file.stat().st_ino, content[0], content[-1])
    return found


def compare(project: Project, reference: Project, faults: list[str]) -> int:
    """Compare a study that is complete with the same one; add what differs to the faults; return what was compared."""
    with contextlib.chdir(project.folder):
        plan = Plan(load_study(["config.yaml"]))
        faults += [f"{one.path}: {one.kind}: {one.reason}" for one in verify(plan, Path("results/tiny"), full=True)]
    # The crate holds the times of all jobs.
    compared = [path for path, made in plan.artefacts().items() if made.step.stage != "crate"]
    for path in compared:
        ours, theirs = project.results / path, reference.results / path
        mine, other = map(statement, (ours, theirs))
        faults += [f"{path}: {key} differs from the undisturbed run" for key in mine if mine[key] != other.get(key)]
        if not path.endswith(".json") and ours.read_bytes() != theirs.read_bytes():
            faults.append(f"{path}: other bytes than those of the undisturbed run")
    return len(compared)


def statement(path: Path) -> dict[str, Any]:
    """What a sidecar says of an artefact, beside times, the machine, and how much of it a killed job had made."""
    sidecar = json.loads(sidecar_path(path).read_text())
    facts = {key: value for key, value in sidecar["facts"].items() if key != "n_resumed"}
    for epoch in facts.get("history", []):
        epoch.pop("seconds")
    return {**{key: sidecar.get(key) for key in STATED}, "facts": facts}


def main() -> int:
    """Make the undisturbed run, then the disturbed ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=6, help="seconds of a run, or of its jobs, until it is killed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        reference = Project.new(Path(folder) / "undisturbed", TINY, ROWS)
        reference.run()
        project = Project.new(Path(folder) / "killed", TINY, ROWS)
        account = disturb(project, reference, asked.kills, asked.seed, asked.longest)
    print(account)
    return int(bool(account.faults))


if __name__ == "__main__":
    sys.exit(main())
