"""Possible confounders of SAT: how strongly it correlates with the attack's success and with accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from sat.stages.given import Given

UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "models": "similarity/models.csv"},
    tables={"caveats": Shown("Models", "possible confounders of SAT")},
    mem_mb=1000,
    minutes=10,
)


def run(given: Given) -> Answer:
    """Correlate SAT with its possible confounders, and warn where a correlation is strong.

    Parameters
    ----------
    given : Given

    Returns
    -------
    Answer
    """
    from sat.analyses.caveats.confounders import caveats

    models = given["models"].set_index("model")
    table = caveats(given["sat"], models["whitebox"].to_dict(), models["accuracy"].to_dict())
    for warning in (warnings := [text for text in table["warning"] if text]):
        log.warning(warning)
    return Answer({"caveats": table}, facts={"warnings": warnings})
