"""Print the components of timm architectures, as table columns."""

from __future__ import annotations

import argparse
import csv
import sys

from sat.text import wrapped

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
    from sat.logs import log, progress

    log.info("importing timm ...")
    from sat.models.describe import describe

    # Importing timm and making a net take seconds each, and nothing else shows that the command is at work.
    rows = [describe(name) for name in progress(arguments.architectures, "architectures")]
    if arguments.csv:
        table = csv.DictWriter(sys.stdout, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return
    width = max(map(len, rows[0])) + 2
    for number, row in enumerate(rows):
        if number:
            print()
        for name, value in row.items():
            head = f"{f'{name}:':{width}}"
            print("\n".join(wrapped(str(value), head, " " * width)) or head.rstrip())
