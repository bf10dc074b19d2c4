"""Write the validated study with all its settings."""

from __future__ import annotations

import argparse

from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--out", required=True, help="study.json")


def run(arguments: argparse.Namespace) -> None:
    """Write study.json; the params of its step are the study."""
    start(arguments).finish(arguments.out)
