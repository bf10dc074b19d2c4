"""Check a study, then call snakemake for it and show the call.

The study is handed to Snakemake as JSON, because Snakemake runs code in YAML files.
Its jobs are the same as with: snakemake -s CLONE/Snakefile --configfile STUDY
Results lie in results/<study>/ of the folder of the call.
"""

from __future__ import annotations

import argparse

GROUP = "Run it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.set_defaults(passed_on=[])
    parser.epilog = "All other options are passed on to snakemake: sat run study.yaml --cores 2 --dry-run"


def run(arguments: argparse.Namespace) -> None:
    """Check the study, and become Snakemake."""
    from sat.cli.calls import call_snakemake

    call_snakemake(arguments)
