"""List files that a study no longer needs, and remove them if asked."""

from __future__ import annotations

import argparse

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--delete", action="store_true", help="remove these files")
    parser.add_argument("--files", action="store_true", help="name every file")


def run(arguments: argparse.Namespace) -> None:
    """Print the files by reason, with sizes, and remove them if the user asks for that."""
    from sat.cli.tools import existing_results, plan_of, study_of
    from sat.status.prune import remove, unneeded
    from sat.store.runs import hold_run

    study = study_of(arguments)
    plan, results = plan_of(study), existing_results(arguments, study)
    if arguments.delete:
        # A run at work may be about to need what no artefact names yet.
        hold_run(results)
    groups = unneeded(plan, results)
    if not groups:
        print(f"{results}: study {study.name} needs every file.")
        return
    for group in groups:
        print(f"{_size(group.size):>10}  {len(group.files):>5} files  {group.reason}")
        if arguments.files:
            print("\n".join(f"            {path}" for path in group.files))
    if arguments.delete:
        print(f"\nRemoved; {_size(remove(groups))} are free now.")
    else:
        more = "" if arguments.files else "--files names them; "
        print(f"\n{_size(sum(group.size for group in groups))} in all. {more}--delete removes them.")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("the last unit always fits")
