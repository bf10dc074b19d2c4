"""Entry point of the command line: ``sat``, or ``python -m sat``."""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import sys

from sat import __version__
from sat.cli.commands import find, overview, unknown
from sat.errors import SatError, printable, too_little_memory
from sat.store.files import forbidden, full_disk


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : list of str, optional
        Words of the command line.

    Returns
    -------
    int
        Exit status: 0 on success, 1 after a mistake that the user can correct,
        2 if the command line is not valid.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if not words:
            print(overview(), file=sys.stderr)
            return 2
        if words[0] in ("-h", "--help", "--version"):
            print(f"sat {__version__}" if words[0] == "--version" else overview())
            return 0
        return _run(words[0], words[1:])
    except SatError as error:
        print(f"\nError: {printable(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; what is finished stays.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # As in 'sat plan | head': the reader has gone, and Python would raise again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # A read-only disk may have no room either.
        if advice := too_little_memory(error) or forbidden(error) or full_disk(error, words):
            print(f"\nError: {printable(advice)}", file=sys.stderr)
            return 1
        raise


def _run(name: str, words: list[str]) -> int:
    command = find(name)
    if not command:
        print(unknown(name), file=sys.stderr)
        return 2
    # Imports leave no garbage to collect, and the search for it takes 2 of the 7 s in which torch and timm start.
    gc.disable()
    module = importlib.import_module(command.module)
    parser = argparse.ArgumentParser(prog=f"sat {name}", description=module.__doc__)
    module.add_arguments(parser)
    parsed = _parsed(parser, words)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    logging.captureWarnings(True)
    status: int | None = module.run(parsed)
    return status or 0


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    if parser.get_default("passed_on") is None:
        return parser.parse_args(words)
    # The command calls Snakemake, and passes on to it the options that it does not know, and what follows --.
    parser.allow_abbrev = False
    place = words.index("--") if "--" in words else len(words)
    parsed, unknown = parser.parse_known_args(words[:place])
    # What follows an unknown option may be its value, or the study.
    if unknown and parsed.study[0] in words[words.index(unknown[0]) : place] and "--study" not in words:
        parser.error("write the study before all options of snakemake, as in: sat run study.yaml --cores 2")
    parsed.passed_on = [*unknown, *words[place + 1 :]]
    return parsed


if __name__ == "__main__":
    sys.exit(main())
