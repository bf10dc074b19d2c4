"""Recommend models to combine, or a teacher for a student.

An ensemble is tried on images that had no part in choosing it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sat.logs import log

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from sat.analyses.ensembles.averaging import Recommendation
    from sat.similarity.predictions import Predictions
    from sat.stages.given import Given
    from sat.study.plan import Plan
    from sat.study.study import Study

GROUP = "Read its results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument(
        "what",
        choices=("ensemble", "teacher"),
        help="ensemble: models whose probabilities are averaged; teacher: a model to distil a student from",
    )
    parser.add_argument("--size", type=int, help="for an ensemble: number of models to combine")
    parser.add_argument("--student", metavar="MODEL", help="for a teacher: the model that learns from it")
    parser.add_argument(
        "--from", nargs="+", dest="pool", metavar="MODEL", help="choose among these (default: all models in use)"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="for an ensemble: percentage points that its members' mean accuracy may lie below the best (default: 1)",
    )
    parser.add_argument(
        "--splits",
        type=int,
        default=1,
        metavar="N",
        help="for an ensemble: choose on N different halves of the images, and say how often that was better "
        "(default: 1)",
    )
    add_study(parser, positional=False)


def run(arguments: argparse.Namespace) -> None:
    """Recommend an ensemble or a teacher."""
    from sat.cli.teachers import recommend_teacher
    from sat.cli.tools import existing_results, study_of

    study = study_of(arguments)
    _check(arguments, study)
    if arguments.what == "teacher":
        recommend_teacher(study, existing_results(arguments, study), arguments.student, arguments.pool)
    else:
        recommend_ensemble(arguments, study)


def recommend_ensemble(arguments: argparse.Namespace, study: Study) -> None:
    """Choose an ensemble on one half of the evaluation images and report on the other; repeat with other halves."""
    import numpy as np

    from sat.analyses.ensembles.averaging import Pool, of_the_same_classes, recommend
    from sat.cli.tools import existing_results, plan_of, there
    from sat.errors import SatError
    from sat.similarity.predictions import predictions_of
    from sat.status.recommendation import describe_recommendation, describe_splits, ensemble_advice
    from sat.store import hdf5

    plan, results = plan_of(study), existing_results(arguments, study)
    config, pool_names = study.config, _pool(arguments, study)
    with hdf5.reading(there(results / "images/attack.h5")) as file:
        attacked = file["id"][:]
    with _given(plan, results, "stability") as given:
        predictions = predictions_of(given)
    with _given(plan, results, "ensembles") as given:
        clusters = given["clusters"].set_index("model")["cluster"].to_dict()
        labels, ids = given["eval_images"]["label"][:], given["eval_images"]["id"][:]
        files = {name: given["clean"][name] for name in pool_names}
        logits, others = of_the_same_classes({name: file["eval_logits"] for name, file in files.items()})
        for name in others:
            log.warning("%s: has a different number of classes from most models, and is left out", name)
        found: list[Recommendation] = []
        weak, no_affinity = frozenset[str](), ""
        try:
            pool = Pool.of(logits, {name: files[name]["eval_prediction"][:] for name in logits}, labels)
            for split in range(arguments.splits):
                choosing = choosing_half(ids, attacked, config.seed + split)
                measured = similarity_of(plan, predictions, np.isin(attacked, ids[choosing]))
                if split == 0:
                    weak, no_affinity = measured.weak, measured.no_affinity
                found.append(
                    recommend(
                        pool,
                        choosing,
                        {"sat": measured.sat, "affinity": measured.affinity},
                        arguments.size,
                        arguments.tolerance / 100,
                        clusters,
                        confidence=config.confidence,
                        seed=config.seed,
                    )
                )
        except ValueError as error:
            raise SatError(f"study {study.name}: no ensemble can be recommended: {error}.") from None
    # All halves have the same size.
    images = int(choosing.sum()), int((~choosing).sum())
    shown = [name for name in found[0].members if name in weak]
    print(describe_recommendation(found[0], study.name, len(logits), images, config.confidence, no_affinity, shown))
    print(describe_splits(found))
    print(ensemble_advice(found[0]))


def choosing_half(ids: NDArray[np.integer], attacked: NDArray[np.integer], seed: int) -> NDArray[np.bool_]:
    """Split the evaluation images into one half to choose on and one half to report on.

    Images are drawn by their ids, so that their order does not matter.

    Parameters
    ----------
    ids : int array, shape (n,)
        Ids of the evaluation images.
    attacked : int array
        Ids of the attack images.
    seed : int

    Returns
    -------
    bool array, shape (n,)
        The half to choose on. It holds all attack images if these are no more than half; else
        it is drawn from all images.
    """
    import numpy as np

    from sat.seeds import key

    is_attacked = np.isin(ids, attacked)
    size = (len(ids) + 1) // 2
    all_fit = bool(is_attacked.sum() <= size)
    draw = {image: key("images to choose on", seed, image) for image in ids.tolist()}
    order = sorted(range(len(ids)), key=lambda row: (all_fit and not is_attacked[row], draw[int(ids[row])]))
    choosing = np.zeros(len(ids), bool)
    choosing[order[:size]] = True
    return choosing


def _check(arguments: argparse.Namespace, study: Study) -> None:
    """Refuse what can be seen to be wrong without any results."""
    from sat.errors import SatError
    from sat.study.spelling import did_you_mean

    if study.config.matrix:
        raise SatError(
            f"study {study.name}: starts from a matrix, so it has no images on which to test {arguments.what}s."
        )
    if arguments.what == "teacher" and not arguments.student:
        raise SatError("recommend teacher: name the student: --student MODEL.")
    if arguments.what == "ensemble" and arguments.size is None:
        raise SatError("recommend ensemble: say how many models to combine: --size 3.")
    if arguments.size is not None and arguments.size < 2:
        raise SatError(f"--size {arguments.size}: an ensemble has two members or more.")
    if arguments.splits < 1:
        raise SatError(f"--splits {arguments.splits}: write 1 or more.")
    if not 0 <= arguments.tolerance <= 100:
        raise SatError(f"--tolerance {arguments.tolerance:g}: write percentage points from 0 to 100.")
    student = [("--student", arguments.student)] if arguments.student else []
    for key, name in (*student, *(("--from", name) for name in arguments.pool or ())):
        if name not in study.used:
            those = did_you_mean(name, study.used, f"there are {', '.join(study.used)}.", 0.4)
            raise SatError(f"{key} {name}: study {study.name} has no active model of this name; {those}")


def _pool(arguments: argparse.Namespace, study: Study) -> list[str]:
    """Find the models to choose among.

    Raises
    ------
    SatError
        If there are fewer than an ensemble takes.
    """
    from sat.errors import SatError

    pool = sorted(set(arguments.pool or study.used))
    if len(pool) < arguments.size:
        raise SatError(
            f"--size {arguments.size}: only {len(pool)} model(s) to choose among; take a smaller size"
            f"{', or name more models after --from' if arguments.pool else ''}."
        )
    return pool


@dataclass(frozen=True)
class Measured:
    """Similarity of the models in use on some of the attack images."""

    sat: pd.DataFrame
    """Shape (n, n)."""
    affinity: pd.DataFrame
    """Affinity within all models in use, shape (n, n)."""
    no_affinity: str
    """Why there is no affinity; empty where there is."""
    weak: frozenset[str]
    """Models with a white-box success below the study's `min_whitebox`."""


