"""Say in words which runs made a study's results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sat.store.history import FAILED, FINISHED, STOPPED, PastRun, read_history
from sat.store.runs import is_running
from sat.text import duration, wrapped

PACKAGES = ("snakemake", "torch", "timm", "numpy")


def tell_history(results: Path) -> str:
    """List the runs of a study in words, the newest last.

    Parameters
    ----------
    results : Path
        Folder of the study's results.

    Returns
    -------
    str
        Lines of at most 80 columns.

    Raises
    ------
    SatError
        If there is no history.
    """
    runs = read_history(results)
    at_work = is_running(results)
    blocks = []
    for number, run in enumerate(runs, 1):
        last = number == len(runs)
        blocks.append("\n".join(_lines(number, run, at_work and last)))
    return "\n\n".join(blocks)


def _lines(number: int, run: PastRun, at_work: bool) -> Iterator[str]:
    start = run.start
    machine, devices, git = start["machine"], start["devices"], start["git"]
    began = datetime.fromisoformat(start["time"])
    yield from wrapped(f"{began:%Y-%m-%d %H:%M:%S} UTC: {how_it_ended(run, at_work)}", f"{number}. ", "   ")
    yield from _paragraph("command", start["command"])
    if joined := start.get("joined"):
        yield from _paragraph("of study", f"{joined['study']}, joined from {joined['archive']}")
    gpus = ", ".join(devices["gpus"]) or "no GPU"
    yield from _paragraph("on", f"{machine['host']}, {machine['cpu']}, {devices['cpus']} CPUs, {gpus}")
    code = f"commit {git['commit']}" if git["commit"] else "no git repository"
    yield from _paragraph("code", code + (", with uncommitted changes" if git["dirty"] else ""))
    versions = {name: start["packages"][name] for name in PACKAGES if name in start["packages"]}
    software = {"python": start["python"], **versions}
    yield from _paragraph("software", ", ".join(f"{name} {version}" for name, version in software.items()))
    for head, words in what_ran(run):
        yield from _paragraph(head, words)


def how_it_ended(run: PastRun, at_work: bool) -> str:
    """Say how a run ended, and after which time."""
    if run.end is None:
        return "is at work." if at_work else "did not end. It was killed, or its host failed."
    took = datetime.fromisoformat(run.end["time"]) - datetime.fromisoformat(run.start["time"])
    words = {FINISHED: "finished", FAILED: "failed", STOPPED: "was stopped"}
    return f"{words[run.end['how']]} after {duration(took.total_seconds())}."


def what_ran(run: PastRun) -> Iterator[tuple[str, str]]:
    """Say what a run did, under a word for each part."""
    planned = sum(run.start["planned"].values())
    if run.end is None:
        yield "planned", f"{_jobs(planned)}: {_counts(run.start['planned'])}"
        return
    ran = run.end["ran"]
    yield "ran", f"{sum(ran.values())} of {_jobs(planned)}" + (f": {_counts(ran)}" if ran else "")
    if run.end["failed"]:
        yield "failed", _counts(run.end["failed"])


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _counts(jobs: Mapping[str, Any]) -> str:
    return ", ".join(f"{count} {rule}" for rule, count in sorted(jobs.items(), key=lambda each: (-each[1], each[0])))


def _paragraph(head: str, words: str) -> list[str]:
    return wrapped(words, f"   {head:<10}", " " * 13)
