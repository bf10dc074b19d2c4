"""Other measures of similarity, compared with SAT, and how well each tells families apart."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from sat import units
from sat.logs import log, progress
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from sat.stages.given import Given
    from sat.study.plan import Plan

# The data set of clean/<model>.h5 for each kind of input that a measure needs. Features are stored for the attack
# images only, since they are long.
DATASETS = {"prediction": "eval_prediction", "probability": "eval_logits", "feature": "attack_features"}
# The time for Gram matrices grows with the square of the number of images, and more images do not reduce the bias.
MOST_FEATURES = 5000


MeasureName = Annotated[
    str,
    AfterValidator(partial(units.check_known, "measures")),
    Field(json_schema_extra={"enum": list(units.names("measures"))}),
]


class Settings(Section):
    """Keys of the config file."""

    measures: list[MeasureName] = ["agreement", "error_consistency", "jensen_shannon", "cka"]
    """Other measures of similarity, which are compared with SAT."""


def _params(plan: Plan) -> dict[str, Any]:
    return {
        "measures": plan.config.measures,
        "models": {name: plan.study.model[name].family for name in plan.study.used},
        "seed": plan.config.seed,
        **plan.raised("measures", plan.config.measures),
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "attack_images": "images/attack.h5",
        "eval_images": "images/eval.h5",
        "clean": "clean/{model}.h5",
    },
    tables={
        "measures": Shown("Other measures", "agreement with SAT"),
        "measures_separation": Shown("Other measures", "how well families are told apart"),
        "measures_pairs": None,
    },
    figures={"measures": Shown("Other measures", "agreement with SAT")},
    settings=Settings,
    params=_params,
    wanted=lambda study: bool(study.config.measures),
    mem_mb=4000,
    minutes=60,
)


def run(
    given: Given, *, measures: list[str], models: dict[str, str], seed: int, versions: dict[str, int] | None = None
) -> Answer:
    """Apply every measure to the models' outputs on the clean images.

    Parameters
    ----------
    given : Given
    measures : list of str
        Names of measures.
    models : dict of str to str
        Family of every model.
    seed : int
    versions : dict of str to int, optional
        Versions of measures that have changed. They are part of the step, and `run` does not use them.

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.measures.agreement import against_sat, family_separation
    from sat.analyses.measures.figure import measures_figure
    from sat.measures.matrix import similarity_matrix

    wanted = {name: units.declarations("measures")[name] for name in measures}
    families, names = models, sorted(models)
    sat, files = given["sat"], given["clean"]
    labels, sample = {}, None
    for split in ("attack", "eval"):
        images = given[f"{split}_images"]
        labels[split] = images["label"][:]
        if split == "attack" and len(labels[split]) > MOST_FEATURES:
            sample = _sample(images["id"][:].tolist(), seed)
            log.info("features of %d of the %d attack images are compared", MOST_FEATURES, len(labels[split]))
    accuracy = {model: facts["accuracy"] for model, facts in given.facts("clean", "accuracy").items()}
    matrices: dict[str, pd.DataFrame] = {}
    for name, unit in progress(wanted.items(), "measures"):
        dataset = DATASETS[unit.needs]
        arrays: dict[str, Any] = {model: file[dataset] for model, file in files.items() if dataset in file}
        for model in sorted(set(names) - set(arrays)):
            log.warning("%s: has no %s, and is left out of %s", model, dataset, name)
        known = labels[dataset.partition("_")[0]]
        if unit.needs == "feature" and sample is not None:
            arrays, known = {model: array[:][sample] for model, array in arrays.items()}, known[sample]
        try:
            matrices[name] = similarity_matrix(name, arrays, known)
        except ValueError as error:
            log.warning("%s is left out: %s", name, error)
    agreement = against_sat(sat, matrices, accuracy, seed=seed) if matrices else _no_agreement()
    for row in agreement.itertuples():
        if pd.isna(row.spearman):
            log.warning(
                "%s: no correlation with SAT: %d models with a value are too few, or the measure or SAT does not vary",
                row.measure,
                row.n_models,
            )
        else:
            log.info("%s: rank correlation with SAT %.2f, p = %.4f", row.measure, row.spearman, row.mantel_p)
    separation = family_separation({"sat": sat, **matrices}, families)
    for row in separation[separation["roc_auc"].isna()].itertuples():
        log.warning("%s: families cannot be told apart: no pair within a family, or no pair across", row.measure)
    pairs = _pairs(names, {"sat": sat, **matrices})
    return Answer(
        {"measures": agreement, "measures_separation": separation, "measures_pairs": pairs},
        {"measures": measures_figure(pairs, agreement, families)},
        {
            "n_models": len(names),
            "n_images": {"prediction": len(labels["eval"]), "feature": min(len(labels["attack"]), MOST_FEATURES)},
            "left_out": [name for name in wanted if name not in matrices],
        },
    )


def _sample(ids: list[int], seed: int) -> NDArray[np.intp]:
    """Choose the images whose features are compared; return their rows, ascending. The draw depends on ids alone."""
    import numpy as np

    from sat.seeds import key

    draw = [key("images for features", seed, image) for image in ids]
    return np.array(sorted(sorted(range(len(ids)), key=draw.__getitem__)[:MOST_FEATURES]))


def _no_agreement() -> pd.DataFrame:
    """Make the table of agreement for a study in which no measure could be applied."""
    import pandas as pd

    return pd.DataFrame(
        columns=["measure", "n_models", "n_pairs", "spearman", "mantel_p", "partial_spearman", "partial_mantel_p"]
    )


def _pairs(models: list[str], matrices: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Make a table of unordered pairs, one column per measure; NaN where a measure has no value for a model."""
    import numpy as np
    import pandas as pd

    a, b = np.triu_indices(len(models), 1)
    table = pd.DataFrame({"model_a": np.array(models)[a], "model_b": np.array(models)[b]})
    for name, matrix in matrices.items():
        table[name] = matrix.reindex(index=models, columns=models).to_numpy(float)[a, b]
    return table