def similarity_of(plan: Plan, predictions: Predictions, counted: NDArray[np.bool_]) -> Measured:
    """Measure similarity on some of the attack images, as the stage `similarity` does on all of them.

    Parameters
    ----------
    plan : Plan
    predictions : Predictions
        On all attack images.
    counted : bool array, shape (attack images,)
        The attack images that count.

    Returns
    -------
    Measured
    """
    from sat.similarity.affinity import directed_log_odds, fit_affinity, symmetric_log_odds
    from sat.similarity.similarity import pair_table, sat_matrix, unordered_pairs

    config = plan.config
    found = predictions.on(counted)
    models = sorted(found.correct)
    pairs = pair_table(found.correct, found.fooled, found.fooled_by_noise, config.eps_s, config.confidence)
    affinity = fit_affinity(symmetric_log_odds(directed_log_odds(pairs, models)))
    own = pairs[pairs["source"] == pairs["target"]]
    return Measured(
        sat_matrix(unordered_pairs(pairs, config.eps_s, config.confidence), models),
        affinity.matrix,
        affinity.reason,
        frozenset(own["source"][~(own["rate"] >= config.min_whitebox)]),
    )


def _given(plan: Plan, results: Path, analysis: str) -> Given:
    """The inputs of an analysis, with the same checks as in its job."""
    from sat.cli.tools import there
    from sat.stages.given import Given
    from sat.store.artefact import Job

    unit, step = plan.analyses[analysis], plan.analysis(analysis)[0].step
    paths = [there(results / artefact.path) for path in unit.inputs.values() for artefact in plan.find(path)]
    return Given(unit, Job(step), paths)
