"""Show how far a study is: jobs done, running, failed; time left."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

GROUP = "Run it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the progress."""
    from sat.cli.tools import existing_results, study_of
    from sat.status.progress import progress
    from sat.study.plan import Plan

    study = study_of(arguments)
    results = existing_results(arguments, study)
    print(progress(Plan(study, _registered(results)), results))


def _registered(results: Path) -> dict[str, str]:
    """Digests of the user's own files as Snakemake last found them, since hashing checkpoints would take minutes."""
    from sat.store.user_files import REGISTRY

    try:
        entries = json.loads((results / REGISTRY).read_text(encoding="utf-8"))
        return {name: entry["sha256"] for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
