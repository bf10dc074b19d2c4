"""Take a SAT matrix that exists already."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--matrix", required=True, help="CSV file: model names as header and first column")
    parser.add_argument("--out", required=True, help="similarity/sat.csv")


def run(arguments: argparse.Namespace) -> None:
    """Check the matrix, and write it with sorted models."""
    from sat.similarity.user_matrix import read_user_matrix
    from sat.store.tables import write_tables

    job = start(arguments)
    names = job.step.params["models"]
    matrix = read_user_matrix(arguments.matrix, job.step.params["sha256"], names)
    table = matrix.loc[names, names].rename_axis("model").reset_index()
    log.info("%d models", len(names))
    write_tables(job, {arguments.out: table}, n_models=len(names), source_sha256=job.step.params["sha256"])
