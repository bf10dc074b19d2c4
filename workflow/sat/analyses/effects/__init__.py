"""How strong and how fragile each model is, and how alike two are beyond that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.effects.charts import CHARTS
from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan

REPLICATES = 200
"""Number of draws of the images, which is enough for a standard error to within 5 %."""


def _params(plan: Plan) -> dict[str, Any]:
    return {
        "families": {name: plan.study.model[name].family for name in plan.study.used},
        "confidence": plan.config.confidence,
        "seed": plan.config.seed,
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "images": "images/attack.h5",
        "clean": "clean/{model}.h5",
        "tiles": "tiles/{target}/{source}.h5",
    },
    # A study that starts from a matrix has no images.
    optional=frozenset({"images", "clean", "tiles"}),
    tables={
        "effects": Shown("Models", "strength and fragility"),
        "effects_pool": Shown("Similarity", "how much of SAT is each model's own level"),
        "effects_pairs": Shown("Similarity", "affinity of every pair"),
    },
    figures={"effects": Shown("Models", "strength and fragility")},
    charts=CHARTS,
    params=_params,
    mem_mb=4000,
    minutes=60,
)


def run(given: Given, *, families: dict[str, str], confidence: float, seed: int) -> Answer:
    """Fit the effects, and draw the images again for intervals where there are images.

    Parameters
    ----------
    given : Given
    families : dict of str to str
        Family of every model, declared in advance.
    confidence : float
        Level of the intervals.
    seed : int

    Returns
    -------
    Answer
    """
    from sat.analyses.effects.pool import Pool, model_table, pair_table, pool_table
    from sat.similarity.predictions import predictions_of

    sat = given["sat"].sort_index(axis=0).sort_index(axis=1)
    names = list(sat.index)
    if "images" in given:
        predictions = predictions_of(given)
        pool = Pool.of_predictions(names, families, predictions, REPLICATES, seed)
    else:
        pool = Pool.of_sat(sat, families)
    if pool.plain.reason:
        log.warning("no affinity: %s", pool.plain.reason)
    if pool.block.reason:
        log.info("no affinity with declared families: %s", pool.block.reason)
    models = model_table(pool, confidence)
    about = pool_table(pool, sat)
    pairs = pair_table(pool, sat, confidence)
    for row in about.itertuples():
        log.info("%s: %.3f", row.quantity, row.value)
    return Answer(
        {"effects": models, "effects_pool": about, "effects_pairs": pairs},
        {"n_models": len(names), "reason": pool.plain.reason, "reason_block": pool.block.reason},
    )


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw strength and fragility of every model."""
    from sat.analyses.effects.figure import effects_figure

    return {"effects": effects_figure(answer.tables["effects"], answer.tables["effects_pool"])}
