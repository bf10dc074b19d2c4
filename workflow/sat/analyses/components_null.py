"""Importances by chance alone: SAT is fitted to components that were given to other models.

This is an analysis of its own, because its fits take longest and depend on few settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from sat.logs import log, progress
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
    permutations: Annotated[int, Field(ge=19)] = 199
    """Number of fits with components given to other models, which give the null band."""


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
    inputs={"sat": "similarity/sat.csv"},
    tables={"components_null": None},
    settings=Settings,
    params=_params,
    wanted=lambda study: any(study.components.values()),
    mem_mb=3000,
    minutes=240,
)


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

    try:
        data = pair_data(given["sat"], pd.DataFrame.from_dict(components, orient="index"), seed=seed)
    except ValueError as error:
        log.warning("no regression: %s", error)
        return Answer({"components_null": pd.DataFrame(columns=["permutation", "r2"])}, facts={"reason": str(error)})
    fits = [null_fits(data, [number], preset, seed) for number in progress(range(permutations), "permutations")]
    return Answer({"components_null": pd.concat(fits, ignore_index=True)})
