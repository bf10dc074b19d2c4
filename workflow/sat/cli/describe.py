"""Print what timm architectures are made of, as table columns."""

from __future__ import annotations

import argparse
import csv
import sys

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "architectures", nargs="+", metavar="ARCHITECTURE", help="name of a timm architecture, with or without its tag"
    )
    parser.add_argument("--csv", action="store_true", help="print rows for a model table, with a header")


def run(arguments: argparse.Namespace) -> None:
    """Describe the architectures, and print the result.

    Raises
    ------
    SatError
        If timm knows no such architecture.
    """
    from sat.models.describe import describe

    rows = [describe(name) for name in arguments.architectures]
    if arguments.csv:
        table = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return
    width = max(map(len, rows[0])) + 2
    print("\n\n".join("\n".join(f"{f'{name}:':{width}}{value}" for name, value in row.items()) for row in rows))
