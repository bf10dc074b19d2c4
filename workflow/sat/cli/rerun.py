"""Run one result's job again in a temporary folder, and compare."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.study.plan import Artefact, Plan

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument(
        "artefact", metavar="ARTEFACT", help="path of a result, such as results/digits/analysis/groups.csv"
    )
    add_study(parser, positional=False)
    parser.add_argument("--keep", metavar="FOLDER", help="folder to write to; the files there are kept")
    parser.epilog = "Under a debugger: python -m pdb -m sat rerun ARTEFACT, or breakpoint() in the code."


def run(arguments: argparse.Namespace) -> int:
    """Run the job in this process; the status is 1 if a result differs from the existing one."""
    from tempfile import TemporaryDirectory

    from sat.cli.tools import plan_of, results_folder, study_of

    study = study_of(arguments)
    plan, results = plan_of(study), results_folder(study)
    artefact = _find(plan, results, arguments.artefact)
    made = plan.jobs()[artefact.job]
    if arguments.keep:
        return _run(plan, results, made, Path(arguments.keep))
    with TemporaryDirectory(prefix="sat-rerun-") as folder:
        return _run(plan, results, made, Path(folder))


def _find(plan: Plan, results: Path, path: str) -> Artefact:
    from sat.errors import SatError
    from sat.study.spelling import closest

    # A sidecar stands for its artefact; a gate and study.json are their own sidecars.
    name = path.removeprefix(f"{results}/").removesuffix(".json")
    artefacts = plan.artefacts()
    found = artefacts.get(name) or artefacts.get(f"{name}.json")
    if not found:
        near = closest(name, artefacts)
        meant = f" Did you mean {' or '.join(str(results / word) for word in near)}?" if near else ""
        raise SatError(f"{path}: is not a result of study {plan.study.name}.{meant}")
    return found


def _run(plan: Plan, results: Path, made: list[Artefact], folder: Path) -> int:
    """Make the job's artefacts in a folder and compare them; the status is 1 if any is not the same."""
    outputs = make_again(plan, results, made, folder)
    same = [_compare(results / artefact.path, path) for artefact, path in zip(made, outputs, strict=True)]
    return 0 if all(same) else 1


def make_again(plan: Plan, results: Path, made: list[Artefact], folder: Path) -> list[Path]:
    """Make a job's artefacts in this process, in a folder, from the study's results.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    made : list of Artefact
        All artefacts of the job.
    folder : Path
        Folder to write to.

    Returns
    -------
    list of Path
        The artefacts that were made.

    Raises
    ------
    SatError
        If an input is missing, or the job finds a mistake.
    """
    import importlib

    from sat.cli.jobs import call_of, parser_of
    from sat.study.code import COPIES, FOLDER
    from sat.study.lock import RUNNER

    call = call_of(plan, results, made, folder)
    # Nets of code files are made from the copy in the results.
    os.environ[COPIES] = str(results / FOLDER)
    if call.command == RUNNER:
        from sat.stages.analysis import analyse
        from sat.store.artefact import Job

        analyse(Job(made[0].step), list(map(str, call.inputs)), list(map(str, call.outputs)), call.files)
    else:
        parsed = parser_of(call.command).parse_args(call.words)
        parsed.step = made[0].json
        importlib.import_module(f"sat.stages.{call.command}").run(parsed)
    return list(call.outputs)


def _compare(before: Path, now: Path) -> bool:
    """Print whether two artefacts have the same content, and return it."""
    from sat.status.agreement import compare

    if not before.exists():
        print(f"{now}: made; there is no {before} to compare it with")
        return True
    found = compare(before, now)
    print(f"{before}: " + ("the same" if found.same else f"not the same as {now} ({found.words})"))
    return found.same
