"""Draw the figures."""

from __future__ import annotations

import argparse

from sat.cli.outputs import write_figure
from sat.stages.common import add_step, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--similarity", nargs="*", default=[], help="most_similar.csv and models.csv, where they are")
    parser.add_argument("--clusters", required=True, help="analysis/clusters.csv")
    parser.add_argument("--features", required=True, help="analysis/spectral_features.csv")
    parser.add_argument("--tsne", required=True, help="analysis/tsne.csv")
    parser.add_argument("--cluster-map", required=True, help="figures/clustermap.svg")
    parser.add_argument("--tsne-figure", required=True, help="figures/tsne.svg")
    parser.add_argument("--tsne-components", required=True, help="figures/tsne_components.svg")
    parser.add_argument("--distances", required=True, help="figures/distances.svg")
    parser.add_argument("--dendrogram", required=True, help="figures/dendrogram.svg")


def run(arguments: argparse.Namespace) -> None:
    """Read the tables, draw, write."""
    from sat.analyses.figures.drawing import (
        cluster_map,
        dendrogram_figure,
        distances_figure,
        tsne_components_figure,
        tsne_figure,
    )
    from sat.store.tables import read_matrix, read_table

    job = start(arguments)
    matrix = read_matrix(job.input("sat", arguments.sat))
    clusters = read_table(job.input("clusters", arguments.clusters))
    features = read_table(job.input("features", arguments.features)).set_index("model").rename_axis(None)
    tsne = read_table(job.input("tsne", arguments.tsne))
    most_similar = models = None
    if arguments.similarity:
        most_similar = read_table(job.input("most_similar", arguments.similarity[0]))
        models = read_table(job.input("models", arguments.similarity[1])).set_index("model")
    families = job.step.params.get("families") or models["family"].to_dict()  # type: ignore[index]
    drawn = {
        arguments.cluster_map: cluster_map(matrix, families, models, most_similar),
        arguments.tsne_figure: tsne_figure(tsne, clusters, families),
        arguments.tsne_components: tsne_components_figure(tsne, job.step.params["columns"]),
        arguments.distances: distances_figure(features, clusters),
        arguments.dendrogram: dendrogram_figure(matrix, families, models),
    }
    for path, figure in drawn.items():
        write_figure(job, path, figure)
