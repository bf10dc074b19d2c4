"""What averaging the probabilities of models gains, and how the gain correlates with similarity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sat.analyses.ensembles.charts import CHARTS
from sat.logs import log
from sat.study.section import Count, Section
from sat.units.analysis import SIMILARITIES, Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan

MEANS = ("mean_sat", "mean_affinity")
COLUMNS = ("size", "members", "member_accuracy", "accuracy", "error_reduction", "all_wrong", *MEANS, "n_clusters")
CLUSTERS = ("size", "n_clusters", "n_sets", "member_accuracy", "accuracy", "error_reduction", "all_wrong", *MEANS)


class Ensembles(Section):
    """Ensembles: models combined by averaging their probabilities."""

    sizes: list[Annotated[int, Field(ge=2, le=10)]] = [2, 3, 4, 5]
    """Numbers of members of an ensemble."""
    sets: Count = 500
    """Largest number of ensembles of each size. If there are more, a random sample is taken."""


class Settings(Section):
    """Keys of the config file."""

    ensembles: Ensembles = Ensembles()


def _params(plan: Plan) -> dict[str, Any]:
    return {"models": list(plan.study.used), **plan.config.ensembles.model_dump(), "seed": plan.config.seed}


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "clusters": "analysis/clusters.csv",
        "eval_images": "images/eval.h5",
        "clean": "clean/{model}.h5",
    },
    tables={
        "ensembles": None,
        "ensembles_relation": Shown("Ensembles", "correlation of gain and similarity"),
        "ensembles_clusters": Shown("Ensembles", "gain by number of clusters"),
    },
    figures={"ensembles": Shown("Ensembles", "gain and similarity")},
    charts=CHARTS,
    settings=Settings,
    params=_params,
    mem_mb=4000,
    minutes=60,
)


def run(given: Given, *, models: list[str], sizes: list[int], sets: int, seed: int) -> Answer:
    """Evaluate ensembles of every size on the evaluation images.

    Parameters
    ----------
    given : Given
    models : list of str
        Models in use, sorted.
    sizes : list of int
        Numbers of members of an ensemble.
    sets : int
        Largest number of ensembles of each size.
    seed : int

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.ensembles.averaging import (
        RELATION,
        Pool,
        by_clusters,
        ensemble_table,
        gain_by_similarity,
        member_sets,
        of_the_same_classes,
    )

    similarities, files = {"sat": given["sat"], "affinity": given["affinity"]}, given["clean"]
    clusters = given["clusters"].set_index("model")["cluster"].to_dict()
    labels = given["eval_images"]["label"][:]
    logits = {model: files[model]["eval_logits"] for model in models if "eval_logits" in files[model]}
    for model in sorted(set(files) - set(logits)):
        log.warning("%s: has no eval_logits, so no ensemble contains it", model)
    logits, others = of_the_same_classes(logits)
    for model in others:
        log.warning("%s: has a different number of classes from most models, so no ensemble contains it", model)
    tried = [size for size in sorted(set(sizes)) if size <= len(logits)]
    for size in sorted(set(sizes) - set(tried)):
        log.warning("no ensembles of %d members: only %d models can be combined", size, len(logits))
    no_affinity = given.facts("affinity", "no_affinity")["no_affinity"] or ""
    if no_affinity:
        log.warning("no affinity (%s), so its columns are empty", no_affinity)
    table, relation = pd.DataFrame(columns=list(COLUMNS)), pd.DataFrame(columns=list(RELATION))
    if tried:
        pool = Pool.of(logits, {model: files[model]["eval_prediction"][:] for model in logits}, labels)
        drawn = [member_sets(len(pool.models), size, sets, seed) for size in tried]
        log.info("%d ensembles of %d models, on %d images", sum(map(len, drawn)), len(pool.models), len(labels))
        table = ensemble_table(pool, drawn, similarities, clusters)
        relation = gain_by_similarity(table, similarities, seed=seed)
    if len(set(clusters.values())) < 2:
        log.warning("there is only one cluster, so ensembles cannot be compared by their number of clusters")
    if len(table) and table["error_reduction"].isna().all():
        log.warning("no model errs, so there is nothing for an ensemble to gain")
    for row in relation.itertuples():
        name = SIMILARITIES[row.of]
        if row.of == "affinity" and no_affinity:
            continue
        if pd.isna(row.spearman):
            log.warning(
                "%d members: no correlation of gain with %s: %d sets are too few, or gain or %s does not vary",
                row.size,
                name,
                row.n_sets,
                name,
            )
        else:
            log.info(
                "%d members: rank correlation of gain with %s %.2f, p = %.4f; without the models' own effects %.2f, "
                "p = %.4f",
                row.size,
                name,
                row.spearman,
                row.p,
                row.partial_spearman,
                row.partial_p,
            )
    means = by_clusters(table) if len(table) else pd.DataFrame(columns=list(CLUSTERS))
    return Answer(
        {"ensembles": table, "ensembles_relation": relation, "ensembles_clusters": means},
        {"n_models": len(logits), "n_images": len(labels), "sizes": tried},
    )


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw what ensembles gain against the similarity of their members."""
    from sat.analyses.ensembles.figure import ensembles_figure

    return {"ensembles": ensembles_figure(answer.tables["ensembles"], answer.tables["ensembles_relation"])}
