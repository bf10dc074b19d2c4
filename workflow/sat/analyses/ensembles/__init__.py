"""Find what averaging the probabilities of models gains, and how that goes with SAT."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING

from sat.stages.common import add_step, log, start

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("size", "members", "member_accuracy", "accuracy", "error_reduction", "all_wrong", "mean_sat", "n_clusters")
RELATION = ("size", "n_models", "n_sets", "spearman", "p", "partial_spearman", "partial_p")
CLUSTERS = ("size", "n_clusters", "n_sets", "member_accuracy", "accuracy", "error_reduction", "all_wrong", "mean_sat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--clusters", required=True, help="analysis/clusters.csv")
    parser.add_argument("--eval-images", required=True, help="images/eval.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models in use")
    parser.add_argument("--ensembles", required=True, help="analysis/ensembles.csv")
    parser.add_argument("--relation", required=True, help="analysis/ensembles_relation.csv")
    parser.add_argument("--by-clusters", required=True, help="analysis/ensembles_clusters.csv")
    parser.add_argument("--figure", required=True, help="figures/ensembles.svg")


def run(arguments: argparse.Namespace) -> None:
    """Try the sets of every size on the evaluation images."""
    import pandas as pd

    from sat.analyses.ensembles.averaging import Pool, by_clusters, ensemble_table, member_sets, of_the_same_classes
    from sat.analyses.ensembles.figure import ensembles_figure
    from sat.cli.outputs import write_figure
    from sat.store import hdf5
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    params = job.step.params
    sat = read_matrix(job.input("sat", arguments.sat))
    clusters = read_table(job.input("clusters", arguments.clusters)).set_index("model")["cluster"].to_dict()
    with hdf5.reading(job.input("eval_images", arguments.eval_images)) as file:
        labels = file["label"][:]
    paths = dict(zip(params["models"], job.input_group("clean", arguments.clean), strict=True))
    with ExitStack() as stack:
        files = {model: stack.enter_context(hdf5.reading(path)) for model, path in paths.items()}
        logits = {model: file["eval_logits"] for model, file in files.items() if "eval_logits" in file}
        for model in sorted(set(files) - set(logits)):
            log.warning("%s: has no eval_logits, and is in no ensemble", model)
        logits, others = of_the_same_classes(logits)
        for model in others:
            log.warning("%s: tells other classes apart than most models, and is in no ensemble", model)
        sizes = [size for size in sorted(set(params["sizes"])) if size <= len(logits)]
        for size in sorted(set(params["sizes"]) - set(sizes)):
            log.warning("%d members: are skipped, since there are %d models", size, len(logits))
        table = pd.DataFrame(columns=list(COLUMNS))
        if sizes:
            pool = Pool.of(logits, {model: files[model]["eval_prediction"][:] for model in logits}, labels)
            sets = [member_sets(len(pool.models), size, params["sets"], params["seed"]) for size in sizes]
            log.info("%d ensembles of %d models, on %d images", sum(map(len, sets)), len(pool.models), len(labels))
            table = ensemble_table(pool, sets, sat, clusters)
    if len(set(clusters.values())) < 2:
        log.warning("there is one cluster only, so the number of clusters says nothing")
    if len(table) and table["error_reduction"].isna().all():
        log.warning("no model errs, so there is nothing for an ensemble to gain")
    relation = _relation(table, sat, params["seed"])
    for row in relation.itertuples():
        if pd.isna(row.spearman):
            log.warning(
                "%d members: no correlation of gain with SAT: %d sets are too few, or one of both does not vary",
                row.size,
                row.n_sets,
            )
        else:
            log.info("%d members: rank correlation of gain with SAT %.2f, p = %.4f", row.size, row.spearman, row.p)
    facts = {"n_models": len(logits), "n_images": len(labels), "sizes": sizes}
    means = by_clusters(table) if len(table) else pd.DataFrame(columns=list(CLUSTERS))
    tables = {arguments.ensembles: table, arguments.relation: relation, arguments.by_clusters: means}
    write_tables(job, tables, **facts)
    write_figure(job, arguments.figure, ensembles_figure(table, relation), **facts)


def _relation(table: pd.DataFrame, sat: pd.DataFrame, seed: int) -> pd.DataFrame:
    import pandas as pd

    from sat.analyses.ensembles.averaging import gain_by_sat

    return gain_by_sat(table, sat, seed=seed) if len(table) else pd.DataFrame(columns=list(RELATION))
