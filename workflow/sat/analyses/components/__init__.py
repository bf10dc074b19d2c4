"""Which components of an architecture matter for SAT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.logs import log, progress
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    importance = plan.config.importance
    return {
        "preset": importance.preset,
        "splits": importance.splits,
        "seed": plan.config.seed,
        "components": plan.study.components,
    }


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "null": "analysis/components_null.csv"},
    tables={
        "components": Shown("Components", "importance"),
        "components_r2": Shown("Components", "how well components predict SAT"),
        "components_differences": Shown("Components", "same versus different component"),
        "components_values": None,
        "components_blocks": None,
    },
    figures={"components": Shown("Components", "importance")},
    params=_params,
    wanted=lambda study: any(study.components.values()),
    mem_mb=3000,
    minutes=120,
)


def run(given: Given, *, preset: str, splits: int, seed: int, components: dict[str, dict[str, str]]) -> Answer:
    """Regress SAT on components, rank the components, and compare means.

    Parameters
    ----------
    given : Given
    preset : {'default', 'paper'}
        Settings of the regression.
    splits : int
        Number of splits by models.
    seed : int
    components : dict of str to dict
        Components of every model.

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.components.figure import components_figure
    from sat.analyses.components.importance import (
        block_means,
        full_fit,
        mean_differences,
        pair_data,
        r2_table,
        ranking,
        split_fits,
    )

    matrix, null = given["sat"], given["null"]
    table = pd.DataFrame.from_dict(components, orient="index").fillna("")
    differences = mean_differences(matrix, table, seed=seed)
    blocks = []
    for component in table:
        means, counts = block_means(matrix, table[component])
        for a, row in means.iterrows():
            for b, mean in row.items():
                if a <= b:
                    blocks.append((component, a, b, counts.loc[a, b], mean))
    ranked = pd.DataFrame(columns=["component", "importance", "p_adjusted", "note"])
    r2 = pd.DataFrame(columns=["kind", "r2", "low", "high", "n", "note"])
    reason = ""
    try:
        data = pair_data(matrix, table, seed=seed)
        explained, importance = full_fit(data, preset, seed)
        fits = pd.concat(
            [split_fits(data, [split], preset, seed) for split in progress(range(splits), "splits")],
            ignore_index=True,
        )
        ranked = ranking(data, importance, fits, null)
        r2 = r2_table(data, explained, fits, null)
        for name in data.dropped_models:
            log.warning("%s: a component is unknown, so the model is left out of the regression", name)
    except ValueError as error:
        reason = str(error)
        log.warning("no regression: %s", reason)
    tables = {
        "components": ranked,
        "components_r2": r2,
        "components_differences": differences.by_component,
        "components_values": differences.by_value,
        "components_blocks": pd.DataFrame(blocks, columns=["component", "value_a", "value_b", "n_pairs", "mean"]),
    }
    figure = components_figure(ranked, r2, differences.by_component, reason)
    return Answer(tables, {"components": figure}, {"preset": preset, "reason": reason})
