"""Importances by chance alone: SAT and affinity are fitted to components that were given to other models.

This is an analysis of its own, because its fits take longest and depend on few settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from sat.logs import log, progress
from sat.store.columns import Table
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer

if TYPE_CHECKING:
    from sat.stages.given import Given
    from sat.study.plan import Plan


class Importance(Section):
    """Which components of an architecture matter, by gradient boosting on pairs of models."""

    preset: Literal["default", "paper"] = "default"
    """`default`: scikit-learn's settings. `paper`: 500 stages of depth 12, from memory, not verified."""
    splits: Annotated[int, Field(ge=30)] = 30
    """Number of splits by models, which test predictions for models that the regression has not seen."""
    permutations: Annotated[int, Field(ge=19)] = 999
    """Number of fits with components given to other models, which give the null band. The standard error of an adjusted
    p of 0.05 is 0.007 with 999, and 0.015 with 199."""


class Settings(Section):
    """Keys of the config file. The analysis `components` reads them too."""

    importance: Importance = Importance()


def _params(plan: Plan) -> dict[str, Any]:
    importance = plan.config.importance
    return {
        "preset": importance.preset,
        "permutations": importance.permutations,
        "seed": plan.config.seed,
        "components": plan.study.components,
    }


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "affinity": "similarity/affinity.csv"},
    tables={"components_null": None},
    settings=Settings,
    params=_params,
    wanted=lambda study: any(study.components.values()),
    mem_mb=3000,
    minutes=600,
)
COLUMNS = {
    "components_null": Table(
        "One row for each permutation of the components, for SAT and for affinity.",
        {
            "of": "`sat` or `affinity`",
            "permutation": "number of the permutation",
            "r2": "R2 of the regression, in sample",
            "{component}": "importance of the component",
        },
    )
}


def run(given: Given, *, preset: str, permutations: int, seed: int, components: dict[str, dict[str, str]]) -> Answer:
    """Fit the regression once for each permutation of the components.

    Parameters
    ----------
    given : Given
    preset : {'default', 'paper'}
        Settings of the regression.
    permutations : int
    seed : int
    components : dict of str to dict
        Components of every model.

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.components.importance import null_fits, pair_data

    values = pd.DataFrame.from_dict(components, orient="index")
    found, reasons = [], {}
    for of in ("sat", "affinity"):
        try:
            data = pair_data(given[of], values, seed=seed)
        except ValueError as error:
            reasons[of] = str(error)
            log.warning("no regression of %s: %s", of, error)
            continue
        numbers = progress(range(permutations), f"permutations ({of})")
        found += [null_fits(data, [number], preset, seed).assign(of=of) for number in numbers]
    nothing = pd.DataFrame(columns=["of", "permutation", "r2"])
    return Answer(
        {"components_null": pd.concat(found, ignore_index=True) if found else nothing}, facts={"reasons": reasons}
    )
