"""What tf32 and bfloat16 change of a study's results, and what they gain.

Alone, on models of any finished study:
python benchmarks/precision.py [--device cuda] [--results results/NAME] [--models A B C D] [--images N]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import harness
from harness import ROOT, Project, Table
from sat.attacks import apply
from sat.attacks.evaluate import Source, evaluate
from sat.attacks.noise import Noise
from sat.models.batches import Batch, in_batches
from sat.models.classifier import Classifier, load_classifier, predict
from sat.models.precision import pin
from sat.similarity.affinity import directed_log_odds, fit_affinity, symmetric_log_odds
from sat.similarity.predictions import Predictions
from sat.similarity.similarity import pair_table, sat_matrix, unordered_pairs
from sat.store import hdf5
from sat.store.chunks import Held

DIGITS = ROOT / "results/digits"
BATCH = 128
OTHER_START = 1
"""Added to the seed of the random starts, for the difference that another run of the same attack makes."""


@dataclass
class Setting:
    """One way to measure the matrix."""

    attack: str = "float32"
    evaluation: str = "float32"
    other_start: bool = False


@dataclass
class Found:
    """What one setting gave."""

    unordered: pd.DataFrame
    sat: pd.DataFrame
    affinity: pd.DataFrame
    clean: NDArray[np.int16]
    """Predictions of the clean images, shape (models, images)."""
    attack_seconds: float
    evaluation_seconds: float

    @property
    def whitebox(self) -> NDArray[np.float64]:
        """Every model's white-box success."""
        return np.diag(self.rates)

    rates: NDArray[np.float64]
    """Rates of all ordered pairs."""


def run(repeats: int) -> Table:
    """Measure the digits; repeats make no difference, as all is counted over images."""
    if not (DIGITS / "similarity/sat.csv").exists():
        project = Project()
        (project.folder / "studies").symlink_to(ROOT / "studies")
        project.run("--cores", "1", "--configfile", str(ROOT / "config.yaml"), "similarity/sat.csv")
        return measure(project.folder / "results/digits", harness.DEVICE)
    return measure(DIGITS, harness.DEVICE)


def measure(results: Path, device: str, models: Sequence[str] = (), limit: int | None = None) -> Table:
    """Attack and evaluate some models of a study in all precisions that a device has.

    Parameters
    ----------
    results : Path
        Folder of the study.
    device : str
    models : sequence of str
        All that have an adversarial set, by default.
    limit : int, optional
        Number of the first attack images that are used.
    """
    torch.set_num_threads(1)
    models = sorted(models) or sorted(path.stem for path in (results / "adversarial").glob("*.h5"))
    params = json.loads((results / f"adversarial/{models[0]}.h5.json").read_text())["params"]
    with hdf5.reading(results / "images/attack.h5") as file:
        images, labels, ids = (file[name][:limit] for name in ("image", "label", "id"))
    classifiers = {name: load_classifier(results / f"weights/{name}.safetensors", device) for name in models}
    reduced = ["bfloat16"] if device == "cpu" else ["tf32", "bfloat16"]
    settings = [
        Setting(),
        Setting(other_start=True),
        *(
            setting
            for precision in reduced
            for setting in (
                Setting(attack=precision),
                Setting(evaluation=precision),
                Setting(attack=precision, evaluation=precision),
            )
        ),
    ]
    attacks: dict[tuple[str, bool], tuple[dict[str, NDArray[np.integer]], float]] = {}
    found = []
    for setting in settings:
        if harness.time_is_over():
            break
        harness.say(f"  {setting}")
        key = setting.attack, setting.other_start
        if key not in attacks:
            attacks[key] = _attack(classifiers, images, labels, ids, params, setting, device)
        found.append(_evaluate(classifiers, images, labels, ids, params, attacks[key], setting, device))
    first = found[0]
    rows = [_row(setting, one, first, len(images), len(models)) for setting, one in zip(settings, found, strict=False)]
    name = torch.cuda.get_device_name() if device == "cuda" else "one thread of the CPU"
    return Table(
        "precision",
        f"{len(models)} models of {results.name}, {len(images)} attack images, {params['method']}; {name}. All against "
        "the first row, over pairs of different models. Shift: largest change of a pair's SAT, and as a share of half "
        "of its interval (95 %). Other start: the same attack with other random starts, which is what no precision "
        "need be better than. Images/s of attack and evaluation are of one run, without reading.",
        (
            "attack",
            "evaluation",
            "white-box mean (least)",
            "clean predictions changed",
            "rank correlation of SAT",
            "of affinity",
            "SAT shift",
            "of half an interval",
            "median of it",
            "affinity shift",
            "attack images/s",
            "evaluation images/s",
        ),
        rows,
    )


