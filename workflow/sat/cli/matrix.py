"""Take a SAT matrix that is there already."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--matrix", required=True, help="CSV file: model names as header and first column")
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")


def run(arguments: argparse.Namespace) -> None:
    """Check the matrix and write it, models sorted."""
    from sat.analysis.reference import check_matrix
    from sat.errors import SatError
    from sat.store.artefact import file_digest, replacing
    from sat.store.tables import read_table

    job = start(arguments)
    digest = file_digest(arguments.matrix)
    if digest != job.step.params["sha256"]:
        raise SatError(f"{arguments.matrix}: has changed since Snakemake started; run it again.")
    frame = read_table(arguments.matrix)
    matrix = frame.set_index(frame.columns[0]).rename_axis(None)
    names = job.step.params["models"]
    faults = check_matrix(matrix, names)
    if faults:
        raise SatError(f"{arguments.matrix}: is no SAT matrix: {'; '.join(faults)}.")
    with replacing(arguments.sat) as temporary:
        matrix.loc[names, names].rename_axis("model").reset_index().to_csv(temporary, index=False)
    log.info("%d models", len(names))
    job.finish(arguments.sat, n_models=len(names), source_sha256=digest)
