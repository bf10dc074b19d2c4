"""Mean SAT within groups of models, and contrasts that say whether the groups are alike beyond each model's level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.groups.charts import CHARTS
from sat.errors import SatError
from sat.logs import log
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


class Settings(Section):
    """Keys of the config file."""

    groups: list[str] = ["family"]
    """Columns of the model table whose groups are compared with all pairs."""
    compare_to: str | None = None
    """Another study of the same images and attack (the folder of its results), or a SAT matrix (CSV) whose settings are
    not known. Its mean over all pairs is shown beside those of the groups."""


def _params(plan: Plan) -> dict[str, Any]:
    params = {"groups": plan.study.groupings, "confidence": plan.config.confidence, "seed": plan.config.seed}
    return params | ({"compare_to": plan.digests.get("compare_to")} if plan.config.compare_to else {})


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "affinity": "similarity/affinity.csv"},
    tables={
        "groups": Shown("Groups", "mean SAT within groups"),
        "groups_contrasts": Shown("Groups", "contrasts of groups, free of each model's level"),
        "groups_overall": Shown("Groups", "contrast of all groups, free of each model's level"),
    },
    figures={"groups": Shown("Groups", "mean SAT and contrasts")},
    charts=CHARTS,
    settings=Settings,
    files=("compare_to",),
    params=_params,
    wanted=lambda study: bool(study.groupings),
)


def run(
    given: Given, *, groups: dict[str, dict[str, str]], confidence: float, seed: int, compare_to: str | None = None
) -> Answer:
    """Average SAT within the groups of every column, and contrast the groups.

    Parameters
    ----------
    given : Given
    groups : dict of str to dict
        Group of every model, by column.
    confidence : float
        Level of the intervals.
    seed : int
    compare_to : str, optional
        SHA-256 of the matrix to compare with.

    Returns
    -------
    Answer

    Raises
    ------
    SatError
        If the other study has other images or another attack.
    """
    import pandas as pd

    from sat.analyses.groups.contrasts import group_contrasts
    from sat.analyses.groups.means import group_means
    from sat.statistics.contrasts import overall_contrasts

    matrix, other = given["sat"], given.other("compare_to", compare_to)
    if other and other.differences:
        raise SatError(
            f"key 'compare_to': {other.path} was measured with {'; '.join(other.differences)}, so its mean says "
            "nothing beside this study's. Name a study of the same images and attack, or use 'reference', which "
            "compares pair by pair."
        )
    tables, contrasts = [], []
    for column, of_models in groups.items():
        found = group_means(
            matrix,
            pd.Series(of_models),
            confidence=confidence,
            seed=seed,
            compare=other.matrix if other else None,
        )
        tables.append(found.assign(column=column))
        compared = group_contrasts(given["affinity"], pd.Series(of_models), confidence, seed=seed)
        contrasts.append(compared.assign(column=column))
        log.info("%s: %d groups", column, int((found["kind"] == "group").sum()))
    table, against = (pd.concat(found, ignore_index=True) for found in (tables, contrasts))
    for frame in (table, against):
        frame.insert(0, "column", frame.pop("column"))
    overall = overall_contrasts(given["affinity"], pd.DataFrame(groups), confidence, seed=seed)
    overall = overall.rename_axis("column").reset_index()
    if reason := given.facts("affinity", "no_affinity")["no_affinity"] or "":
        log.warning("no contrasts: %s", reason)
    known = other is not None and other.differences is not None
    return Answer(
        {"groups": table, "groups_contrasts": against, "groups_overall": overall},
        {"no_affinity": reason, "compared_alike": known},
    )


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw mean SAT and contrasts of every group."""
    from sat.analyses.groups.figure import groups_figure

    table, contrasts, overall = (answer.tables[f"groups{name}"] for name in ("", "_contrasts", "_overall"))
    return {"groups": groups_figure(table, contrasts, overall, bool(answer.facts.get("compared_alike")))}