def _attack(
    classifiers: Mapping[str, Classifier],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    params: Mapping[str, Any],
    setting: Setting,
    device: str,
) -> tuple[dict[str, NDArray[np.integer]], float]:
    """Attack every model on all images; those that it gets wrong are not counted later."""
    pin(setting.attack, device)
    seed = params.get("seed", 0) + OTHER_START * setting.other_start
    found, seconds = {}, 0.0
    for name, classifier in classifiers.items():
        classifier.precision = setting.attack
        own = {**params, "model": name, "seed": seed}

        def work(
            where: slice, own: Mapping[str, Any] = own, classifier: Classifier = classifier
        ) -> NDArray[np.integer]:
            return apply.attack(classifier, images[where], labels[where], ids[where], own, device).perturbation

        work(slice(0, 16))  # warms up
        begun = time.perf_counter()
        parts = [part for _, part in in_batches(len(images), Batch(BATCH), work)]
        seconds += time.perf_counter() - begun
        found[name] = np.concatenate(parts)
    return found, seconds


def _evaluate(
    classifiers: Mapping[str, Classifier],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    params: Mapping[str, Any],
    attacked: tuple[dict[str, NDArray[np.integer]], float],
    setting: Setting,
    device: str,
) -> Found:
    """Predict clean, noisy and adversarial images as the stages do, and compute the matrices as `similarity` does."""
    pin(setting.evaluation, device)
    models = list(classifiers)
    adversarial, attack_seconds = attacked
    everything = np.ones(len(images), bool)
    clean: dict[str, NDArray[np.int16]] = {}
    errors = Predictions({}, {}, {})
    for target, classifier in classifiers.items():
        classifier.precision = setting.evaluation
        clean[target] = predict(classifier, images, BATCH, device).argmax(1).astype(np.int16)
        errors.correct[target] = clean[target] == labels
    random = Noise(ids, images.shape[1:], {"eps": params["eps"], "seed": params.get("seed", 0)})
    sources = [Source(Held(adversarial[source]), everything) for source in models]
    noisy, _ = _wrong(classifiers, images, labels, [Source(random, everything)], device)
    errors.fooled_by_noise.update(zip(models, noisy[:, 0], strict=True))
    wrong, seconds = _wrong(classifiers, images, labels, sources, device)
    for row, target in enumerate(models):
        for column, source in enumerate(models):
            errors.fooled[source, target] = wrong[row, column]
    pairs = pair_table(errors.correct, errors.fooled, errors.fooled_by_noise, 0.01)
    unordered = unordered_pairs(pairs, 0.01)
    affinity = fit_affinity(symmetric_log_odds(directed_log_odds(pairs, models))).matrix
    rates = pairs["rate"].to_numpy().reshape(len(models), len(models))
    predictions = np.stack([clean[name] for name in models])
    return Found(unordered, sat_matrix(unordered, models), affinity, predictions, attack_seconds, seconds, rates)


def _wrong(
    classifiers: Mapping[str, Classifier],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    sources: Sequence[Source],
    device: str,
) -> tuple[NDArray[np.bool_], float]:
    """Say where targets err, shape (targets, sources, images), and how many seconds it took."""
    wrong = np.zeros((len(classifiers), len(sources), len(images)), bool)
    begun = time.perf_counter()
    for found in evaluate(classifiers, images, sources, BATCH, device):
        wrong[found.target, found.source, found.rows] = found.prediction != labels[found.rows]
    return wrong, time.perf_counter() - begun


def _row(setting: Setting, found: Found, first: Found, images: int, models: int) -> tuple[object, ...]:
    upper = np.triu_indices(models, 1)
    sat, base = found.sat.to_numpy()[upper], first.sat.to_numpy()[upper]
    wide = first.unordered.assign(half=(first.unordered["sat_high"] - first.unordered["sat_low"]) / 2)
    half = sat_matrix(wide.drop(columns="sat").rename(columns={"half": "sat"}), list(first.sat)).to_numpy()[upper]
    affinity, base_affinity = (one.affinity.to_numpy()[upper] for one in (found, first))
    shift = np.abs(sat - base)
    return (
        setting.attack + (", other start" if setting.other_start else ""),
        setting.evaluation,
        f"{found.whitebox.mean():.4f} ({found.whitebox.min():.4f})",
        f"{(found.clean != first.clean).mean():.4%}",
        f"{spearmanr(sat, base)[0]:.4f}",
        f"{spearmanr(affinity, base_affinity)[0]:.4f}",
        f"{shift.max():.3f}",
        f"{(shift / half).max():.2f}",
        f"{np.median(shift / half):.3f}",
        f"{np.abs(affinity - base_affinity).max():.3f}",
        f"{images * models / found.attack_seconds:.0f}",
        f"{images * models * models / found.evaluation_seconds:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--results", type=Path, default=DIGITS, help="folder of a finished study (default: the demo's)")
    parser.add_argument("--models", nargs="+", default=(), help="models of it (default: all)")
    parser.add_argument("--images", type=int, help="number of attack images (default: all)")
    arguments = parser.parse_args()
    print(measure(arguments.results, arguments.device, arguments.models, arguments.images))


if __name__ == "__main__":
    main()
