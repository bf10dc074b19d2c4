"""Read an existing SAT matrix."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--matrix", required=True, help="CSV file: model names as header and first column")
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--affinity", required=True, help="similarity/affinity.csv")


def run(arguments: argparse.Namespace) -> None:
    """Check the matrix, and write it with sorted models."""
    from sat.similarity.affinity import fit_affinity, log_odds_of_sat
    from sat.similarity.user_matrix import read_user_matrix
    from sat.store.tables import write_tables

    job = start(arguments)
    names = job.step.params["models"]
    matrix = read_user_matrix(arguments.matrix, job.step.params["sha256"], names)
    matrix = matrix.loc[names, names].astype(float)
    affinity = fit_affinity(log_odds_of_sat(matrix))
    if affinity.reason:
        log.warning("no affinity: %s", affinity.reason)
    log.info("%d models", len(names))
    tables = {
        path: table.rename_axis("model").reset_index()
        for path, table in ((arguments.sat, matrix), (arguments.affinity, affinity.matrix))
    }
    facts = {"n_models": len(names), "source_sha256": job.step.params["sha256"], "no_affinity": affinity.reason}
    write_tables(job, tables, **facts)
