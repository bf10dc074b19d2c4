"""Whether two models make the same mistake, or are only fragile on the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.mistakes.charts import CHARTS
from sat.logs import log, progress
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


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
    tables={
        "mistakes": Shown("Same mistakes", "every pair"),
        "mistakes_models": Shown("Same mistakes", "every model"),
        "mistakes_pool": Shown("Same mistakes", "all pairs together"),
        "mistakes_relation": Shown("Same mistakes", "agreement with SAT and affinity"),
    },
    figures={"mistakes": Shown("Same mistakes", "fooled targets and their classes")},
    charts=CHARTS,
    params=_params,
    mem_mb=4000,
    minutes=60,
)


def run(given: Given, *, families: dict[str, str], confidence: float, seed: int) -> Answer:
    """Compare wrong classes and fooled images of every two models.

    Parameters
    ----------
    given : Given
    families : dict of str to str
        Family of every model.
    confidence : float
        Level of the intervals.
    seed : int

    Returns
    -------
    Answer
    """
    import numpy as np

    from sat.analyses.mistakes.classes import Mistakes
    from sat.analyses.mistakes.tables import compare, model_table, pool_table, relation_table
    from sat.similarity.predictions import read_tiles

    sat = given["sat"].sort_index(axis=0).sort_index(axis=1)
    models = list(sat.index)
    labels = given["images"]["label"][:]
    clean = given["clean"]
    correct = np.stack([clean[model]["attack_prediction"][:] == labels for model in models])
    tiles = progress(given["tiles"].one_by_one(), "tiles", len(given["tiles"]))
    mistakes = Mistakes.of(models, labels, correct, read_tiles(models, len(labels), tiles))
    directions, pairs = compare(models, mistakes, confidence)
    pool = pool_table(directions, pairs)
    about = model_table(directions, families)
    relation = relation_table(pairs, sat, given["affinity"], families, seed=seed)
    for row in pool.itertuples():
        log.info("%s: %.3f", row.quantity, row.value)
    return Answer(
        {"mistakes": pairs, "mistakes_models": about, "mistakes_pool": pool, "mistakes_relation": relation},
        {"n_models": len(models), "n_images": len(labels)},
    )


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw what happens to every target, and how much more than chance every pair shares."""
    from sat.analyses.mistakes.figure import mistakes_figure

    tables = answer.tables
    return {"mistakes": mistakes_figure(tables["mistakes"], tables["mistakes_models"], tables["mistakes_pool"])}
