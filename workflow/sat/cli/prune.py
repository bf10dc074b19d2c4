"""List what no study here needs any more; remove it when asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.study.plan import Plan

GROUP = "Trust them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--remove", action="store_true", help="remove these files")
    parser.add_argument("--files", action="store_true", help="name every file")
    parser.epilog = (
        "The studies are those of config.yaml, studies/ and of the command line, and what results/*/study.json records "
        "of the last runs. Without a study on the command line, all of results/ is looked at."
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the files by reason, with sizes, and remove them if asked to; the status is 1 if a folder is left alone."""
    from sat.cli.tools import DEFAULT, existing_results, plan_of, study_of
    from sat.errors import SatError
    from sat.status.prune import compared_with, remove, unneeded
    from sat.store.runs import at_work, hold_run
    from sat.text import size, wrapped

    plans, faults = _studies_here()
    if arguments.study is DEFAULT and not arguments.config:
        folders = [path.parent for path in sorted(Path("results").glob("*/study.json"))]
        if not folders:
            raise SatError(f"there are no results in this folder ({Path.cwd()}); call sat where snakemake ran.")
    else:
        study = study_of(arguments)
        plans.append(plan_of(study))
        folders = [existing_results(arguments, study)]
    kept = {path for plan in plans for path in compared_with(plan)}
    total, skipped = 0, False
    for results in folders:
        own = [plan for plan in plans if plan.study.name == results.name]
        last = _last(results)
        reason = faults.get(results.name) or ("" if last else "its study.json cannot be read") or at_work(results)
        if reason:
            print("\n".join(wrapped(f"{results}: left alone, since {reason}", "", "  ")))
            skipped = True
            continue
        if arguments.remove:
            # A run at work may be about to need what no artefact names yet.
            hold_run(results)
        groups = unneeded([*own, *last], results, kept)
        sizes = [group.size for group in groups]
        for group, of in zip(groups, sizes, strict=True):
            print(f"{size(of):>10}  {len(group.files):>5} files  {results.name}: {group.reason}")
            if arguments.files:
                print("\n".join(f"            {path}" for path in group.files))
        if not groups:
            print(f"{results}: all files are needed.")
        if own and (later := sum(group.size for group in unneeded(own, results, kept)) - sum(sizes)):
            text = f"{results}: the last run needed {size(later)} more; they are listed once snakemake has run again."
            print("\n".join(wrapped(text, "", "  ")))
        total += remove(groups) if arguments.remove else sum(sizes)
    if total and arguments.remove:
        print(f"\nRemoved; {size(total)} are free now.")
    elif total:
        print(f"\n{size(total)} in all. {'' if arguments.files else '--files names them; '}--remove removes them.")
    return 1 if skipped else 0


def _studies_here() -> tuple[list[Plan], dict[str, str]]:
    """Plans of the studies in this folder, and why others cannot be read, by the name of the study."""
    import yaml

    from sat.cli.tools import plan_of
    from sat.errors import SatError
    from sat.study.study import load_study

    plans, faults = [], {}
    for file in [Path("config.yaml"), *sorted(Path("studies").glob("*.y*ml"))]:
        try:
            name = yaml.safe_load(file.read_text(encoding="utf-8"))["study"]
        except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError):
            continue  # not a study, or only settings that are laid over one
        try:
            plans.append(plan_of(load_study([file])))
        except SatError as error:
            faults[str(name)] = f"{file} cannot be read: {error}"
    return plans, faults


def _last(results: Path) -> list[Plan]:
    """The plan of the last run, as study.json records it; empty if it cannot be read."""
    from sat.errors import SatError
    from sat.results.opening import recorded_study
    from sat.study.plan import Plan

    try:
        return [Plan(recorded_study(results))]
    except SatError:
        return []
