"""Draw landmarks, so that only pairs with a landmark are measured."""

from __future__ import annotations

import argparse

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    about = "number of landmarks that the study shall have: at least 6, and at least 2 fewer than it has models"
    parser.add_argument("count", type=int, metavar="K", help=about)
    add_study(parser, positional=False)


def run(arguments: argparse.Namespace) -> None:
    """Write the column `landmark`, and read the study again."""
    import shlex

    from sat.cli.tools import study_of, tables_of
    from sat.errors import SatError
    from sat.similarity.landmarks import draw_further
    from sat.store.user_tables import set_cells
    from sat.study.tiles import LEAST_LANDMARKS

    study = study_of(arguments)
    if study.config.matrix:
        raise SatError(f"study {study.name} starts from a matrix and has no model table to write landmarks to.")
    old = study.landmarks
    most = len(study.used) - 2
    if not LEAST_LANDMARKS <= arguments.count <= most:
        right = (
            f"write {LEAST_LANDMARKS} to {most}"
            if most >= LEAST_LANDMARKS
            else f"landmarks need {LEAST_LANDMARKS + 2} models, {LEAST_LANDMARKS} of them landmarks; measure every pair"
        )
        raise SatError(f"{arguments.count} landmarks of {len(study.used)} models: {right}.")
    if arguments.count <= len(old):
        raise SatError(
            f"{arguments.count}: study {study.name} has {len(old)} landmarks already. To have fewer, empty cells of "
            "the column 'landmark'; the pairs that are measured stay on disk."
        )
    drawn, number = draw_further(study, arguments.count)
    cells = {name: {"landmark": str(number)} for name in drawn}
    changed = set_cells(tables_of(arguments, study), cells, check=lambda: study_of(arguments))
    print(f"{', '.join(map(str, changed))}: {len(drawn)} landmarks drawn in proportion to the families, draw {number}")
    print(", ".join(drawn))
    print(f"What will run: sat plan {shlex.join(arguments.study)}")
