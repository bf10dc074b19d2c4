"""Make some results again in a temporary folder, and compare."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.status.agreement import Agreement
    from sat.study.plan import Artefact, Plan

GROUP = "Trust them"
THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
"""Libraries whose number of threads Snakemake sets in the environment of its jobs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study
    from sat.status.agreement import TOLERANCES

    add_study(parser)
    parser.add_argument("--sample", type=int, default=1, metavar="K", help="jobs of each stage (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: 0)")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="only these stages")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="device to compute on (default: the recorded one)")
    parser.add_argument("--keep", metavar="FOLDER", help="folder to write to; the files there are kept")
    parser.epilog = (
        "Nothing is written into the results. On the same builds, type of CPU, device and threads, every byte is "
        f"compared. Elsewhere these tolerances hold: {TOLERANCES}."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the jobs of the sample one after another; the status is 1 if a result differs or could not be made."""
    from tempfile import TemporaryDirectory

    from sat.cli.calls import CLONE
    from sat.cli.tools import existing_results, plan_of, study_of
    from sat.errors import SatError
    from sat.store.environment import export_git
    from sat.study.code import check_consent

    if arguments.sample < 1:
        raise SatError(f"--sample {arguments.sample}: write the number of jobs of each stage, 1 or more.")
    export_git(CLONE)
    study = study_of(arguments)
    check_consent(study.own, study.code)
    plan, results = plan_of(study), existing_results(arguments, study)
    if arguments.keep:
        return _reproduce(plan, results, Path(arguments.keep), arguments)
    with TemporaryDirectory(prefix="sat-reproduce-") as folder:
        return _reproduce(plan, results, Path(folder), arguments)


def sample(
    plan: Plan, results: Path, count: int, seed: int, stages: Sequence[str] | None = None
) -> dict[str, list[list[Artefact]]]:
    """Choose jobs of each stage whose results are there, as the study asks for them.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    count : int
        Largest number of jobs of a stage.
    seed : int
        The same seed chooses the same jobs.
    stages : sequence of str, optional
        All by default.

    Returns
    -------
    dict of str to list of list of Artefact
        What each job makes, by stage, in the order of the flow.

    Raises
    ------
    SatError
        If the study has no such stage.
    """
    from random import Random

    from sat.errors import SatError
    from sat.store.artefact import is_made
    from sat.study.spelling import did_you_mean

    jobs: dict[str, list[list[Artefact]]] = {}
    for made in plan.jobs().values():
        jobs.setdefault(made[0].step.stage, []).append(made)
    if unknown := [name for name in stages or () if name not in jobs]:
        those = did_you_mean(unknown[0], jobs, f"it has {', '.join(jobs)}.")
        raise SatError(f"--stages {unknown[0]}: study {plan.study.name} has no such stage; {those}")
    chosen: dict[str, list[list[Artefact]]] = {}
    for stage in stages or jobs:
        chosen[stage] = []
        for made in Random(f"{seed} {stage}").sample(jobs[stage], len(jobs[stage])):
            if len(chosen[stage]) < count and all(is_made(results / one.path, one.step) for one in made):
                chosen[stage].append(made)
    return chosen


def _reproduce(plan: Plan, results: Path, folder: Path, arguments: argparse.Namespace) -> int:
    from sat.logs import progress
    from sat.store.artefact import read_sidecar
    from sat.text import duration, wrapped

    chosen = sample(plan, results, arguments.sample, arguments.seed, arguments.stages)
    jobs = [made for stage in chosen.values() for made in stage]
    seconds = sum(read_sidecar(results / made[0].path).get("seconds", 0) for made in jobs)
    print(
        "\n".join(
            wrapped(
                f"Study {plan.study.name}: {len(jobs)} jobs of {len(chosen)} stages are made again (sample "
                f"{arguments.sample}, seed {arguments.seed}). They took {duration(seconds)} when they were made, "
                "without the start of Python."
            )
        ),
        flush=True,
    )
    failed, done = False, iter(progress(jobs, "reproduce"))
    for stage, sampled in chosen.items():
        found: dict[str, Agreement] = {}
        elsewhere: list[str] = []
        for _ in sampled:
            made = next(done)
            found |= dict(_again(plan, results, made, folder, arguments.device, elsewhere))
        print("\n".join(_about(stage, found, elsewhere)), flush=True)
        failed |= any(one.level == "apart" for one in found.values())
    next(done, None)
    return 1 if failed else 0


def _again(
    plan: Plan, results: Path, made: list[Artefact], folder: Path, device: str | None, elsewhere: list[str]
) -> Iterator[tuple[str, Agreement]]:
    """Run one job, and compare each of its results."""
    from sat.cli.jobs import call_of
    from sat.status.agreement import Agreement, circumstances, compare, compare_elsewhere
    from sat.store.artefact import read_sidecar

    recorded = read_sidecar(results / made[0].path)["run"]
    call = call_of(plan, results, made, folder, {**recorded, **({"device": device} if device else {})})
    error = _run(call.command, call.words, call.given, results, folder, int(recorded.get("threads", 1)))
    for artefact, now in zip(made, call.outputs, strict=True):
        before = results / artefact.path
        if error or not now.exists():
            yield str(before), Agreement("apart", f"could not be made again: {error or 'the job wrote nothing'}")
            continue
        other = circumstances(read_sidecar(before), read_sidecar(now))
        elsewhere += [words for words in other if words not in elsewhere]
        yield str(before), compare_elsewhere(before, now) if other else compare(before, now)


def _run(command: str, words: Sequence[str], given: str, results: Path, folder: Path, threads: int) -> str:
    """Run a stage's command as its rule does, in a process of its own; return why it failed, or nothing."""
    import shlex
    import subprocess
    import sys

    from sat.cli.calls import CLONE
    from sat.study.code import CONSENT, COPIES, FOLDER, consents

    prepare = [f"{CLONE}/workflow/rules/job.sh", str(folder / ".jobs.lock"), str(Path(sys.executable).parent)]
    prepare += [f"{COPIES}={results / FOLDER}", *([f"{CONSENT}=1"] if consents() else [])]
    prepare += [f"{library}_NUM_THREADS={threads}" for library in THREADS]
    text = f". {shlex.join(prepare)}\nexec python -m sat {shlex.join([command, *words])}"
    done = subprocess.run(["bash", "-c", text], input=given, capture_output=True, text=True, check=False)
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return (errors or lines or [f"the job ended with status {done.returncode}"])[-1]


def _about(stage: str, found: Mapping[str, Agreement], elsewhere: Sequence[str]) -> list[str]:
    """Say in one line how a stage came out, and then what differs."""
    from sat.text import wrapped

    total = len(found)
    if not total:
        return wrapped(f"{stage}: not compared, since no result is there as the study asks ('sat verify')", "", "  ")
    levels = [one.level for one in found.values()]
    if all(level == "bytes" for level in levels):
        words = f"{total} of {total} the same, byte for byte"
    elif all(one.same for one in found.values()):
        more = {one.words for one in found.values() if one.words}
        words = f"{total} of {total} the same in every value, though packed in another way"
        words += f" ({'; '.join(sorted(more))})" if more else ""
    else:
        same = sum(one.same for one in found.values())
        parts = [f"{same} of {total} the same"] if same or not elsewhere else []
        near, unsure, apart = levels.count("near"), levels.count("open"), levels.count("apart")
        parts += [f"{near} of {total} within the tolerances"] * bool(near)
        parts += [f"{unsure} of {total} not compared"] * bool(unsure)
        parts += [f"{apart} of {total} {'DIFFERS' if apart == 1 else 'DIFFER'}"] * bool(apart)
        words = ", ".join(parts)
    lines = wrapped(f"{stage}: {words}", "", "  ")
    if elsewhere and not all(one.same for one in found.values()):
        lines += wrapped(f"made elsewhere: {'; '.join(elsewhere)}", "  ", "    ")
    for path, one in found.items():
        if not one.same and one.level != "open":
            lines += wrapped(f"{path}: {one.words}", "  ", "    ")
    if "apart" in levels:
        lines += wrapped(_about_code([path for path, one in found.items() if one.level == "apart"]), "  ", "    ")
    return lines


def _about_code(paths: Sequence[str]) -> str:
    """Name the commits of the code where they are known and differ: code whose results mean the same may write more."""
    import os

    from sat.store.artefact import read_sidecar
    from sat.store.environment import COMMIT

    before = {commit for path in paths if (commit := (read_sidecar(path).get("git") or {}).get("commit"))}
    now = os.environ.get(COMMIT)
    if not now or not before - {now}:
        return ""
    return f"made by the code of commit {', '.join(sorted(commit[:12] for commit in before))}; this is {now[:12]}"
