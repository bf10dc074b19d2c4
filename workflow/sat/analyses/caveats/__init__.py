"""Possible confounders: how transfer correlates with the attack's success, accuracy, and errors under noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat.analyses.caveats.charts import CHARTS
from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from sat.stages.given import Given

UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "pairs": "similarity/pairs.parquet",
        "models": "similarity/models.csv",
    },
    tables={"caveats": Shown("Models", "possible confounders of SAT and affinity")},
    charts=CHARTS,
    mem_mb=1000,
    minutes=10,
)


def run(given: Given) -> Answer:
    """Correlate SAT, affinity and rates with their possible confounders, and warn where a correlation is strong.

    Parameters
    ----------
    given : Given

    Returns
    -------
    Answer
    """
    from sat.analyses.caveats.confounders import above_published, caveats
    from sat.similarity.affinity import directed_log_odds, fit_levels

    models, pairs = given["models"].set_index("model"), given["pairs"]
    rate = pairs[pairs["source"] != pairs["target"]].groupby("source")["rate"].mean()
    fragility = fit_levels(directed_log_odds(pairs, list(given["sat"].index))).fragility
    success, accuracy, noise = (models[column].to_dict() for column in ("whitebox", "accuracy", "noise_rate"))
    table = caveats(given["sat"], given["affinity"], rate.to_dict(), fragility.to_dict(), success, accuracy, noise)
    if "above_published" in models:
        table.loc[len(table)] = above_published(models)
    for warning in (warnings := [text for text in table["warning"] if text]):
        log.warning(warning)
    if not warnings:
        log.info("no warning; there may still be confounders, since few quantities are tested")
    return Answer({"caveats": table}, facts={"warnings": warnings})
