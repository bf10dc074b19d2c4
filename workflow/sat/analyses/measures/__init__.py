"""Other measures of similarity, compared with SAT and affinity, and how well each tells families apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from sat import units
from sat.analyses.measures.charts import CHARTS
from sat.logs import log, progress
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan

# The data set of clean/<model>.h5 or gradients/<model>.h5 for each kind of input that a measure needs. Features are
# stored for the attack images only, since they are long.
DATASETS = {
    "prediction": "eval_prediction",
    "probability": "eval_logits",
    "feature": "attack_features",
    "gradient": "gradient",
}
# The time for Gram matrices grows with the square of the number of images, and more images do not reduce the bias.
MOST_FEATURES = 5000


def _check_known(name: str, info: ValidationInfo) -> str:
    # Measures from the study's code files are known only where the study is read.
    return units.check_known("measures", name, (info.context or {}).get("measures"))


MeasureName = Annotated[
    str,
    AfterValidator(_check_known),
    Field(json_schema_extra={"enum": list(units.names("measures"))}),
]


class Settings(Section):
    """Keys of the config file."""

    measures: list[MeasureName] = ["agreement", "error_consistency", "jensen_shannon", "cka"]
    """Other measures of similarity, which are compared with SAT and affinity."""


def _params(plan: Plan) -> dict[str, Any]:
    return {
        "measures": plan.config.measures,
        "models": {name: plan.study.model[name].family for name in plan.study.used},
        "confidence": plan.config.confidence,
        "seed": plan.config.seed,
        **plan.raised("measures", plan.config.measures),
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "attack_images": "images/attack.h5",
        "eval_images": "images/eval.h5",
        "clean": "clean/{model}.h5",
        "gradients": "gradients/{model}.h5",
    },
    # Gradients are computed only if a measure needs them.
    optional=frozenset({"gradients"}),
    tables={
        "measures": Shown("Other measures", "agreement with SAT and affinity"),
        "measures_separation": Shown("Other measures", "how well measures tell families apart"),
        "measures_pairs": None,
    },
    figures={"measures": Shown("Other measures", "agreement with SAT and affinity")},
    charts=CHARTS,
    settings=Settings,
    params=_params,
    wanted=lambda study: bool(study.config.measures),
    mem_mb=4000,
    minutes=60,
)


def run(
    given: Given,
    *,
    measures: list[str],
    models: dict[str, str],
    confidence: float,
    seed: int,
    versions: dict[str, int] | None = None,
) -> Answer:
    """Apply every measure to the models' outputs on the clean images.

    Parameters
    ----------
    given : Given
    measures : list of str
        Names of measures.
    models : dict of str to str
        Family of every model.
    confidence : float
        Level of the intervals.
    seed : int
    versions : dict of str to int, optional
        Versions of measures that have changed. They are part of the step, and `run` does not use them.

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.ensembles.averaging import of_the_same_classes
    from sat.analyses.measures.agreement import against, family_separation
    from sat.images.sample import sample_images
    from sat.measures.matrix import similarity_interval, similarity_matrix
    from sat.seeds import generator

    wanted = {name: units.module("measures", name).UNIT for name in measures}
    families, names = models, sorted(models)
    sat, affinity, files = given["sat"], given["affinity"], given["clean"]
    if reason := given.facts("affinity", "no_affinity")["no_affinity"]:
        log.warning("measures are compared with SAT only: %s", reason)
    labels, sample = {}, None
    for split in ("attack", "eval"):
        images = given[f"{split}_images"]
        labels[split] = images["label"][:]
        if split == "attack" and len(labels[split]) > MOST_FEATURES:
            sample = sample_images(images["id"][:].tolist(), MOST_FEATURES, "images for features", seed)
            log.info("features of %d of the %d attack images are compared", MOST_FEATURES, len(labels[split]))
    accuracy = {model: facts["accuracy"] for model, facts in given.facts("clean", "accuracy").items()}
    matrices: dict[str, pd.DataFrame] = {}
    intervals: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    for name, unit in progress(wanted.items(), "measures"):
        dataset = DATASETS[unit.needs]
        stored = given["gradients"] if unit.needs == "gradient" else files
        arrays: dict[str, Any] = {model: file[dataset] for model, file in stored.items() if dataset in file}
        for model in sorted(set(names) - set(arrays)):
            log.warning("%s: has no %s, and is left out of %s", model, dataset, name)
        if unit.needs == "probability":
            arrays, others = of_the_same_classes(arrays)
            for model in others:
                log.warning("%s: has other classes than most models, and is left out of %s", model, name)
        known = stored[names[0]]["label"][:] if unit.needs == "gradient" else labels[dataset.partition("_")[0]]
        if unit.needs == "feature" and sample is not None:
            arrays, known = {model: array[:][sample] for model, array in arrays.items()}, known[sample]
        try:
            matrices[name] = similarity_matrix(name, arrays, known)
        except ValueError as error:
            log.warning("%s is left out: %s", name, error)
            continue
        random = generator("images for intervals", seed, name)
        intervals[name] = similarity_interval(name, matrices[name], arrays, known, confidence, random)
    compared = against(sat, affinity, matrices, accuracy, seed=seed)
    for row in compared.itertuples():
        words = "SAT" if row.of == "sat" else "affinity, both without each model's level"
        if pd.isna(row.spearman):
            log.warning(
                "%s: no correlation with %s: %d models with a value are too few, or one side does not vary",
                row.measure,
                words,
                row.n_models,
            )
        else:
            log.info("%s: rank correlation with %s %.2f, p = %.4f", row.measure, words, row.spearman, row.mantel_p)
    separation = family_separation(sat, affinity, matrices, families, seed=seed)
    for row in separation[separation["roc_auc"].isna() & ~separation["rest"]].itertuples():
        log.warning("%s: families cannot be told apart: no pair within a family, or no pair across", row.measure)
    pairs = _pairs(names, sat, affinity, matrices, intervals)
    return Answer(
        {"measures": compared, "measures_separation": separation, "measures_pairs": pairs},
        {
            "n_models": len(names),
            "n_images": {"prediction": len(labels["eval"]), "feature": min(len(labels["attack"]), MOST_FEATURES)},
            "left_out": [name for name in wanted if name not in matrices],
        },
    )


def draw(given: Given, answer: Answer, *, models: dict[str, str], **params: Any) -> dict[str, Figure]:
    """Draw every measure against SAT and affinity."""
    from sat.analyses.measures.figure import measures_figure

    return {"measures": measures_figure(answer.tables["measures_pairs"], answer.tables["measures"], models)}


def _pairs(
    models: list[str],
    sat: pd.DataFrame,
    affinity: pd.DataFrame,
    matrices: dict[str, pd.DataFrame],
    intervals: dict[str, tuple[pd.DataFrame, pd.DataFrame]],
) -> pd.DataFrame:
    """Make a table of unordered pairs: SAT, affinity, and each measure with its interval and its rest.

    NaN where a measure has no value for a model.
    """
    import numpy as np
    import pandas as pd

    from sat.analyses.measures.agreement import rest

    a, b = np.triu_indices(len(models), 1)
    table = pd.DataFrame({"model_a": np.array(models)[a], "model_b": np.array(models)[b]})
    columns = {"sat": sat, "affinity": affinity}
    for name, matrix in matrices.items():
        low, high = intervals[name]
        columns |= {name: matrix, f"{name}_low": low, f"{name}_high": high, f"{name}_rest": rest(matrix)}
    for column, square in columns.items():
        table[column] = square.reindex(index=models, columns=models).to_numpy(float)[a, b]
    return table
