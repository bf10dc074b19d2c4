"""Show the differences between two studies or folders of results."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.status.diff import Side

GROUP = "Trust them"
ALPHA = 0.05
"""Largest adjusted p of a pair that is listed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    about = "folder of results, such as results/digits, or config file of a study"
    parser.add_argument("first", metavar="A", help=about)
    parser.add_argument("second", metavar="B", help="the same")
    parser.epilog = "Where two values stand beside each other, the left one is of A."


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; the status is 1 if there are any."""
    from sat.status.diff import compare, listed, matrices_differ

    first, second = _side(arguments.first), _side(arguments.second)
    text, differ = compare(first, second)
    print(text)
    if matrices_differ(first, second):
        print("\n".join(["", "Image by image:", *listed(_paired(first, second))]))
    return 1 if differ else 0


def _paired(first: Side, second: Side) -> list[str]:
    """Say how sure it is that the matrices differ, where both studies have images in common."""
    from sat.errors import SatError
    from sat.results import open_study

    assert first.results and second.results, "both have a matrix"
    try:
        found = open_study(first.results).compare(second.results)
    except SatError as error:
        return [f"not compared: {error}"]
    lines = [f"{len(found.models)} models on {found.n_images:,} images that both studies have"]
    for name, test in (("SAT", found.sat), ("affinity", found.affinity)):
        if test is None:
            lines.append("affinity: needs four models in common")
            continue
        changed = test.pairs[test.pairs["p_adjusted"] <= ALPHA]
        # The affinities of a pool sum to 0, so they have no mean to shift.
        mean, low, high = test.mean
        shift = f"mean shift {mean:+.3f} [{low:+.3f}, {high:+.3f}], p = {test.p_mean:.3f}; " * (name == "SAT")
        lines.append(
            f"{name}: {shift}any difference, p = {test.p_any:.3f}; {len(changed)} of {len(test.pairs)} pairs differ "
            "after adjustment for their number"
        )
        lines += [
            f"{name} of {row['model_a']} and {row['model_b']}: {row['first']:.2f} | {row['second']:.2f}, shift "
            f"{row['shift']:+.2f} [{row['shift_low']:+.2f}, {row['shift_high']:+.2f}]"
            for row in changed.sort_values("shift", key=abs, ascending=False).head(3).to_dict("records")
        ]
    return lines


def _side(name: str) -> Side:
    from pathlib import Path

    from sat.cli.tools import plan_of, results_folder
    from sat.errors import SatError
    from sat.status.diff import Side, recorded
    from sat.study.study import load_study

    path = Path(name)
    if not path.is_dir():
        study = load_study([name])
        results = results_folder(study)
        asked = plan_of(study).describe().step.params
        # Results of other settings are not those of this file.
        return Side.of(name, asked, results if recorded(results) == asked else None)
    params = recorded(path)
    if params is None:
        raise SatError(f"{name}: there is no study.json in it; name a folder such as results/digits.")
    return Side.of(name.rstrip("/"), params, path)
