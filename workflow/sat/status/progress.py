"""How far a study is: jobs done, running, failed and to do, and an estimate of the time left.

Only files are read, so the result is the same on any machine that shares the disk. Sidecars say what is done.
Snakemake's own log of its newest run of the study says what runs and what has failed. If it says nothing about a
job, the job's log is used. With --quiet, no job stands in Snakemake's log, so only the history knows of such a run.
Files do not show whether a main process was killed or whether its jobs are silent. So after `QUIET` seconds without a
sign of life, its jobs are taken to be stopped.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sat.errors import SatError
from sat.status.accuracies import about_accuracies
from sat.status.history import how_it_ended
from sat.store.artefact import is_made, sidecar_path
from sat.store.history import PastRun, read_history
from sat.store.runs import is_running
from sat.study.expected import benchmark_seconds
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.text import WIDTH, duration, shortened, size, wrapped

QUIET = 600
"""Seconds without a sign of life after which a run counts as stopped."""
FRESH = 60
"""Seconds without a sign of life after which a run is only said to be perhaps at work; loops write a line every 10."""
STATES = ("done", "running", "failed", "to do")
SHOWN = 10
"""Largest number of jobs whose details are printed."""
TAIL = 20_000
"""Number of bytes that are read from the end of a log."""
KILLED = "Snakemake says so, the log does not: was it killed for its memory or time?"
LATELY = 20
"""Number of recent job starts from which the number of jobs side by side is taken."""


@dataclass
class Run:
    """What Snakemake's log says about one of its runs."""

    log: Path
    states: dict[str, str] = field(default_factory=dict)
    """State (`started`, `finished` or `failed`) of each of the study's jobs that the run has started, by name."""
    ended: bool = False
    """Whether Snakemake has closed the log. It also does so after a failure or a signal, unless it is killed at once.
    """
    side_by_side: int = 1
    """Largest number of jobs that recently ran at the same time."""
    written: float = 0.0
    """Time of the last line in the log, in seconds since 1970."""
    alive: float = 0.0
    """Time at which the run, or one of its running jobs, last wrote something."""

    def going(self, now: float) -> bool:
        """Say whether the run is still going, as far as files show it."""
        return not self.ended and now - self.alive < QUIET


def newest_run(snakemake: Path, results: Path, since: float = 0.0) -> Run | None:
    """Find Snakemake's newest run that has started a job of the study.

    Parameters
    ----------
    snakemake : Path
        The folder .snakemake.
    results : Path
        Folder of the study's results, as the rules call it.
    since : float
        Time, in seconds since 1970, at which the newest run began. A log that ends before that is of an earlier one.
    """
    # The names of logs begin with the start time. Dry runs write no log; reports write a log without jobs.
    for path in sorted((snakemake / "log").glob("*.snakemake.log"), reverse=True):
        if _written(path) < since:
            return None
        run = _read_run(path, f"{results.as_posix()}/logs/")
        if run.states:
            under_way = [name for name, state in run.states.items() if state == "started"]
            logs = [_written(results / f"logs/{name}.log") for name in under_way]
            run.alive = max(run.written, *logs, 0.0)
            return run
    return None


def _last_of_history(results: Path) -> PastRun | None:
    """The newest run of the history that was one of this study."""
    try:
        return next((run for run in reversed(read_history(results)) if not run.start.get("joined")), None)
    except SatError:
        return None


def _read_run(path: Path, logs: str) -> Run:
    run = Run(path, written=_written(path))
    names: dict[str, str] = {}
    under_way: set[str] = set()
    counts: list[int] = []
    block = log = ""
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.startswith(("rule ", "localrule ")):
                block, log = "started", ""
            elif line.startswith("Error in rule "):
                block, log = "failed", ""
            elif block and line.startswith("    log: "):
                log = line[9:].strip()
            elif block and line.startswith("    jobid: "):
                number = line[11:].strip()
                # In an error block the log comes after the jobid, but the start of the job has named the log before.
                if block == "started" and log.startswith(logs):
                    names[number] = log.removeprefix(logs).removesuffix(".log")
                    under_way.add(number)
                    counts.append(len(under_way))
                if number in names:
                    run.states[names[number]] = block
                if block == "failed":
                    under_way.discard(number)
                block = ""
            elif line.startswith("Finished jobid: "):
                number = line.split()[2]
                under_way.discard(number)
                if number in names:
                    run.states[names[number]] = "finished"
            elif line.startswith("Complete log(s): "):
                run.ended = True
    run.side_by_side = max(counts[-LATELY:], default=1)
    return run


@dataclass(frozen=True)
class JobProgress:
    """How far one job is."""

    name: str
    stage: str
    state: str
    """One of `STATES`."""
    log: Path
    remark: str = ""
    """What the state is inferred from, if no file says it directly."""


