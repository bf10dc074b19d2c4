"""Compare the mean SAT within groups of models with that of all pairs."""

from __future__ import annotations

import argparse

from sat.cli.outputs import write_figure
from sat.stages.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--compare-to", nargs="?", const="", default="", help="another SAT matrix")
    parser.add_argument("--groups", required=True, help="analysis/groups.csv")
    parser.add_argument("--figure", required=True, help="figures/groups.svg")


def run(arguments: argparse.Namespace) -> None:
    """Average within the groups of every column."""
    import pandas as pd

    from sat.analyses.groups.figure import groups_figure
    from sat.analyses.groups.means import group_means
    from sat.errors import SatError
    from sat.similarity.user_matrix import read_user_matrix
    from sat.store.provenance import differences, read_settings
    from sat.store.tables import read_matrix, write_tables

    job = start(arguments)
    params = job.step.params
    matrix = read_matrix(job.input("sat", arguments.sat))
    other, known = None, False
    if arguments.compare_to:
        other = read_user_matrix(arguments.compare_to, params["compare_to"])
        ours, theirs = read_settings(arguments.sat), read_settings(arguments.compare_to)
        known = bool(ours and theirs)
        if ours and theirs and (faults := differences(ours, theirs)):
            raise SatError(
                f"key 'compare_to': {arguments.compare_to} was measured with {'; '.join(faults)}, so its mean says "
                "nothing beside this study's. Name a study of the same images and attack, or use 'reference', which "
                "compares pair by pair."
            )
    tables = []
    for column, groups in params["groups"].items():
        found = group_means(
            matrix, pd.Series(groups), confidence=params["confidence"], seed=params["seed"], compare=other
        )
        tables.append(found.assign(column=column))
        log.info("%s: %d groups", column, int((found["kind"] == "group").sum()))
    table = pd.concat(tables, ignore_index=True)
    table.insert(0, "column", table.pop("column"))
    write_tables(job, {arguments.groups: table})
    write_figure(job, arguments.figure, groups_figure(table, known))
