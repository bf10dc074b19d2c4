"""Estimate the pairs that were not measured, from the others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.logs import log
from sat.stages.common import start

if TYPE_CHECKING:
    import pandas as pd

    from sat.similarity.landmarks import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--pairs", required=True, help="similarity/pairs.parquet")
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--affinity", required=True, help="similarity/affinity.csv")
    parser.add_argument("--estimated", required=True, help="similarity/estimated.csv")
    parser.add_argument("--landmarks", required=True, help="similarity/landmarks.csv")


def run(arguments: argparse.Namespace) -> None:
    """Complete the matrices, and write which entries are estimates and how sure they are."""
    from sat.similarity.affinity import directed_log_odds, fit_affinity, symmetric_log_odds
    from sat.similarity.landmarks import error_by_count, error_table, estimate_pairs
    from sat.similarity.similarity import sat_matrix, unordered_pairs
    from sat.statistics.pairs import square_of
    from sat.store.tables import read_table, write_tables

    job = start(arguments)
    params = job.step.params
    models, landmarks = sorted(params["models"]), params["landmarks"]
    pairs = read_table(job.input("pairs", arguments.pairs))
    measured = sat_matrix(unordered_pairs(pairs, params["eps_s"], params["confidence"]), models)
    sat = estimate_pairs(measured, landmarks, params["confidence"])
    half = estimate_pairs(symmetric_log_odds(directed_log_odds(pairs, models)), landmarks, params["confidence"])
    affinity = fit_affinity(half.matrix)
    table = estimated_pairs(sat, half, affinity.matrix, params["eps_s"])
    matrix = sat.matrix.where(~sat.estimated, square_of(table, "sat", models))
    errors = error_table(sat, params["models"], landmarks)
    log.info(
        "%d pairs estimated from %d landmarks: SAT +- %.2f, affinity +- %.2f",
        len(table),
        len(landmarks),
        sat.half,
        half.half,
    )
    for model in errors["model"][errors["unlike"]]:
        log.warning("%s: is unlike all landmarks, so its estimates may be further off than their intervals say", model)
    facts = {
        "n_models": len(models),
        "n_landmarks": len(landmarks),
        "n_estimated": len(table),
        "sat_error": sat.error,
        "sat_error_of_fewer": error_by_count(measured, landmarks, sat.penalty),
        "affinity_error": half.error,
        "models_unlike_landmarks": errors["model"][errors["unlike"]].tolist(),
        "no_affinity": affinity.reason,
    }
    tables = {
        arguments.sat: matrix.rename_axis("model").reset_index(),
        arguments.affinity: affinity.matrix.rename_axis("model").reset_index(),
        arguments.estimated: table,
        arguments.landmarks: errors,
    }
    write_tables(job, tables, **facts)


def estimated_pairs(sat: Estimate, half: Estimate, affinity: pd.DataFrame, eps_s: float) -> pd.DataFrame:
    """Table of the estimated pairs, the most similar first.

    Parameters
    ----------
    sat, half : Estimate
        Of SAT, and of the mean log-odds of both directions.
    affinity : DataFrame, shape (n, n)
    eps_s : float
        Floor of the mean transfer success, in per cent.

    Returns
    -------
    DataFrame
        Columns: model_a < model_b, sat, sat_low, sat_high, affinity, affinity_low, affinity_high.
    """
    import numpy as np
    import pandas as pd

    a, b = np.nonzero(np.triu(sat.estimated.to_numpy(), 1))
    names = sat.matrix.index.to_numpy()
    table = pd.DataFrame({"model_a": names[a], "model_b": names[b]})
    for name, matrix, width in (("sat", sat.matrix, sat.half), ("affinity", affinity, half.half)):
        values = matrix.to_numpy(float)[a, b]
        for column, shift in (("", 0.0), ("_low", -width), ("_high", width)):
            table[f"{name}{column}"] = values + shift
    # SAT has a floor, and a rate is at most 100 %.
    columns = ["sat", "sat_low", "sat_high"]
    table[columns] = table[columns].clip(np.log(eps_s), np.log(100))
    return table.sort_values("sat", ascending=False, kind="stable", ignore_index=True)
