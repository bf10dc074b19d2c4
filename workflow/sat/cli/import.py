"""Make an archive of 'sat export' a study here, to read and to extend."""

from __future__ import annotations

import argparse

GROUP = "Share them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("archive", metavar="ARCHIVE", help="file that 'sat export' has written")
    parser.add_argument("--into", default=".", metavar="FOLDER", help="folder where results/ lies or will lie")
    parser.epilog = "Checksums are compared before anything is put in its place."


def run(arguments: argparse.Namespace) -> None:
    """Import the study, and say how to go on."""
    from pathlib import Path

    from sat.sharing.after import describe
    from sat.sharing.unpacking import place, unpacked
    from sat.text import wrapped

    path, into = Path(arguments.archive), Path(arguments.into)
    with unpacked(path, into) as found:
        place(found, into)
        for line in describe(found, into):
            print("\n".join(wrapped(line)) if not line.startswith("  ") else line)
