"""Pack a study into one archive for others."""

from __future__ import annotations

import argparse

GROUP = "Share them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_parts, add_study

    add_study(parser)
    add_parts(parser, "", "what travels too")
    parser.add_argument("-o", "--out", metavar="FILE", help="the archive (default: STUDY.sat.zip)")
    parser.epilog = "Tables, figures, the page and all sidecars always travel. The archive is a zip file (BagIt)."


def run(arguments: argparse.Namespace) -> None:
    """Pack the study, and say what was left out."""
    from pathlib import Path

    from sat.cli.tools import existing_results, overrides_of, parts_of, plan_of, study_of
    from sat.errors import SatError
    from sat.sharing.packing import describe, pack
    from sat.text import wrapped

    parts = parts_of(arguments)
    study = study_of(arguments)
    results = existing_results(arguments, study)
    path = Path(arguments.out or f"{study.name}.sat.zip")
    if path.exists():
        raise SatError(f"{path}: exists already, so nothing was packed; name another file with -o.")
    files = [Path(file) for file in arguments.study]
    packed = pack(plan_of(study), results, files, overrides_of(arguments.config), parts, path)
    print(f"{path}: {packed.size / 1e6:.1f} MB, {packed.files} files of study {study.name}")
    for line in describe(packed):
        print("\n".join(wrapped(line)))
