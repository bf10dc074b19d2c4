"""Make an archive a study here, to read and to extend."""

from __future__ import annotations

import argparse
from pathlib import Path

GROUP = "Share them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("archive", metavar="ARCHIVE", help="file that 'sat export' has written")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--into", default=".", metavar="FOLDER", help="folder where results/ lies or will lie")
    where.add_argument(
        "--study",
        nargs="+",
        default=[],
        metavar="FILE",
        help="config file(s) of a study of yours that takes over the archive's models, in place of a study of its own",
    )
    parser.set_defaults(config=[])
    parser.epilog = "Checksums are compared before anything is put in its place."


def run(arguments: argparse.Namespace) -> None:
    """Import the study, and say how to go on."""
    from sat.sharing.after import describe
    from sat.sharing.unpacking import check_into, place, unpacked
    from sat.text import wrapped

    path, into = Path(arguments.archive), Path(arguments.into)
    if arguments.study:
        lines = _join(arguments, path)
    else:
        check_into(path, into)
        with unpacked(path, into) as found:
            place(found, into)
            lines = list(describe(found, into))
    for line in lines:
        print(line if line.startswith("  ") else "\n".join(wrapped(line)))


def _join(arguments: argparse.Namespace, path: Path) -> list[str]:
    """Join the archive's models to a study."""
    import shlex

    from sat.cli.tools import existing_results, plan_of, study_of, tables_of
    from sat.sharing.contents import read_rows
    from sat.sharing.merging import join, take_back, take_over
    from sat.sharing.unpacking import unpacked
    from sat.store.history import join_history
    from sat.store.runs import hold_run
    from sat.store.user_tables import append_rows

    study = study_of(arguments)
    results, table = existing_results(arguments, study), tables_of(arguments, study)[-1]
    hold_run(results)
    with unpacked(path, Path()) as found:
        joined = join(found, plan_of(study), results, read_rows(found.study_file, found.plan.config.models))
        done = take_over(joined, found.results, results)
        try:
            append_rows(table, joined.rows, check=lambda: study_of(arguments))
        except BaseException:
            take_back(done)
            raise
        origin = {"study": found.name, **{key: found.origin[key] for key in ("archive", "manifest_sha256")}}
        runs = join_history(results, found.results, origin)
    again = [f"These are made again, as your settings ask: {', '.join(joined.rerun)}."] if joined.rerun else []
    return [
        f"{table}: {len(joined.rows)} models of study {found.name} added: "
        f"{', '.join(row['model'] for row in joined.rows)}; {len(done)} files are in {results}",
        *again,
        *([f"{runs} run(s) of study {found.name} added to what 'sat history' lists."] if runs else []),
        "What will run:",
        f"  sat plan {shlex.join(arguments.study)}",
    ]
