"""Check a study and all its files, and list what would fail.

Call it first, above all for a study that you have from somebody else. It trains nothing, and
executes nothing of the study unless you say so: with --config trust_code=true, it tries the
nets of code files too. The exit status is 1 if something would fail.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.status.check import Said

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; the status is 1 if something would fail."""
    from sat.errors import printable

    found = findings(arguments)
    for said in found:
        if said.kind == "fact":
            print(f"{said.part:<10}{printable(said.text)}")
    for kind, title in (("caution", "Cautions:"), ("problem", "Problems:")):
        if listed := [said for said in found if said.kind == kind]:
            print(f"\n{title}")
            for number, said in enumerate(listed, 1):
                print(f"{number:>3}. {printable(said.text).removesuffix('.')}.")
    problems = sum(said.kind == "problem" for said in found)
    print(f"\n{problems} problem(s)." if problems else "\nNo problem was found.")
    return 1 if problems else 0


def findings(arguments: argparse.Namespace) -> list[Said]:
    """Look at everything that a study consists of.

    Parameters
    ----------
    arguments : argparse.Namespace
        With the study.

    Returns
    -------
    list of Said
        In the order in which a reader wants to know.
    """
    from sat.cli.calls import CLONE
    from sat.cli.tools import examined, plan_of, results_folder
    from sat.errors import SatError
    from sat.status.check import Said, check_images, check_machine, check_matrices
    from sat.status.foreign import foreign
    from sat.status.load import total_load
    from sat.status.weights import check_weights
    from sat.study.forecast import Forecast

    found = [
        Said("folder", f"{one.path}: {one.text}", "problem" if one.harms else "caution")
        for one in foreign(Path.cwd(), [Path(file).parent for file in arguments.study], CLONE)
    ]
    study, faults = examined(arguments)
    found += [Said("study", text, "problem") for text in faults]
    if study is None:
        return [*found, Said("study", "images and weights were not checked: the study cannot be read")]
    retired = len(study.models) - len(study.used)
    cohorts = len({study.model[name].cohort for name in study.used})
    text = f"{study.name}: {len(study.used)} models in use in {cohorts} cohort(s), {retired} retired"
    found.append(Said("study", text))
    found += [Said("study", text, "caution") for text in study.cautions]
    if faults:
        text = "whether the files fit together, jobs and disk space were not checked: correct the study first"
        found.append(Said("study", text))
    said, images = check_images(study)
    found += said
    found += check_weights(study, images)
    others = [key for unit in study.units.analyses.values() for key in unit.files]
    found += check_matrices(study, ["matrix", *others])
    if not faults:
        results = results_folder(study)
        try:
            plan = plan_of(study)
        except SatError as error:
            return [*found, Said("study", str(error), "problem")]
        load = total_load(plan, results, Forecast(plan, results, images and images.n_images))
        left = load.jobs - load.counts["done"]
        limits = f", with time limits of {load.minutes / 60:,.1f} h in all" if load.guessed < left else ""
        text = f"{left:,} of {load.jobs:,} are left{limits}; 'sat plan' shows every stage"
        found.append(Said("jobs", text))
        if guesses := load.about_guesses(study.used):
            found.append(Said("jobs", guesses))
        found += check_machine(study, load, results)
    return found