@dataclass
class StageProgress:
    """How far a stage is."""

    stage: str
    jobs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    """Number of jobs by state."""
    disk: int = 0
    """Bytes on disk of its artefacts and their sidecars."""
    seconds: list[float] = field(default_factory=list)
    """Run times of the finished jobs that have a benchmark."""
    limits: float = 0.0
    """Sum of the time limits of the jobs that are left, in seconds; 0 if the jobs are small."""

    @property
    def left(self) -> int:
        """Number of jobs that are not done."""
        return sum(self.jobs.values()) - self.jobs["done"]

    @property
    def mean(self) -> float | None:
        """Mean seconds of a job; None before one is done."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else None


@dataclass
class Progress:
    """How far a study is."""

    study: str
    stages: list[StageProgress]
    jobs: list[JobProgress]
    run: Run | None
    now: float
    remarks: list[str] = field(default_factory=list)
    """What is to be said of the models' accuracies."""
    unlogged: list[str] = field(default_factory=list)
    """What the history says of the newest run, where `run` is None."""

    def __str__(self) -> str:
        total = {state: sum(stage.jobs[state] for stage in self.stages) for state in STATES}
        rows = [(stage.stage, stage.jobs, stage.mean, stage.disk) for stage in self.stages]
        disk = sum(stage.disk for stage in self.stages)
        lines = [
            f"Study {self.study}: {total['done']:,} of {sum(total.values()):,} jobs done.",
            "",
            f"{'stage':<15}{'jobs':>7}" + "".join(f"{state:>9}" for state in STATES) + f"{'mean time':>11}{'disk':>10}",
        ]
        for stage, jobs, mean, used in [*rows, ("total", total, None, disk)]:
            counts = "".join(f"{jobs[state]:>9,}" for state in STATES)
            took = "" if mean is None else duration(mean)
            cells = f"{sum(jobs.values()):>7,}{counts}{took:>11}{size(used) if used else '':>10}"
            lines.append(f"{shortened(stage, 15):<15}{cells}".rstrip())
        lines += ["", *self._about_run(), *self._details("running", 1), *self._details("failed", 3)]
        if self.remarks:
            lines += ["", *(line for remark in self.remarks for line in wrapped(remark))]
        return "\n".join([*lines, "", *wrapped(self.time_left())])

    def _about_run(self) -> list[str]:
        run = self.run
        if not run:
            return self.unlogged or ["No log of Snakemake names this study's jobs."]
        since = duration(self.now - (run.written if run.ended else run.alive))
        # The path stands on its own line, so that it can be copied.
        if run.ended:
            return [f"Snakemake's last run ended {since} ago:", f"  {run.log}"]
        if run.going(self.now):
            perhaps = "" if self.now - run.alive < FRESH else "perhaps "
            return [f"Snakemake is {perhaps}at work; the last sign of life is {since} old:", f"  {run.log}"]
        count = sum(state == "started" for state in run.states.values())
        return [
            f"Snakemake's log has no end, and nothing has been written for {since}:",
            f"  {run.log}",
            *wrapped(
                f"Either it was killed, or the {count} job(s) that it has started are silent or wait in a queue. "
                "They count as stopped."
            ),
        ]

    def _details(self, state: str, n_lines: int) -> list[str]:
        jobs = [job for job in self.jobs if job.state == state]
        if not jobs:
            return []
        lines = ["", f"{state.capitalize()} (logs in results/{self.study}/logs/):"]
        for job in jobs[:SHOWN]:
            written = _written(job.log)
            about = [f"written {duration(self.now - written)} ago" if written else "not there yet"]
            name = shortened(f"{job.name}.log", WIDTH - 2)
            remark = f"({'; '.join(about + [job.remark] * bool(job.remark))})"
            together = f"  {name} {remark}"
            lines += [together] if len(together) <= WIDTH else [f"  {name}", *wrapped(remark, "    ")]
            for line in _last_lines(job.log)[-n_lines:]:
                # An error is shown whole, and of a running job what it does.
                lines += wrapped(line[:1000], "    ") if state == "failed" else [f"    {shortened(line, WIDTH - 4)}"]
        if len(jobs) > SHOWN:
            lines.append(f"  and {len(jobs) - SHOWN:,} more")
        return lines

    def time_left(self) -> str:
        """Describe the estimated time left, in words."""
        left = [stage for stage in self.stages if stage.left]
        if not left:
            return "Nothing is left to do."
        most = max(self.run.side_by_side if self.run else 1, sum(stage.jobs["running"] for stage in left))
        known = sum(stage.mean * stage.left / min(most, stage.left) for stage in left if stage.mean is not None)
        limits = sum(stage.limits / min(most, stage.left) for stage in left if stage.mean is None)
        finished = sum(len(stage.seconds) for stage in left)
        bounded = [stage.stage for stage in left if stage.mean is None and stage.limits]
        unknown = [stage.stage for stage in left if stage.mean is None and not stage.limits]
        parts = []
        if finished:
            parts.append(f"about {duration(known)} from the mean of {finished:,} finished job(s)")
        if bounded:
            parts.append(f"at most {duration(limits)} from the time limits of {', '.join(bounded)}")
        if not parts:
            return f"Time left: no job of {', '.join(unknown)} has finished yet."
        side = f"{most} jobs side by side, as in the last minutes" if most > 1 else "one job at a time"
        text = f"Time left: {', and '.join(parts)}; with {side}."
        if unknown:
            text += f" Without {', '.join(unknown)}, of which no job has finished yet."
        if any(stage.jobs["running"] for stage in left):
            text += " Running jobs count as if they had not begun."
        if any(stage.jobs["failed"] for stage in left):
            text += " Failed jobs count as to do."
        return text


