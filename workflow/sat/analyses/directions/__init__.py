"""How far the two directions of every pair differ, and which of them are above random noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.directions.charts import CHARTS
from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    return {"confidence": plan.config.confidence}


UNIT = Analysis(
    inputs={"pairs": "similarity/pairs.parquet", "most_similar": "similarity/most_similar.csv"},
    tables={
        "directions": Shown("Similarity", "both directions of every pair"),
        "directions_pool": Shown("Similarity", "how far directions differ"),
    },
    figures={"directions": Shown("Similarity", "transfer rate of every direction")},
    charts=CHARTS,
    drawn_from=frozenset({"pairs"}),
    params=_params,
    estimates=True,  # it uses the measured pairs alone
)


def run(given: Given, *, confidence: float) -> Answer:
    """Compare the directions of every pair.

    Parameters
    ----------
    given : Given
    confidence : float
        Level of the intervals. A direction is above noise if its p-value is at most (1 - confidence) / 2.

    Returns
    -------
    Answer
    """
    from sat.analyses.directions.rates import pool_table, two_way_table

    pairs = given["pairs"]
    table = two_way_table(pairs, given["most_similar"])
    pool = pool_table(pairs, table, confidence)
    for row in pool.itertuples():
        log.info("%s: %.3g of %d", row.quantity, row.value, row.n)
    return Answer({"directions": table, "directions_pool": pool})


def draw(given: Given, answer: Answer, *, confidence: float) -> dict[str, Figure]:
    """Draw the transfer rate of every direction."""
    from sat.analyses.directions.figure import directions_figure

    return {"directions": directions_figure(given["pairs"], answer.tables["directions"], (1 - confidence) / 2)}
