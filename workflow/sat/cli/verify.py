"""Compare every result with the study, and say how to repair it."""

from __future__ import annotations

import argparse
import shlex

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--full", action="store_true", help="hash every file whole, which also finds bit rot")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings and the command that repairs them; the status is 1 if there are any."""
    from sat.cli.tools import DEFAULT, existing_results, plan_of, study_of
    from sat.status.verify import verify

    study = study_of(arguments)
    plan, results = plan_of(study), existing_results(arguments, study)
    total = len(plan.artefacts())
    findings = list(verify(plan, results, arguments.full))
    for finding in findings:
        print(f"{finding.kind:<11}{finding.path}: {finding.reason}")
    if not findings:
        print(f"{total} artefacts of {results}: all are as the study asks.")
        return 0
    present = [finding.path for finding in findings if finding.kind != "missing"]
    print(f"\n{len(findings)} of {total} artefacts of {results} are not as the study asks. To repair:")
    configfile = [] if arguments.study == DEFAULT else ["--configfile", *arguments.study]
    overrides = ["--config", *arguments.config] if arguments.config else []
    again = ["--forcerun", *map(str, present)] if present else []
    print(f"  {shlex.join(['snakemake', '--cores', 'all', *configfile, *overrides, *again])}")
    return 1
