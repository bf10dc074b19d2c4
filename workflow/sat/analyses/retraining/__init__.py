"""How much SAT and affinity change when the same nets are trained again with other seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.retraining.charts import CHARTS
from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.analyses.retraining.trainings import Trainings
    from sat.stages.given import Given
    from sat.study.plan import Plan
    from sat.study.study import Study

LEAST = 3
"""Fewest nets with two trainings or more. With fewer, there are too few pairs of nets to compare."""


def _params(plan: Plan) -> dict[str, Any]:
    return {
        "nets": plan.study.trained_again,
        "k": plan.config.clusters.k,
        "confidence": plan.config.confidence,
        "seed": plan.config.seed,
    }


def _wanted(study: Study) -> bool:
    return len(set(study.trained_again.values())) >= LEAST


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "pairs": "similarity/pairs.parquet",
        "intervals": "similarity/most_similar.csv",
        "effects": "analysis/effects_pairs.csv",
    },
    tables={
        "retraining": Shown("Stability", "the matrix of other trainings"),
        "retraining_pairs": Shown("Stability", "pairs of nets over their trainings"),
    },
    figures={"retraining": Shown("Stability", "the matrix of other trainings")},
    charts=CHARTS,
    drawn_from=frozenset({"sat", "pairs"}),
    params=_params,
    wanted=_wanted,
)


def run(given: Given, *, nets: dict[str, str], k: int, confidence: float, seed: int) -> Answer:
    """Compare matrices of which each has one training of every net.

    Parameters
    ----------
    given : Given
    nets : dict of str to str
        Net of every model that was trained more than once. Models of one net differ in their seed alone.
    k : int
        Number of clusters.
    confidence : float
        Level of the intervals, and of the image intervals that are given.
    seed : int

    Returns
    -------
    Answer
    """
    from sat.analyses.retraining.trainings import pair_table, summary

    trainings = _trainings(given, nets)
    columns = ["model_a", "model_b", "low", "high"]
    intervals = {
        measure: table[["model_a", "model_b", f"{measure}_low", f"{measure}_high"]].set_axis(columns, axis=1)
        for measure, table in (("sat", given["intervals"]), ("affinity", given["effects"]))
    }
    table = summary(trainings, intervals, k, confidence, seed)
    pairs = pair_table(trainings)
    for row in table.itertuples():
        log.info("%s: the seeds' share of the variance is %.3f", row.measure, row.share)
    return Answer({"retraining": table, "retraining_pairs": pairs})


def draw(given: Given, answer: Answer, *, nets: dict[str, str], **params: Any) -> dict[str, Figure]:
    """Draw every pair of models against the mean of the same two nets."""
    from sat.analyses.retraining.figure import retraining_figure

    return {"retraining": retraining_figure(_trainings(given, nets), answer.tables["retraining"])}


def _trainings(given: Given, nets: dict[str, str]) -> Trainings:
    import pandas as pd

    from sat.analyses.retraining.trainings import Trainings
    from sat.similarity.affinity import directed_log_odds, symmetric_log_odds

    names = sorted(nets)
    half = symmetric_log_odds(directed_log_odds(given["pairs"], names))
    return Trainings(pd.Series(nets).sort_index(), given["sat"].loc[names, names], half)
