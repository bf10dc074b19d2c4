"""Trace a result back to its images, weights, settings and code."""

from __future__ import annotations

import argparse

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "artefact", metavar="ARTEFACT", help="path of a result, such as results/digits/similarity/sat.csv"
    )
    parser.add_argument("--full", action="store_true", help="hash the whole content of every file of the chain")
    parser.epilog = "It reads sidecars alone, so it needs no study, and works on a copy of the folder results/."


def run(arguments: argparse.Namespace) -> int:
    """Print the words; the status is 1 if a file of the chain is not what was read."""
    from sat.status.why import explain

    text, whole = explain(arguments.artefact, arguments.full)
    print(text)
    return 0 if whole else 1
