"""Show the differences between two studies or folders of results."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.status.diff import Side

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    about = "folder of results, such as results/digits, or config file of a study"
    parser.add_argument("first", metavar="A", help=about)
    parser.add_argument("second", metavar="B", help="the same")
    parser.epilog = "Where two values stand beside each other, the left one is of A."


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; the status is 1 if there are any."""
    from sat.status.diff import compare

    text, differ = compare(_side(arguments.first), _side(arguments.second))
    print(text)
    return 1 if differ else 0


def _side(name: str) -> Side:
    from pathlib import Path

    from sat.cli.tools import plan_of, results_folder
    from sat.errors import SatError
    from sat.status.diff import Side, recorded
    from sat.study.study import load_study

    path = Path(name)
    if not path.is_dir():
        study = load_study([name])
        results = results_folder(study)
        asked = plan_of(study).describe().step.params
        # Results of other settings are not those of this file.
        return Side.of(name, asked, results if recorded(results) == asked else None)
    params = recorded(path)
    if params is None:
        raise SatError(f"{name}: there is no study.json in it; name a folder such as results/digits.")
    return Side.of(name.rstrip("/"), params, path)
