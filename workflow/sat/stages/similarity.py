"""Turn predictions into the pair table and the SAT matrix."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.similarity.predictions import add_predictions, read_predictions
from sat.stages.common import add_step, log, start

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    add_predictions(parser)
    parser.add_argument("--pairs", required=True, help="similarity/pairs.parquet")
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--most-similar", required=True, help="similarity/most_similar.csv")
    parser.add_argument("--models", required=True, help="similarity/models.csv")


def run(arguments: argparse.Namespace) -> None:
    """Collect all predictions, count, write."""
    from sat.similarity.similarity import model_table, pair_table, sat_matrix, unordered_pairs
    from sat.store.tables import write_tables

    job = start(arguments)
    params = job.step.params
    models = sorted(params["models"])
    count = params.get("attack_images")
    found = read_predictions(job, arguments.images, arguments.clean, arguments.tiles, models, count)
    pairs = pair_table(found.correct, found.fooled, found.fooled_by_noise, params["eps_s"], params["confidence"])
    unordered = unordered_pairs(pairs, params["eps_s"], params["confidence"])
    matrix = sat_matrix(unordered, models)
    table = model_table(
        pairs,
        params["models"],
        found.accuracy,
        params["min_whitebox"],
        params.get("published_top1"),
        params.get("max_published_gap", 0.0),
    )
    facts = {
        "n_models": len(models),
        "pairs_without_common_images": _names(unordered[unordered["n_both_correct"] == 0]),
        "pairs_at_floor": _names(unordered[unordered["at_floor"]]),
        "pairs_not_above_noise": _names(unordered[~unordered["above_noise"]]),
        "models_below_min_whitebox": table["model"][table["low_whitebox"]].tolist(),
        "models_off_published": table["model"][table["off_published"]].tolist() if "off_published" in table else [],
    }
    for fact, meaning in (
        ("pairs_without_common_images", "no image is classified correctly by both, so SAT is NaN"),
        ("pairs_at_floor", "mean transfer below eps_s"),
        (
            "models_below_min_whitebox",
            f"white-box success below {params['min_whitebox']:g}: row and column are too low",
        ),
        (
            "models_off_published",
            f"accuracy more than {params.get('max_published_gap')} points off the published one: other weights, "
            "classes or preprocessing?",
        ),
    ):
        for name in facts[fact]:
            log.warning("%s: %s", name, meaning)
    log.info("%d of %d pairs are not above noise", len(facts["pairs_not_above_noise"]), len(unordered))
    tables = {
        arguments.pairs: pairs,
        arguments.sat: matrix.rename_axis("model").reset_index(),
        arguments.most_similar: unordered,
        arguments.models: table,
    }
    write_tables(job, tables, **facts)


def _names(unordered: pd.DataFrame) -> list[str]:
    return [f"{pair.model_a} and {pair.model_b}" for pair in unordered.itertuples()]
