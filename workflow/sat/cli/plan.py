"""Show what would run and why, and what time and memory it takes."""

from __future__ import annotations

import argparse

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the plan."""
    from sat.cli.tools import plan_of, results_folder, study_of
    from sat.status.outlook import outlook

    study = study_of(arguments)
    print(outlook(plan_of(study), results_folder(study)))
