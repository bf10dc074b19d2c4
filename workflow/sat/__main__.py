"""Entry of ``python -m sat``."""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import sys

from sat.errors import SatError
from sat.study.lock import RUNNER, pipeline

TOOLS = ("describe", "add", "plan", "status", "resume", "recommend", "summary", "verify", "schema", "stages")
"""Commands for people; all others are stages, which Snakemake calls."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, optional
        Words of the command line.

    Returns
    -------
    int
        Exit status: 0, or 1 after a mistake that its maker can mend.
    """
    parser = argparse.ArgumentParser(
        prog="python -m sat", description="Similarity of image classifiers by attack transferability."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*TOOLS, *pipeline(), RUNNER):
        module = importlib.import_module(_module(name))
        summary = (module.__doc__ or "").splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    parsed = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    logging.captureWarnings(True)
    # Nothing that imports make is garbage; looking for it takes 2 of the 7 s in which torch and timm start.
    gc.disable()
    try:
        status: int | None = importlib.import_module(_module(parsed.command)).run(parsed)
        return status or 0
    except SatError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # 'sat plan | head': nobody reads on, and Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _module(command: str) -> str:
    return f"sat.cli.{command}" if command in TOOLS else f"sat.stages.{command}"


if __name__ == "__main__":
    sys.exit(main())
