"""Say how much of SAT goes with attack strength and accuracy."""

from __future__ import annotations

import argparse

from sat.stages.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--models", required=True, help="similarity/models.csv")
    parser.add_argument("--caveats", required=True, help="analysis/caveats.csv")


def run(arguments: argparse.Namespace) -> None:
    """Correlate, and warn."""
    from sat.analyses.caveats.confounders import caveats
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    matrix = read_matrix(job.input("sat", arguments.sat))
    models = read_table(job.input("models", arguments.models)).set_index("model")
    table = caveats(matrix, models["whitebox"].to_dict(), models["accuracy"].to_dict())
    for warning in (warnings := [text for text in table["warning"] if text]):
        log.warning(warning)
    write_tables(job, {arguments.caveats: table}, warnings=warnings)
