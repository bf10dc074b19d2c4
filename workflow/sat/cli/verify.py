"""Check every result against the study, and show how to repair it."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument(
        "--full", action="store_true", help="hash the whole content of every file, which also finds bit rot"
    )
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="hash the whole content of every file, and accept sidecars of earlier versions, which have no digest of "
        "themselves",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings and the command that repairs them; the status is 1 if there are any."""
    from sat.cli.tools import existing_results, plan_of, study_of
    from sat.sharing.contents import not_travelled
    from sat.status.verify import adopt, changed_code, earlier_formats, left_behind, verify

    study = study_of(arguments)
    plan, results = plan_of(study), existing_results(arguments, study)
    total = len(plan.artefacts())
    known: dict[str, Mapping[str, Any]] = {}
    elsewhere = not_travelled(plan, results)
    findings = list(verify(plan, results, arguments.full or arguments.adopt, known, elsewhere))
    for finding in findings:
        print(f"{finding.kind:<11}{finding.path}: {finding.reason}")
    if not findings:
        here = f"{total - len(elsewhere)} of {total}" if elsewhere else total
        print(f"{here} artefacts of {results}: all are as the study asks.")
    else:
        print(f"\n{len(findings)} of {total} artefacts of {results} are not as the study asks. To repair:")
        again = [str(finding.path) for finding in findings if finding.kind != "missing"]
        print(f"  {_repair(arguments, again, bool(study.own))}")
    if elsewhere:
        print(f"\n{len(elsewhere)} did not come with the archive of this study. 'sat restore' makes them again.")
    changed = changed_code(plan, results)
    for folder in changed:
        print(f"\n{folder}: has been changed. Delete the folder; the next run copies it again.")
    if leftovers := left_behind(results):
        print(f"\n{len(leftovers)} file(s) of jobs that were killed. If nothing is running, delete them:")
        print(f"  {shlex.join(['rm', *map(str, leftovers)])}")
    if arguments.adopt:
        print(f"\n{len(adopt(known, findings))} sidecar(s) of earlier versions now have a digest of themselves.")
    elif count := len(earlier_formats(known)):
        print(
            f"\n{count} sidecar(s) were written by an earlier version, so changes to them cannot be found. "
            "'sat verify --adopt' hashes every file and accepts them."
        )
    return 1 if findings or changed else 0


def _repair(arguments: argparse.Namespace, present: list[str], foreign: bool) -> str:
    """The command that makes the results again that are there but not as they should be, and those that are missing."""
    from sat.cli.calls import CLONE
    from sat.cli.tools import DEFAULT
    from sat.study.code import KEY

    snakefile = [] if Path("Snakefile").exists() else ["-s", str(CLONE / "Snakefile")]
    configfile = [] if arguments.study == DEFAULT else ["--configfile", *arguments.study]
    settings = dict.fromkeys([*arguments.config, *([f"{KEY}=true"] if foreign else [])])
    overrides = ["--config", *settings] if settings else []
    again = ["--forcerun", *present] if present else []
    return shlex.join(["snakemake", *snakefile, "--cores", "all", *configfile, *overrides, *again])
