"""Fit SAT to components that were given to other models: what importances chance alone makes."""

from __future__ import annotations

import argparse

from sat.stages.common import add_step, log, progress, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--out", required=True, help="analysis/components_null.csv")


def run(arguments: argparse.Namespace) -> None:
    """Permute and fit, a permutation at a time."""
    import pandas as pd

    from sat.analyses.components.importance import null_fits, pair_data
    from sat.store.tables import read_matrix, write_tables

    job = start(arguments)
    params = job.step.params
    matrix = read_matrix(job.input("sat", arguments.sat))
    try:
        data = pair_data(matrix, pd.DataFrame.from_dict(params["components"], orient="index"), seed=params["seed"])
    except ValueError as error:
        log.warning("no regression: %s", error)
        write_tables(job, {arguments.out: pd.DataFrame(columns=["permutation", "r2"])}, reason=str(error))
        return
    fits = [
        null_fits(data, [number], params["preset"], params["seed"])
        for number in progress(range(params["permutations"]), "permutations")
    ]
    write_tables(job, {arguments.out: pd.concat(fits, ignore_index=True)})
