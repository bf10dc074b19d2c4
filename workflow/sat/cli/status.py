"""Say how far a study is: what is done, runs, has failed or is to do, and about how long it takes."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the progress; only small files are read."""
    from sat.cli.tools import results_folder, study_of
    from sat.report.progress import progress
    from sat.store.registry import registered
    from sat.study.plan import Plan

    study = study_of(arguments)
    results = results_folder(study)
    print(progress(Plan(study, registered(results)), results))
