"""Compare other measures of similarity with SAT, and how well each tells families apart."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from sat.stages.common import add_step, log, progress, start

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# What a measure needs, and where clean/<model>.h5 has it; features are of the attack images, since they are long.
DATASETS = {"prediction": "eval_prediction", "probability": "eval_logits", "feature": "attack_features"}
# Gram matrices of features grow with the square of the images, and more of them take no bias off the estimator.
MOST_FEATURES = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--attack-images", required=True, help="images/attack.h5")
    parser.add_argument("--eval-images", required=True, help="images/eval.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models in use")
    parser.add_argument("--measures", required=True, help="analysis/measures.csv")
    parser.add_argument("--separation", required=True, help="analysis/measures_separation.csv")
    parser.add_argument("--pairs", required=True, help="analysis/measures_pairs.csv")
    parser.add_argument("--figure", required=True, help="figures/measures.svg")


def run(arguments: argparse.Namespace) -> None:
    """Apply every measure to what the models made of the clean images."""
    import pandas as pd

    from sat.analyses.measures.agreement import against_sat, family_separation
    from sat.analyses.measures.figure import measures_figure
    from sat.cli.outputs import write_figure
    from sat.errors import SatError
    from sat.measures.matrix import similarity_matrix
    from sat.store import hdf5
    from sat.store.artefact import read_sidecar
    from sat.store.tables import read_matrix, write_tables
    from sat.units import check_known, module

    job = start(arguments)
    params = job.step.params
    try:
        wanted = {name: module("measures", check_known("measures", name)).UNIT for name in params["measures"]}
    except ValueError as error:
        raise SatError(f"config file: key 'measures': {error}.") from None
    families, models = params["models"], sorted(params["models"])
    sat = read_matrix(job.input("sat", arguments.sat))
    labels, sample = {}, None
    for split in ("attack", "eval"):
        with hdf5.reading(job.input(f"{split}_images", getattr(arguments, f"{split}_images"))) as file:
            labels[split] = file["label"][:]
            if split == "attack" and len(labels[split]) > MOST_FEATURES:
                sample = _sample(file["id"][:].tolist(), params["seed"])
                log.info("features of %d of the %d attack images are compared", MOST_FEATURES, len(labels[split]))
    paths = dict(zip(models, job.input_group("clean", arguments.clean), strict=True))
    accuracy = {model: read_sidecar(path)["facts"]["accuracy"] for model, path in paths.items()}
    matrices: dict[str, pd.DataFrame] = {}
    with ExitStack() as stack:
        files = {model: stack.enter_context(hdf5.reading(path)) for model, path in paths.items()}
        for name, unit in progress(wanted.items(), "measures"):
            dataset = DATASETS[unit.needs]
            arrays: dict[str, Any] = {model: file[dataset] for model, file in files.items() if dataset in file}
            for model in sorted(set(models) - set(arrays)):
                log.warning("%s: has no %s, and is left out of %s", model, dataset, name)
            known = labels[dataset.partition("_")[0]]
            if unit.needs == "feature" and sample is not None:
                arrays, known = {model: array[:][sample] for model, array in arrays.items()}, known[sample]
            try:
                matrices[name] = similarity_matrix(name, arrays, known)
            except ValueError as error:
                log.warning("%s is left out: %s", name, error)
    agreement = against_sat(sat, matrices, accuracy, seed=params["seed"]) if matrices else _no_agreement()
    for row in agreement.itertuples():
        if pd.isna(row.spearman):
            log.warning(
                "%s: no correlation with SAT: %d models with a value are too few, or one of both does not vary",
                row.measure,
                row.n_models,
            )
        else:
            log.info("%s: rank correlation with SAT %.2f, p = %.4f", row.measure, row.spearman, row.mantel_p)
    separation = family_separation({"sat": sat, **matrices}, families)
    for row in separation[separation["roc_auc"].isna()].itertuples():
        log.warning("%s: no pairs within a family, or none across families, to be told apart", row.measure)
    pairs = _pairs(models, {"sat": sat, **matrices})
    facts = {
        "n_models": len(models),
        "n_images": {"prediction": len(labels["eval"]), "feature": min(len(labels["attack"]), MOST_FEATURES)},
        "left_out": [name for name in wanted if name not in matrices],
    }
    tables = {arguments.measures: agreement, arguments.separation: separation, arguments.pairs: pairs}
    write_tables(job, tables, **facts)
    write_figure(job, arguments.figure, measures_figure(pairs, agreement, families), **facts)


def _sample(ids: list[int], seed: int) -> NDArray[np.intp]:
    """Rows of the images whose features are compared, ascending; drawn by their ids, so that order plays no part."""
    import numpy as np

    from sat.seeds import key

    draw = [key("images for features", seed, image) for image in ids]
    return np.array(sorted(sorted(range(len(ids)), key=draw.__getitem__)[:MOST_FEATURES]))


def _no_agreement() -> pd.DataFrame:
    """Of no measure."""
    import pandas as pd

    return pd.DataFrame(
        columns=["measure", "n_models", "n_pairs", "spearman", "mantel_p", "partial_spearman", "partial_mantel_p"]
    )


def _pairs(models: list[str], matrices: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """A row an unordered pair of different models, a column a measure; NaN where a measure does not know one."""
    import numpy as np
    import pandas as pd

    a, b = np.triu_indices(len(models), 1)
    table = pd.DataFrame({"model_a": np.array(models)[a], "model_b": np.array(models)[b]})
    for name, matrix in matrices.items():
        table[name] = matrix.reindex(index=models, columns=models).to_numpy(float)[a, b]
    return table
