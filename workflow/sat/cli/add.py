"""Add models to a study's table, with what timm knows about them."""

from __future__ import annotations

import argparse

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="timm architecture, with its tag or without; or file:function"
    )
    add_study(parser, positional=False)
    parser.add_argument(
        "--weights", default="hub", help="train, hub, hub@REVISION, or a checkpoint's path (default: hub)"
    )
    parser.add_argument("--name", help="name of the model in the study, if one model is added (default: architecture)")
    parser.add_argument("--family", help="family of the models (default: the module of timm that defines them)")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="COLUMN=VALUE",
        help="further cells of the rows; they override timm's values: input_size=48 mean=0.5 std=0.5",
    )
    parser.add_argument("--table", help="the table to extend, if the study has several (default: the last)")


def run(arguments: argparse.Namespace) -> None:
    """Describe the models, write their rows under a new cohort, and read the study and their checkpoints."""
    import os
    import shlex
    from pathlib import Path

    from sat.cli.tools import study_of, tables_of
    from sat.errors import SatError
    from sat.models.describe import describe
    from sat.status.weights import check_added
    from sat.store.user_tables import append_rows

    study = study_of(arguments)
    tables = tables_of(arguments, study)
    table = Path(arguments.table) if arguments.table else tables[-1]
    if table.resolve() not in [other.resolve() for other in tables]:
        raise SatError(f"{table}: is not a table of the study; its key 'models' names {', '.join(map(str, tables))}.")
    if arguments.name and len(arguments.models) > 1:
        raise SatError(f"--name {arguments.name}: stands for one model, and {len(arguments.models)} are to be added.")
    cells = dict(word.partition("=")[::2] for word in arguments.set)
    for column, value in cells.items():
        if not value or column in ("model", "architecture", "weights", "cohort"):
            raise SatError(
                f"--set {column}={value}: write COLUMN=VALUE, with a column that has no option of its own. "
                "The command itself sets the cohort."
            )
    weights = arguments.weights
    if Path(weights).is_file():
        # The path must be relative to the table, wherever the command was called.
        weights = os.path.relpath(weights, table.parent)
    cohort = max(row.cohort for row in study.models) + 1
    rows = []
    for model in arguments.models:
        if model.endswith((".yaml", ".yml")):
            raise SatError(f"{model}: is not an architecture; to name the study, write --study {model}.")
        # timm knows nothing of a net from a code file; --set fills the columns that the net needs.
        module, own, function = model.partition(":")
        row = {"architecture": model, "family": module} if own else describe(model)
        if own:
            arguments.name = arguments.name or function
        elif weights == "train":
            del row["input_size"]  # this is the images' own size
        name = arguments.name or row["architecture"]
        family = {"family": arguments.family} if arguments.family else {}
        rows.append({"model": name, "weights": weights, "cohort": str(cohort), "use": "yes", **row, **family, **cells})
        if not arguments.name and row["architecture"] != model:
            print(f"{model}: pinned as {row['architecture']}, the weights that this version of timm uses for it")
    remarks: list[str] = []

    def check() -> None:
        remarks.extend(check_added(study_of(arguments), [row["model"] for row in rows]))

    added = append_rows(table, rows, check)
    print(f"{table}: {len(rows)} model(s) added as cohort {cohort}: {', '.join(row['model'] for row in rows)}")
    if added:
        print(f"New columns, empty for the other models: {', '.join(added)}")
    for remark in remarks:
        print(remark)
    print(f"What will run: sat plan {shlex.join(arguments.study)}")
