"""Compare the study's matrix with another one."""

from __future__ import annotations

import argparse

from sat.cli.outputs import write_figure
from sat.stages.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--reference", required=True, help="another SAT matrix")
    parser.add_argument("--table", required=True, help="analysis/reference.csv")
    parser.add_argument("--pairs", required=True, help="analysis/reference_pairs.csv")
    parser.add_argument("--figure", required=True, help="figures/reference.svg")


def run(arguments: argparse.Namespace) -> None:
    """Join by name, correlate, list the worst pairs."""
    from sat.analyses.reference.comparison import compare
    from sat.analyses.reference.figure import reference_figure
    from sat.errors import SatError
    from sat.similarity.user_matrix import read_user_matrix
    from sat.store.provenance import differences, read_settings
    from sat.store.tables import read_matrix, write_tables

    job = start(arguments)
    params = job.step.params
    matrix = read_matrix(job.input("sat", arguments.sat))
    reference = read_user_matrix(arguments.reference, params["sha256"])
    native = set(params["native"])
    groups = {
        "native at the canvas size": params["native"],
        "other sizes": [model for model in matrix.index if model not in native],
    }
    if params["listed"]:
        groups["listed"] = params["listed"]
    for word in sorted(set(params["checkpoints"].values())):
        groups[f"checkpoint {word}"] = [model for model, value in params["checkpoints"].items() if value == word]
    try:
        found = compare(matrix, reference, params["names"], groups, seed=params["seed"])
    except ValueError as error:
        raise SatError(f"{arguments.reference}: {error}.") from None
    if found.unmatched:
        log.warning("not in the reference: %s", ", ".join(found.unmatched))
    ours, theirs = read_settings(arguments.sat), read_settings(arguments.reference)
    other = differences(ours, theirs) if ours and theirs else None
    settings = "settings not known" if other is None else "; ".join(other) or "the same images and attack"
    log.info("against %s: %s", arguments.reference, settings)
    facts = {"unmatched": found.unmatched, "settings": settings}
    write_tables(job, {arguments.table: found.table, arguments.pairs: found.pairs}, **facts)
    write_figure(job, arguments.figure, reference_figure(found.pairs, found.table, settings), **facts)
