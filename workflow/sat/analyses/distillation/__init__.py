"""Compare what a student gains from its teachers with their SAT to it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from sat.stages.common import add_step, log, start

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--models", required=True, help="similarity/models.csv")
    parser.add_argument("--students", required=True, help="folder distilled/")
    parser.add_argument("--distillation", required=True, help="analysis/distillation.csv")
    parser.add_argument("--relation", required=True, help="analysis/distillation_relation.csv")
    parser.add_argument("--figure", required=True, help="figures/distillation.svg")


def run(arguments: argparse.Namespace) -> None:
    """Collect the students' accuracies, compare, write."""
    import pandas as pd

    from sat.analyses.distillation.figure import distillation_figure
    from sat.analyses.distillation.gains import gain_by_sat, relation_to, teacher_gains
    from sat.cli.outputs import write_figure
    from sat.store.artefact import read_sidecar
    from sat.store.step import ALONE
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    params = job.step.params
    student, teachers, seeds = params["student"], list(params["teachers"]), range(params["seeds"])
    sat = read_matrix(job.input("sat", arguments.sat)).loc[student, teachers].astype(float)
    models = read_table(job.input("models", arguments.models)).set_index("model")
    # The order of the plan.
    folder = Path(arguments.students)
    paths = {(name, seed): folder / f"{name}/{seed}.safetensors" for name in (ALONE, *teachers) for seed in seeds}
    job.input_group("students", list(paths.values()))
    facts = {key: read_sidecar(path)["facts"] for key, path in paths.items()}
    accuracy = pd.DataFrame(
        {seed: {name: facts[name, seed]["accuracy"] for name in (ALONE, *teachers)} for seed in seeds}
    )
    alone, accuracy = accuracy.loc[ALONE], accuracy.loc[teachers]
    relation = pd.Series(relation_to(student, params["kinds"], teachers), teachers)
    table = teacher_gains(accuracy, alone, params["confidence"])
    about = pd.DataFrame(
        {
            "family": params["teachers"],
            params["compared_by"]: {name: params["kinds"].get(name, "") for name in teachers},
            "relation": relation,
            "sat": sat,
            "teacher_accuracy": models["accuracy"],
            "low_whitebox": models["low_whitebox"],
        }
    ).loc[teachers]
    table = table[["teacher"]].join(about, on="teacher").join(table.drop(columns="teacher"))
    related = gain_by_sat(
        accuracy.sub(alone, axis="columns"),
        sat,
        models.loc[teachers, "accuracy"],
        relation,
        params["confidence"],
        seed=params["seed"],
    )
    related["by"] = params["compared_by"].replace("_", " ")
    _say(table, related, student)
    found = {
        "n_teachers": len(teachers),
        "n_seeds": len(seeds),
        "n_images": facts[ALONE, 0]["n_images"],
        "accuracy_alone": alone.tolist(),
    }
    write_tables(job, {arguments.distillation: table, arguments.relation: related}, **found)
    write_figure(job, arguments.figure, distillation_figure(table, related, student), **found)


def _say(table: pd.DataFrame, related: pd.DataFrame, student: str) -> None:
    """What was found, and what could not be."""
    import pandas as pd

    for row in table[table["sat"].isna()].itertuples():
        log.warning("%s: has no image in common with %s, so no SAT; it is in no correlation", row.teacher, student)
    for row in table[table["low_whitebox"]].itertuples():
        log.warning("%s: its attack fails on itself, so its SAT is too low", row.teacher)
    if table["n_seeds"].iloc[0] == 1:
        log.warning("one seed: nothing says how much of a gain is chance; raise distillation.seeds")
    if (table["relation"] == "unknown").any():
        log.warning(
            "%d teacher(s) of unknown base architecture are in neither group", (table["relation"] == "unknown").sum()
        )
    for row in related.itertuples():
        if pd.isna(row.spearman):
            log.warning(
                "%s: no correlation of gain with SAT: %d teachers are too few, or one of both does not vary",
                row.group,
                row.n_teachers,
            )
        else:
            log.info(
                "%s: rank correlation of gain with SAT %.2f [%.2f, %.2f], p = %.4f, over %d teachers",
                row.group,
                row.spearman,
                row.spearman_low,
                row.spearman_high,
                row.p,
                row.n_teachers,
            )