def progress(plan: Plan, results: Path, snakemake: Path = Path(".snakemake"), now: float | None = None) -> Progress:
    """Find out how far a study is.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results, as the rules call it.
    snakemake : Path
        Snakemake's own folder.
    now : float, optional
        Seconds since 1970.

    Returns
    -------
    Progress
        The progress; its `str` is for people.
    """
    now = time.time() if now is None else now
    # The log is read before the sidecars, so that a job that ends in between is found done and not lost.
    last = _last_of_history(results)
    run = newest_run(snakemake, results, datetime.fromisoformat(last.start["time"]).timestamp() if last else 0.0)
    forecast = Forecast(plan, results)
    stages: dict[str, StageProgress] = {}
    jobs = []
    for name, artefacts in plan.jobs().items():
        job = _job(name, artefacts, results, run, now)
        jobs.append(job)
        account = stages.setdefault(job.stage, StageProgress(job.stage))
        account.jobs[job.state] += 1
        files = {place for one in artefacts for place in (results / one.path, sidecar_path(results / one.path))}
        account.disk += sum(map(_bytes, files))
        if job.state == "done":
            account.seconds += benchmark_seconds(results / f"benchmarks/{name}.tsv")
        else:
            needs = forecast.needs(artefacts[0])
            account.limits += 60 * needs.minutes if needs else 0
    remarks = about_accuracies(plan, results)
    unlogged = _unlogged(last, results) if last and not run else []
    return Progress(plan.study.name, list(stages.values()), jobs, run, now, remarks, unlogged)


def _unlogged(last: PastRun, results: Path) -> list[str]:
    """Say what the history has of a run of which there is no log."""
    ended = how_it_ended(last, is_running(results))
    said = f"No log of Snakemake names a job of the last run (with --quiet, none does). It {ended}"
    return [*wrapped(said), *wrapped(last.start["command"], "  ")]


def _job(name: str, artefacts: Sequence[Artefact], results: Path, run: Run | None, now: float) -> JobProgress:
    stage = artefacts[0].step.stage
    log = results / f"logs/{name}.log"

    def is_(state: str, remark: str = "") -> JobProgress:
        return JobProgress(name, stage, state, log, remark)

    if all(is_made(results / artefact.path, artefact.step) for artefact in artefacts):
        return is_("done")
    written = _written(log)
    said = run.states.get(name) if run else None
    if run and said == "started" and run.going(now):
        return is_("running")
    # If a job has written after the end of Snakemake's log, it belongs to a run that keeps no such log (--quiet).
    later = written > (run.written if run else 0.0)
    end = _end(log)
    if said == "failed" and not later and end != "interrupted":
        return is_("failed", "" if end == "error" else KILLED)
    if not written or _written(results / f"benchmarks/{name}.tsv") >= written:
        # The log is that of a job that succeeded when the study had other settings.
        return is_("to do")
    if end == "error":
        return is_("failed", "its log says so; Snakemake's newest log does not name it")
    if later and now - written < QUIET:
        return is_("running", "perhaps: only its log says so")
    return is_("to do")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def _end(log: Path) -> str:
    """Say how a log ends: `error` (of `sat.__main__` or Python), `interrupted` (by Ctrl-C), or empty for neither."""
    lines = _last_lines(log)
    if lines and lines[-1].startswith("KeyboardInterrupt"):
        return "interrupted"
    errors = [number for number, line in enumerate(lines) if line.startswith(("Error: ", "Traceback (most recent"))]
    # If an error was only reported, log lines follow, which begin with the time of day.
    if not errors or any(re.match(r"\d\d:\d\d:\d\d ", line) for line in lines[errors[-1] :]):
        return ""
    return "error"
