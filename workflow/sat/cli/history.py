"""Say what ran when, with which code, on which machine."""

from __future__ import annotations

import argparse

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.epilog = "A run that found nothing to do is not listed. It reads results/<study>/provenance/history.jsonl."


def run(arguments: argparse.Namespace) -> None:
    """Print the runs, the newest last."""
    from sat.cli.tools import existing_results, study_of
    from sat.status.history import tell_history

    print(tell_history(existing_results(arguments, study_of(arguments))))
