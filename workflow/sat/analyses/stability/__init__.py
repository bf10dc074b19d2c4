"""Say how much of the matrix is the choice of images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.cli.outputs import write_figure
from sat.similarity.predictions import add_predictions, read_predictions
from sat.stages.common import add_step, log, progress, start

if TYPE_CHECKING:
    import pandas as pd

    from sat.similarity.resampling import Replicates

CLUSTERED = 100
"""Replicates that are clustered at most: a share over more would hardly be finer, and each takes k-means."""
REPEATS = 50
"""Pairs of disjoint samples for each number of images."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--clusters", required=True, help="analysis/clusters.csv")
    add_predictions(parser)
    parser.add_argument("--stability", required=True, help="analysis/stability.csv")
    parser.add_argument("--curve", required=True, help="analysis/stability_curve.csv")
    parser.add_argument("--membership", required=True, help="analysis/stability_membership.csv")
    parser.add_argument("--figure", required=True, help="figures/stability.svg")


def run(arguments: argparse.Namespace) -> None:
    """Resample the images, compare, write."""
    import numpy as np

    from sat.analyses.clusters.spectral import membership_over_matrices
    from sat.analyses.stability.figure import stability_figure
    from sat.errors import SatError
    from sat.similarity.resampling import bootstrap, curve_sizes, enough_images, stability_curve
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    params = job.step.params
    models = sorted(params["models"])
    matrix = read_matrix(job.input("sat", arguments.sat)).loc[models, models]
    clusters = read_table(job.input("clusters", arguments.clusters))
    found = read_predictions(job, arguments.images, arguments.clean, arguments.tiles, models)
    scores = found.scores(models)
    images = scores.both.shape[1]

    drawn = bootstrap(scores, params["eps_s"], params["replicates"], params["seed"])
    if not np.allclose(drawn.measured, matrix.to_numpy(float)[drawn.first, drawn.second], equal_nan=True):
        raise SatError(f"{arguments.sat}: is not what the tiles say; 'python -m sat verify --full' finds the culprit.")
    if holes := int(np.isnan(drawn.measured).sum()):
        log.warning("%d pairs have no image in common, and are left out", holes)
    stability = _statistics(drawn, params["models"], params["confidence"])

    curve = stability_curve(scores, curve_sizes(images), params["eps_s"], REPEATS, params["seed"])
    known = curve[curve["n"] > 0].reset_index(drop=True)
    if known.empty:
        log.warning(
            "no stability curve: a rank correlation needs 3 pairs of two models that differ, and images for two "
            "samples; there are %d models and %d images",
            len(models),
            images,
        )
    elif len(known) < len(curve):
        log.warning("no rank correlation with %s images", curve["images"][curve["n"] == 0].tolist())
    enough = enough_images(known, params["correlation"])
    if len(known):
        log.info("images for a rank correlation of %g: %s", params["correlation"], enough or "more than half of them")

    # Models that were left out of the clustering would draw others into clusters that it does not have.
    kept = clusters["model"].tolist()
    k = min(params["k"], len(kept))
    clustered = min(params["replicates"], CLUSTERED)
    replicates = (drawn.matrix(row).loc[kept, kept] for row in progress(range(clustered), "clusterings", clustered))
    membership = membership_over_matrices(replicates, clusters, k, seed=params["seed"])
    for model in membership["model"][membership["n_replicates"] == 0]:
        log.warning("%s: in no replicate that can be clustered", model)

    facts = {
        "n_images": images,
        "replicates": params["replicates"],
        "clustered": clustered,
        "pairs_without_common_images": holes,
        "correlation": params["correlation"],
        "images_for_correlation": enough,
    }
    tables = {arguments.stability: stability, arguments.curve: known, arguments.membership: membership}
    write_tables(job, tables, **facts)
    write_figure(job, arguments.figure, stability_figure(known, params["correlation"], enough), **facts)


def _statistics(drawn: Replicates, families: dict[str, str], confidence: float) -> pd.DataFrame:
    """Statistics of the matrix and its rank correlations as one table; without those of too few pairs, with a warning.

    Returns
    -------
    DataFrame
        statistic, n_pairs, value, low, high, level (share of the replicates from low to high).
    """
    import numpy as np
    import pandas as pd

    from sat.similarity.resampling import matrix_statistics, rank_stability

    n_pairs = int((drawn.off_diagonal & ~np.isnan(drawn.measured)).sum())
    ranks = rank_stability(drawn).rename(columns={"mean": "value", "p05": "low", "p95": "high"})
    names = {"replicates": "rank_correlation_of_replicates", "measured": "rank_correlation_with_measured"}
    ranks = ranks.assign(statistic=ranks["between"].map(names), n_pairs=n_pairs, level=0.9)
    means = matrix_statistics(drawn, families, confidence).assign(level=confidence)
    table = pd.concat([means, ranks[list(means.columns)]], ignore_index=True)
    # One pair has a spread of 0, which says nothing.
    known = table["value"].notna() & ((table["statistic"] != "sd") | (n_pairs > 1))
    for name in table["statistic"][~known]:
        log.warning("%s: too few pairs", name)
    return table[known].reset_index(drop=True)
