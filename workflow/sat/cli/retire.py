"""Take models out of the analyses, and keep their results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.study.plan import Plan

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument("models", nargs="+", metavar="MODEL", help="name of a model of the study's table")
    parser.add_argument("--undo", action="store_true", help="bring retired models back")
    add_study(parser, positional=False)


def run(arguments: argparse.Namespace) -> None:
    """Change the models' columns `use` and `retired`, and read the study again."""
    import shlex

    from sat.cli.tools import plan_of, results_folder, study_of, tables_of
    from sat.errors import SatError
    from sat.store.user_tables import set_cells
    from sat.study.spelling import did_you_mean
    from sat.study.table import NOTHING

    study = study_of(arguments)
    if study.config.matrix:
        raise SatError(f"study {study.name} starts from a matrix and has no model table; retire has nothing to change.")
    plan, cells, said = plan_of(study), {}, []
    for name in dict.fromkeys(arguments.models):
        if name not in study.model:
            those = did_you_mean(name, study.model, f"its models are {', '.join(study.model)}.")
            raise SatError(f"{name}: study {study.name} has no such model; {those}")
        row = study.model[name]
        if arguments.undo:
            if row.use and not row.retired:
                raise SatError(f"{name}: is in use, so there is nothing to undo.")
            cells[name] = {"use": "yes", **({"retired": ""} if row.retired else {})}
            said.append(f"{name}: is in use again.")
            continue
        if row.retired and not row.use:
            raise SatError(f"{name}: is retired already; 'sat retire {name} --undo' brings it back.")
        kept = kept_sets(plan, results_folder(study), name)
        cells[name] = {"use": "no", "retired": " ".join(kept) or NOTHING}
        said.append(
            f"{name}: its tiles hold it until the attack, its images or its weights change, and leave it out then."
            if kept
            else f"{name}: no finished tile holds it, so there is nothing to keep, and its tiles leave it out at once."
        )
    changed = set_cells(tables_of(arguments, study), cells, check=lambda: study_of(arguments))
    print(f"{', '.join(map(str, changed))}: {len(cells)} model(s) {'brought back' if arguments.undo else 'retired'}")
    print("\n".join(said))
    print(f"What will run: sat plan {shlex.join(arguments.study)}")


def kept_sets(plan: Plan, results: Path, model: str) -> list[str]:
    """Find the adversarial sets of a model whose loss would make a finished tile stale.

    Parameters
    ----------
    plan : Plan
        The plan before the model is retired.
    results : Path
        Folder of the study's results.
    model : str

    Returns
    -------
    list of str
        Recipes of its sets of the study and of the variants with an attack of their own, where a finished tile holds
        the model, as a source or a target.
    """
    from sat.store.artefact import is_made

    (own,) = (tile for tile, models in plan.tiles.items() if model in models)
    pairs = {pair for other in plan.tiles for pair in ((own, other), (other, own))}
    recipes = []
    for variant in plan.attacked:
        if model not in plan.members(own, variant):
            continue
        tiles = (plan.tile(*pair, variant) for pair in sorted(pairs))
        if any(is_made(results / tile.path, tile.step) for tile in tiles):
            recipes.append(plan.adversarial(model, variant).step.recipe)
    return recipes
