"""Say how far the matrix depends on the attack and its settings."""

from __future__ import annotations

import argparse

from sat.cli.outputs import write_figure
from sat.stages.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--sat", required=True, nargs="+", help="similarity/sat.csv of the study and of its variants")
    parser.add_argument("--models", required=True, nargs="+", help="similarity/models.csv, likewise")
    parser.add_argument("--table", required=True, help="analysis/ablation.csv")
    parser.add_argument("--pairs", required=True, help="analysis/ablation_pairs.csv")
    parser.add_argument("--figure", required=True, help="figures/ablation.svg")


def run(arguments: argparse.Namespace) -> None:
    """Compare the matrix of every variant with the study's, and with each other."""
    import pandas as pd

    from sat.analyses.ablation.agreement import ablation_pairs, ablation_table
    from sat.analyses.ablation.figure import ablation_figure
    from sat.store import hdf5
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    params = job.step.params
    with hdf5.reading(job.input("images", arguments.images)) as file:
        count = len(file["label"])
    # No variant can be called so.
    names = [entry["variant"] or "(study)" for entry in params["settings"]]
    matrices = dict(zip(names, map(read_matrix, job.input_group("sat", arguments.sat)), strict=True))
    models = dict(zip(names, map(read_table, job.input_group("models", arguments.models)), strict=True))
    settings = pd.DataFrame(params["settings"]).drop(columns="variant").rename(columns={"attack_images": "n_images"})
    settings["n_images"] = settings["n_images"].fillna(count).astype(int)
    if "steps" in settings:
        settings["steps"] = settings["steps"].astype("Int64")  # not every method takes steps
    found = ablation_table(matrices, models, seed=params["seed"])
    table = pd.concat([found[["variant"]], settings, found.drop(columns="variant")], axis=1)
    for row in table[table["n_low_whitebox"] > 0].itertuples():
        log.warning(
            "%s: the attack of %d models fails on themselves; it tells robustness, not likeness",
            row.variant,
            row.n_low_whitebox,
        )
    pairs = ablation_pairs(matrices)
    write_tables(job, {arguments.table: table, arguments.pairs: pairs})
    write_figure(job, arguments.figure, ablation_figure(table, pairs))
