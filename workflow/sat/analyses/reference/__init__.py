"""Comparison of the study's matrix with another one, by SAT and by affinity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.reference.charts import CHARTS
from sat.errors import SatError
from sat.logs import log
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan
    from sat.study.study import Study


class Settings(Section):
    """Keys of the config file."""

    reference: str | None = None
    """Another study (the folder of its results) or a SAT matrix (CSV), with which this study's matrix is compared."""
    reference_names: str = "released_name"
    """Column of the model table that holds the models' names in the reference. Where it is empty, the column `same_as`
    gives the name, and where that is empty too, the model's own name counts."""
    reference_listed: list[str] = []
    """Models whose pairs are also compared separately."""


def _params(plan: Plan) -> dict[str, Any]:
    rows = [plan.study.model[name] for name in plan.study.used]
    column, canvas = plan.config.reference_names, plan.config.images.canvas
    return {
        "sha256": plan.digests.get("reference"),
        "names": {row.model: name for row in rows if (name := row.groups.get(column) or row.groups.get("same_as"))},
        "native": [row.model for row in rows if row.input_size in (None, canvas)],
        "listed": plan.config.reference_listed,
        "checkpoints": {row.model: row.groups["checkpoint"] for row in rows if row.groups.get("checkpoint")},
        "seed": plan.config.seed,
    }


def _fault(study: Study) -> str:
    unknown = [name for name in study.config.reference_listed if name not in study.model]
    if not unknown:
        return ""
    return (
        f"key 'reference_listed': {', '.join(unknown)}: no such model in the table; write names of its column 'model'"
    )


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv"},
    tables={"reference": Shown("Reference", "agreement"), "reference_pairs": None},
    figures={"reference": Shown("Reference", "agreement")},
    charts=CHARTS,
    settings=Settings,
    files=("reference",),
    params=_params,
    wanted=lambda study: study.config.reference is not None,
    fault=_fault,
)


def run(
    given: Given,
    *,
    sha256: str,
    names: dict[str, str],
    native: list[str],
    listed: list[str],
    checkpoints: dict[str, str],
    seed: int,
) -> Answer:
    """Join the two matrices by name, correlate them, and list the pairs that differ most.

    Parameters
    ----------
    given : Given
    sha256 : str
        Digest of the reference.
    names : dict of str to str
        The models' names in the reference, where they differ from those of the study.
    native : list of str
        Models whose own input size is that of the canvas.
    listed : list of str
        Models that are also compared separately.
    checkpoints : dict of str to str
        What the column `checkpoint` says about the models' weights.
    seed : int

    Returns
    -------
    Answer

    Raises
    ------
    SatError
        If two models have the same name in the reference.
    """
    from sat.analyses.reference.comparison import compare

    matrix, other = given["sat"], given.other("reference", sha256)
    assert other, "asked for where the study names a reference"
    groups = {
        "native at the canvas size": native,
        "other sizes": [model for model in matrix.index if model not in set(native)],
    }
    if listed:
        groups["listed"] = listed
    for word in sorted(set(checkpoints.values())):
        groups[f"checkpoint {word}"] = [model for model, value in checkpoints.items() if value == word]
    try:
        found = compare(matrix, other.matrix, names, groups, seed=seed)
    except ValueError as error:
        raise SatError(f"{other.path}: {error}.") from None
    if found.unmatched:
        log.warning("not in the reference: %s", ", ".join(found.unmatched))
    if found.no_affinity:
        log.warning("no affinity to compare: %s", found.no_affinity)
    known = other.differences
    settings = "settings not known" if known is None else "; ".join(known) or "the same images and attack"
    log.info("against %s: %s", other.path, settings)
    return Answer(
        {"reference": found.table, "reference_pairs": found.pairs},
        {"unmatched": found.unmatched, "settings": settings, "no_affinity": found.no_affinity},
    )


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw both matrices against each other."""
    from sat.analyses.reference.figure import reference_figure

    tables = answer.tables
    return {"reference": reference_figure(tables["reference_pairs"], tables["reference"], answer.facts["settings"])}
