"""Draw figures anew from their tables, at the sizes of papers."""

from __future__ import annotations

import argparse
from pathlib import Path

GROUP = "Read its results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="figures, such as clustermap or groups; all: all figures of the study"
    )
    parser.add_argument(
        "--width",
        choices=("one", "two"),
        default="two",
        help="width in columns: one is 3.25 inches, two is 6.875 inches (default: two)",
    )
    parser.add_argument("--format", default="pdf", metavar="FORMAT,...", help="any of svg, pdf and png (default: pdf)")
    parser.add_argument("--out", metavar="FOLDER", help="folder to write to (default: figures/STUDY)")
    add_study(parser, positional=False)


def run(arguments: argparse.Namespace) -> None:
    """Draw the figures.

    Raises
    ------
    SatError
        If the study has no such figure, or its tables are missing or stale.
    """
    from sat.cli.tools import existing_results, plan_of, study_of
    from sat.errors import SatError
    from sat.report.redraw import redrawn
    from sat.report.style import FORMATS, paper, save
    from sat.study.spelling import did_you_mean

    formats = arguments.format.split(",")
    if wrong := [word for word in formats if word not in FORMATS]:
        raise SatError(f"--format {wrong[0] or arguments.format!r}: write some of {', '.join(FORMATS)}, as in pdf,png.")
    study = study_of(arguments)
    plan, results = plan_of(study), existing_results(arguments, study)
    known = {figure: name for name, unit in plan.analyses.items() for figure in unit.figures}
    wanted = list(known) if arguments.names == ["all"] else list(dict.fromkeys(arguments.names))
    for figure in wanted:
        if figure not in known:
            those = did_you_mean(figure, sorted(known), f"there are {', '.join(sorted(known))}.", 0.4)
            raise SatError(f"figure {figure}: study {study.name} has no such figure; {those}")
    folder = Path(arguments.out or f"figures/{study.name}")
    folder.mkdir(parents=True, exist_ok=True)
    for analysis in dict.fromkeys(known[figure] for figure in wanted):
        own = [figure for figure in wanted if known[figure] == analysis]
        for kind in formats:
            # A file is drawn for itself, since matplotlib rounds places to the dots of the format.
            with paper(arguments.width):
                drawn = redrawn(plan, results, analysis)
            for figure in own:
                path = folder / f"{figure}.{kind}"
                save(drawn[figure], path, kind)
                print(path)
