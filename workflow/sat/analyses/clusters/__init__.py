"""Find families of models: spectral clusters, how firm they are, and their t-SNE picture."""

from __future__ import annotations

import argparse

from sat.stages.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--clusters", required=True, help="analysis/clusters.csv")
    parser.add_argument("--features", required=True, help="analysis/spectral_features.csv")
    parser.add_argument("--tsne", required=True, help="analysis/tsne.csv")
    parser.add_argument("--choose-k", required=True, help="analysis/choose_k.csv")
    parser.add_argument("--membership", required=True, help="analysis/membership.csv")


def run(arguments: argparse.Namespace) -> None:
    """Cluster the models that have no NaN."""
    import pandas as pd

    from sat.analyses.clusters.spectral import (
        choose_k,
        membership_over_starts,
        spectral_clusters,
        tsne_picture,
        without_nan,
    )
    from sat.errors import SatError
    from sat.store.tables import read_matrix, write_tables

    job = start(arguments)
    params = job.step.params
    matrix, dropped = without_nan(read_matrix(job.input("sat", arguments.sat)))
    for model in dropped:
        log.warning("%s: has no image in common with some other model, and is left out", model)
    for model in (lonely := matrix.index[(matrix <= 0).all(axis=1)]):
        log.warning("%s: has no SAT above 0, not even with itself, and is left out", model)
    matrix, dropped = matrix.drop(index=lonely, columns=lonely), [*dropped, *lonely]
    if matrix.empty:
        raise SatError(f"{arguments.sat}: no model is left to be clustered; see the warnings in the log.")
    k = min(params["k"], len(matrix))
    if k < params["k"]:
        log.warning("%d clusters instead of %d: no more models are left", k, params["k"])
    found = spectral_clusters(matrix, k, params["starts"], params["seed"])
    if found.n_clipped:
        log.warning("%d pairs have SAT below 0 and count as 0", found.n_clipped)
    picture = tsne_picture(found.features, params["perplexity"], params["seed"])
    if picture is None:
        log.warning("t-SNE is skipped: %d models, and it needs 4", len(matrix))
        picture = pd.DataFrame(columns=["model", "x", "y"])
    choice = choose_k(matrix, seed=params["seed"])
    if choice.empty:
        log.warning("there is no number of clusters to choose: %d models, and it needs 3", len(matrix))
    facts = {
        "dropped": dropped,
        "n_clipped": found.n_clipped,
        "inertia": found.inertia,
        "k": k,
        "k_of_largest_gap": choice["k"][choice["largest_gap"]].tolist(),
        "k_of_best_silhouette": choice["k"][choice["silhouette"] == choice["silhouette"].max()].tolist(),
    }
    log.info(
        "%d clusters, inertia %.4f; the largest gap is at %s, the best silhouette at %s",
        k,
        found.inertia,
        facts["k_of_largest_gap"],
        facts["k_of_best_silhouette"],
    )
    write_tables(
        job,
        {
            arguments.clusters: found.table,
            arguments.features: found.features.rename_axis("model").reset_index(),
            arguments.tsne: picture,
            arguments.choose_k: choice,
            arguments.membership: membership_over_starts(matrix, found, seed=params["seed"]),
        },
        **facts,
    )
