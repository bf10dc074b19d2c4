"""Make what an imported study lacks; keep what is the same."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.study.plan import Artefact, Plan

GROUP = "Share them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_parts, add_study

    add_study(parser)
    add_parts(parser, "images,weights", "what to make")
    parser.epilog = (
        "Images elsewhere than the study says: --config 'images={root: /data/val}'. What is kept keeps its sidecar, so "
        "nothing else is made again."
    )


def run(arguments: argparse.Namespace) -> int:
    """Make each missing file in a temporary folder; the status is 1 if one could not be kept."""
    from sat.cli.tools import existing_results, parts_of, plan_of, study_of
    from sat.errors import SatError, printable
    from sat.sharing.contents import not_travelled, part_of
    from sat.store.runs import hold_run

    parts = parts_of(arguments)
    study = study_of(arguments)
    results, plan = existing_results(arguments, study), plan_of(study)
    hold_run(results)
    failed = kept = 0
    for artefact in not_travelled(plan, results).values():
        if part_of(artefact.step.stage) not in parts:
            continue
        try:
            print(_restored(plan, results, artefact))
            kept += 1
        except SatError as error:
            failed += 1
            print(printable(str(error)))
    missing = not_travelled(plan, results)
    print(f"{results}: {kept} files restored" + (f", {len(missing)} still missing" if missing else "; none is missing"))
    return 1 if failed else 0


def _restored(plan: Plan, results: Path, artefact: Artefact) -> str:
    """Make an artefact, put it in its place if it is what its sidecar says, and tell so.

    Raises
    ------
    SatError
        If it is another one, or cannot be made.
    """
    import os
    from tempfile import TemporaryDirectory

    from sat.cli.rerun import make_again
    from sat.errors import SatError
    from sat.store.artefact import read_sidecar, sidecar_path
    from sat.store.files import TEMPORARY

    path = results / artefact.path
    before = read_sidecar(path)
    with TemporaryDirectory(prefix=".restore-", suffix=TEMPORARY, dir=results) as folder:
        made = make_again(plan, results, plan.jobs()[artefact.job], Path(folder))[0]
        now = read_sidecar(made)
        key = "content_sha256" if "content_sha256" in before else "sha256"
        if now[key] != before[key]:
            raise SatError(
                f"{path}: is another one here (digest {now[key][:16]} instead of {before[key][:16]}), so it was not "
                f"kept. {_advice(plan, artefact)}"
            )
        if now["sha256"] != before["sha256"]:
            # The same arrays in another compression: the sidecar of these bytes, with the time of the old one.
            times = sidecar_path(path).stat()
            os.utime(sidecar_path(made), ns=(times.st_atime_ns, times.st_mtime_ns))
            sidecar_path(made).replace(sidecar_path(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        made.replace(path)
    return f"{path}: the same, and kept"


def _advice(plan: Plan, artefact: Artefact) -> str:
    """What to do about a file that was made otherwise."""
    match artefact.step.stage:
        case "images":
            where = f" at {plan.study.files['images.root']}" if "images.root" in plan.study.files else ""
            return (
                f"The data set{where} has other images than the study's, or other names of them. Bring the same "
                "one, or ask for an archive --with images."
            )
        case "hub":
            return "The hub has other weights under this name by now; ask for an archive --with weights."
        case "checkpoint" | "code":
            return "It is made from another file than the study's; ask for an archive --with weights."
    return "On another type of processor, the last bits differ; ask for an archive with it."
