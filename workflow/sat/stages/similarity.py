"""Turn predictions into the pair table and the SAT matrix."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sat.errors import SatError
from sat.logs import log, progress
from sat.stages.common import start

if TYPE_CHECKING:
    import pandas as pd

    from sat.similarity.predictions import Predictions
    from sat.store.artefact import Job


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models in use")
    parser.add_argument("--tiles", required=True, nargs="+", help="all tiles that hold them")
    parser.add_argument("--pairs", required=True, help="similarity/pairs.parquet")
    parser.add_argument("--sat", help="similarity/sat.csv; not in a study with landmarks, where it is estimated")
    parser.add_argument("--affinity", help="similarity/affinity.csv; likewise")
    parser.add_argument("--most-similar", required=True, help="similarity/most_similar.csv")
    parser.add_argument("--models", required=True, help="similarity/models.csv")


def run(arguments: argparse.Namespace) -> None:
    """Collect all predictions, compute the tables, and write them."""
    from sat.similarity.affinity import directed_log_odds, fit_affinity, symmetric_log_odds
    from sat.similarity.similarity import model_table, pair_table, sat_matrix, unordered_pairs
    from sat.statistics.published import REMARK
    from sat.store.tables import write_tables
    from sat.text import LOW_WHITEBOX

    job = start(arguments)
    params = job.step.params
    models = sorted(params["models"])
    found, clean = _read(job, arguments, models)
    pairs = pair_table(found.correct, found.fooled, found.fooled_by_noise, params["eps_s"], params["confidence"])
    unordered = unordered_pairs(pairs, params["eps_s"], params["confidence"])
    # A model with itself is the diagonal of the matrix, and the white-box success in the table of models.
    different = unordered[unordered["model_a"] != unordered["model_b"]]
    matrices, reason = {}, {}
    if arguments.sat:
        affinity = fit_affinity(symmetric_log_odds(directed_log_odds(pairs, models)))
        if affinity.reason:
            log.warning("no affinity: %s", affinity.reason)
        matrices = {arguments.sat: sat_matrix(unordered, models), arguments.affinity: affinity.matrix}
        reason = {"no_affinity": affinity.reason}
    table = model_table(
        pairs,
        params["models"],
        {model: facts["accuracy"] for model, facts in clean.items()},
        params["min_whitebox"],
        params.get("published_top1"),
        params.get("max_published_gap", 0.0),
        {model: facts["n_images"] for model, facts in clean.items()},
        params.get("above_published"),
    )
    above, off = (
        table["model"][table[column]].tolist() if column in table else []
        for column in ("above_published", "off_published")
    )
    facts = {
        "n_models": len(models),
        **reason,
        "pairs_without_common_images": _names(different[different["n_both_correct"] == 0]),
        "pairs_at_floor": _names(different[different["at_floor"]]),
        "pairs_not_above_noise": _names(different[~different["above_noise"]]),
        "models_below_min_whitebox": table["model"][table["low_whitebox"]].tolist(),
        "models_off_published": off,
    }
    if above:
        facts["models_above_published"] = above
    for fact, meaning in (
        ("pairs_without_common_images", "no image is classified correctly by both, so SAT is NaN"),
        ("pairs_at_floor", "mean transfer below eps_s"),
        (
            "models_below_min_whitebox",
            f"white-box success below {params['min_whitebox']:g}: {LOW_WHITEBOX}",
        ),
        (
            "models_off_published",
            f"accuracy more than {params.get('max_published_gap')} points off the published one: other weights, "
            "classes or preprocessing?",
        ),
        ("models_above_published", f"accuracy far above the published one: {REMARK}"),
    ):
        for name in facts.get(fact, ()):
            log.warning("%s: %s", name, meaning)
    log.info("%d of %d pairs are not above noise", len(facts["pairs_not_above_noise"]), len(different))
    found = different[different["above_noise"]]
    log.info(
        "of the %d pairs above noise, %d are so in one direction only, and %d remain after Holm's "
        "adjustment for the number of pairs",
        len(found),
        (found["directions_above"] == 1).sum(),
        (found["noise_p_holm"] <= (1 - params["confidence"]) / 2).sum(),
    )
    tables = {
        arguments.pairs: pairs,
        **{path: matrix.rename_axis("model").reset_index() for path, matrix in matrices.items()},
        arguments.most_similar: different,
        arguments.models: table,
    }
    write_tables(job, tables, **facts)


def _read(job: Job, arguments: argparse.Namespace, models: list[str]) -> tuple[Predictions, dict[str, dict[str, Any]]]:
    """Read the errors of all models on the attack images that count, and every model's accuracy and what it is of."""
    from sat.similarity.predictions import collect_predictions
    from sat.store import hdf5

    count = job.step.params.get("attack_images")
    with hdf5.reading(job.input("images", arguments.images)) as file:
        labels = file["label"][:count]
    if count and len(labels) < count:
        raise SatError(
            f"{arguments.images}: holds {len(labels)} attack images, and the variant asks for {count}; lower its "
            "attack_images."
        )
    paths = dict(zip(models, job.input_group("clean", arguments.clean), strict=True))
    clean = dict(zip(models, (file["attack_prediction"][:] for file in hdf5.one_by_one(paths.values())), strict=True))
    tiles = job.input_group("tiles", arguments.tiles)
    found = collect_predictions(labels, clean, progress(hdf5.one_by_one(tiles), "tiles", len(tiles)))
    return found, {model: job.facts(path, "accuracy", "n_images") for model, path in paths.items()}


def _names(unordered: pd.DataFrame) -> list[str]:
    return [f"{pair.model_a} and {pair.model_b}" for pair in unordered.itertuples()]
