"""Importances that chance alone makes: SAT fitted to components that were given to other models.

It is an analysis of its own, because its fits take longest and only few settings touch them.
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
    """Which components matter: gradient boosting on pairs."""

    preset: Literal["default", "paper"] = "default"
    """`default`: scikit-learn's settings; `paper`: 500 stages of depth 12, as recollected, not verified."""
    splits: Annotated[int, Field(ge=30)] = 30
    """Splits by models, for what is predicted of models not seen."""
    permutations: Annotated[int, Field(ge=19)] = 199
    """Fits with components given to other models, for the null band."""


class Settings(Section):
    """Keys of the config file; the analysis `components` reads them too."""

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
    """Permute and fit, a permutation at a time.

    Parameters
    ----------
    given : Given
    preset : {'default', 'paper'}
        Settings of the regression.
    permutations : int
    seed : int
    components : dict of str to dict
        Components by model.

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
