"""Compare the mean SAT within groups of models with that of all pairs."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, log, start
from sat.cli.outputs import write_figure


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

    from sat.analysis.groups import group_means
    from sat.cli.outputs import read_user_matrix
    from sat.report.figures_analyses import groups_figure
    from sat.store.tables import read_matrix, write_tables

    job = start(arguments)
    params = job.step.params
    matrix = read_matrix(job.input("sat", arguments.sat))
    other = read_user_matrix(arguments.compare_to, params["compare_to"]) if arguments.compare_to else None
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
    write_figure(job, arguments.figure, groups_figure(table))
