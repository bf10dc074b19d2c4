"""Say whether the images suffice, and write the next number of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.status.grow import Need
    from sat.study.study import Study

GROUP = "Prepare a study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "--half-width", type=float, metavar="H", help="target for the median half-width of SAT's intervals"
    )
    target.add_argument(
        "--stability",
        type=float,
        metavar="R",
        help="target for the rank correlation with a matrix from as many other images (default: the study's "
        "resampling.correlation)",
    )
    parser.add_argument("--of", choices=("sat", "affinity"), default="sat", help="matrix of --stability (default: sat)")
    parser.add_argument("--dry-run", "-n", action="store_true", help="say it, and write nothing")


def run(arguments: argparse.Namespace) -> None:
    """Compare the results with the target; if they miss it, write the next number, and keep what can be kept."""
    import shlex

    from sat.cli.tools import existing_results, overrides_of, plan_of, study_of
    from sat.errors import SatError
    from sat.store.artefact import is_made
    from sat.store.shorter import forget, keep
    from sat.store.user_config import set_value
    from sat.study.known import Known

    study = study_of(arguments)
    _check(arguments, study)
    plan, results = plan_of(study), existing_results(arguments, study)
    artefacts = plan.artefacts()
    steps = {path: artefact.step for path, artefact in artefacts.items()}
    table = "similarity/most_similar.csv" if arguments.half_width else "analysis/stability_curve.csv"
    if table not in steps:
        raise SatError(f"study {study.name} has no {table}, which --stability needs; write --half-width H instead.")
    for path in (table, "images/attack.h5"):
        if not is_made(results / path, steps[path]):
            raise SatError(f"{results / path}: is missing or stale; run snakemake first.")
    counts = Known(plan, results).n_images
    need, what, target = _need(arguments, study, results / table, counts["attack"])
    print(f"{counts['attack']} attack images: {what} is {need.reached:.3f}; the target is {target:g}.")
    if need.enough:
        print("The target is reached.")
        if not arguments.dry_run:
            forget(results)
        return
    number = need.next(counts["eval"])
    print(f"About {need.needed:,.0f} images should reach it; there are {counts['eval']:,} evaluation images.")
    if number <= counts["attack"]:
        print("All evaluation images are attacked already, so only more of these would help.")
        return
    if arguments.dry_run:
        print(f"The next number is {number}.")
        return
    if "attack_images" in overrides_of(arguments.config).get("images", {}):
        raise SatError(f"--config sets images.attack_images; write {number} there.")
    # A kept file takes no space until its place has a longer one. It is kept before the study asks for more.
    variants = {made.variant: plan.attack(made.variant) for made in artefacts.values()}
    anew = {variant: attack.method for variant, attack in variants.items() if not attack.declaration.independent}
    kept = keep(results, {path: made.step for path, made in artefacts.items() if made.variant not in anew})
    file = set_value(
        [Path(name) for name in arguments.study], ("images", "attack_images"), str(number), lambda: study_of(arguments)
    )
    print(f"{file}: images.attack_images is {number} now.")
    if kept:
        print(f"{kept} adversarial sets and tiles are kept; the next run adds the new images to them.")
    for method in sorted(set(anew.values())):
        print(f"The next run attacks all images with {method} again: an image's result may depend on other images.")
    print(f"What will run: sat plan {shlex.join(arguments.study)}")


def _check(arguments: argparse.Namespace, study: Study) -> None:
    """Refuse targets out of range, and studies whose number of images cannot grow."""
    from sat.errors import SatError

    if arguments.half_width is not None and not arguments.half_width > 0:
        raise SatError(f"--half-width {arguments.half_width:g}: write a number above 0, such as 0.2.")
    if arguments.stability is not None and not 0 < arguments.stability < 1:
        raise SatError(f"--stability {arguments.stability:g}: write a correlation between 0 and 1, such as 0.95.")
    if study.config.matrix:
        raise SatError(f"study {study.name} starts from a matrix and has no images.")
    if study.config.images.id_list:
        raise SatError(
            f"study {study.name}: images.attack_images names a file, so the images to add are yours to choose; add "
            "lines at its end, or write a number."
        )


def _need(arguments: argparse.Namespace, study: Study, table: Path, images: int) -> tuple[Need, str, float]:
    """What is reached of the target, in which words, and the target."""
    from sat.errors import SatError
    from sat.status.grow import half_width_need, stability_need
    from sat.store.tables import read_table

    rows = read_table(table)
    if arguments.half_width:
        half = float(((rows["sat_high"] - rows["sat_low"]) / 2).median())
        if not half > 0:
            raise SatError(f"{table}: no pair of models has an interval.")
        need = half_width_need(images, half, arguments.half_width)
        return need, "the median half-width of SAT's intervals", arguments.half_width
    target = study.config.resampling.correlation if arguments.stability is None else arguments.stability
    rows = rows[(rows["of"] == arguments.of) & rows["mean"].notna()]
    if rows.empty:
        raise SatError(f"{table}: has no rank correlation of {arguments.of}; write --half-width H instead.")
    last = rows.loc[rows["images"].idxmax()]
    name = {"sat": "SAT", "affinity": "affinity"}[arguments.of]
    need = stability_need(images, int(last["images"]), float(last["mean"]), target)
    return need, f"the rank correlation of {name} with that of as many other images", target
