"""Turn predictions into the pair table and the SAT matrix."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.cli.common import add_step, log, progress, start

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models in use")
    parser.add_argument("--tiles", required=True, nargs="+", help="all tiles that hold them")
    parser.add_argument("--pairs", required=True, help="similarity/pairs.parquet")
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--most-similar", required=True, help="similarity/most_similar.csv")
    parser.add_argument("--models", required=True, help="similarity/models.csv")


def run(arguments: argparse.Namespace) -> None:
    """Collect all predictions, count, write."""
    from sat.similarity.similarity import model_table, pair_table, sat_matrix, unordered_pairs
    from sat.store import hdf5
    from sat.store.artefact import read_sidecar, replacing

    job = start(arguments)
    params = job.step.params
    models = sorted(params["models"])
    with hdf5.reading(job.input("images", arguments.images)) as file:
        labels = file["label"][:]
    correct, accuracy = {}, {}
    for model, path in zip(models, job.input_group("clean", arguments.clean), strict=True):
        with hdf5.reading(path) as file:
            correct[model] = file["attack_prediction"][:] == labels
        accuracy[model] = read_sidecar(path)["facts"]["accuracy"]
    fooled, fooled_by_noise = {}, {}
    for path in progress(job.input_group("tiles", arguments.tiles), "tiles", len(arguments.tiles)):
        with hdf5.reading(path) as file:
            targets, sources = file["target"].asstr()[:], file["source"].asstr()[:]
            wrong = file["prediction"][:] != labels
            noise = file["noise_prediction"][:] != labels if "noise_prediction" in file else None
        for row, target in enumerate(targets):
            if target not in correct:
                continue  # retired
            if noise is not None:
                fooled_by_noise[target] = noise[row]
            for column, source in enumerate(sources):
                if source in correct:
                    fooled[source, target] = wrong[row, column]
    pairs = pair_table(correct, fooled, fooled_by_noise, params["eps_s"], params["confidence"])
    unordered = unordered_pairs(pairs, params["eps_s"], params["confidence"])
    matrix = sat_matrix(unordered, models)
    table = model_table(
        pairs,
        params["models"],
        accuracy,
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
    for path, frame in (
        (arguments.pairs, pairs),
        (arguments.sat, matrix.rename_axis("model").reset_index()),
        (arguments.most_similar, unordered),
        (arguments.models, table),
    ):
        with replacing(path) as temporary:
            if path == arguments.pairs:
                frame.to_parquet(temporary, index=False)
            else:
                frame.to_csv(temporary, index=False)
        job.finish(path, **facts)


def _names(unordered: pd.DataFrame) -> list[str]:
    return [f"{pair.model_a} and {pair.model_b}" for pair in unordered.itertuples()]
