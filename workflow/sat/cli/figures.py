"""Draw the figures."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, start

TABLES = ("sat", "most_similar", "models", "clusters", "tsne")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    for name in TABLES:
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, help=f"{name}.csv")
    parser.add_argument("--cluster-map", required=True, help="figures/clustermap.svg")
    parser.add_argument("--tsne-figure", required=True, help="figures/tsne.svg")


def run(arguments: argparse.Namespace) -> None:
    """Read the tables, draw, write."""
    from sat.report.figures import cluster_map, save, tsne_figure
    from sat.store.artefact import replacing
    from sat.store.tables import read_matrix, read_table

    job = start(arguments)
    paths = {name: job.input(name, getattr(arguments, name)) for name in TABLES}
    most_similar, models, clusters, tsne = (read_table(paths[name]) for name in TABLES[1:])
    drawn = {
        arguments.cluster_map: cluster_map(read_matrix(paths["sat"]), models, most_similar),
        arguments.tsne_figure: tsne_figure(tsne, clusters, models),
    }
    for path, figure in drawn.items():
        with replacing(path) as temporary:
            save(figure, temporary)
        job.finish(path)
