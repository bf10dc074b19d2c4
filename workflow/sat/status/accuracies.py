"""Which models are less accurate than the study asks, or more accurate than was published, as far as is known yet.

A gate stops the run at the first model that fails. Here all of them are found at once, from the sidecars of the clean
predictions that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sat.statistics.published import REMARK, is_above_published
from sat.store.artefact import is_made, read_sidecar, sidecar_path
from sat.study.plan import Plan


def about_accuracies(plan: Plan, results: Path) -> list[str]:
    """Say which models have accuracies that need attention.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.

    Returns
    -------
    list of str
        Lines; none if nothing is the matter.
    """
    if plan.config.matrix:
        return []
    facts = {}
    for model in plan.needed:
        clean = plan.clean(model)
        if is_made(results / clean.path, clean.step):
            facts[model] = read_sidecar(results / clean.path)["facts"]
    low = sorted((one["accuracy"], model) for model, one in facts.items() if one["accuracy"] < plan.config.min_accuracy)
    unknown = len(plan.needed) - len(facts)
    lines = []
    if low:
        wide = max(len(model) for _, model in low)
        lines.append(f"{len(low)} of {len(plan.needed)} models are below min_accuracy ({plan.config.min_accuracy:g}):")
        for accuracy, model in low:
            right, images = facts[model]["n_correct"], facts[model]["n_images"]
            lines.append(f"  {model:<{wide}}  {accuracy:.4f} ({right:,} of {images:,} images right)")
        lines.append(_advice(plan.config.on_low_accuracy == "flag", unknown))
    for model, one in facts.items():
        row = plan.study.model[model]
        published = None if plan.study.trained(model) else row.published_top1
        if published and is_above_published(one["accuracy"], one["n_images"], published):
            lines.append(f"{model}: accuracy {100 * one['accuracy']:.1f} %, published {published:.1f} %: {REMARK}")
    lines += near_chance(results, facts.items(), plan.config.confidence)
    return lines


def near_chance(results: Path, clean: Iterable[tuple[str, Mapping[str, Any]]], confidence: float) -> list[str]:
    """Name the models whose accuracy may be chance: Wilson's interval does not lie above it.

    Chance is the share of the most frequent class of the evaluation images, since a model that always answers this
    class is as often right.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    clean : iterable of (str, mapping)
        Each model, and the facts of its clean predictions from their sidecar.
    confidence : float
        Level of the interval.

    Returns
    -------
    list of str
        One line; none if no accuracy may be chance, or nothing is known of the images.
    """
    from sat.statistics.intervals import wilson

    images = results / "images/eval.h5"
    counts = read_sidecar(images)["facts"].get("class_counts") if sidecar_path(images).is_file() else None
    if not counts:
        return []
    chance = max(counts) / sum(counts)
    found = []
    for model, facts in clean:
        if wilson(facts["n_correct"], facts["n_images"], confidence)[0] <= chance:
            found.append(f"{model} ({100 * facts['accuracy']:.1f} %)")
    if not found:
        return []
    return [
        f"accuracy not above chance ({100 * chance:.1f} %, the share of the most frequent class; by Wilson's "
        f"{confidence:.0%} interval), so attacks on these models measure their errors: {', '.join(found)}"
    ]


def _advice(flagged: bool, unknown: int) -> str:
    if flagged:
        return "They are flagged and take part (on_low_accuracy: flag)."
    text = (
        "For each: train it longer (training.epochs), correct its weights, or leave it out (sat retire, or remove its "
        "row). For all: lower min_accuracy, or let them pass flagged (on_low_accuracy: flag)."
    )
    if unknown:
        text += (
            f"\n{unknown} more have no accuracy yet. To find theirs without an attack, add these words to the command: "
            "--until gate --keep-going"
        )
    return text
