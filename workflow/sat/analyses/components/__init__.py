"""Which components of an architecture matter for SAT and affinity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.components.charts import CHARTS
from sat.logs import log, progress
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    importance = plan.config.importance
    return {
        "preset": importance.preset,
        "splits": importance.splits,
        "confidence": plan.config.confidence,
        "seed": plan.config.seed,
        "components": plan.study.components,
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "null": "analysis/components_null.csv",
    },
    tables={
        "components": Shown("Components", "importance"),
        "components_contrasts": Shown("Components", "contrasts, free of each model's level"),
        "components_r2": Shown("Components", "how well components predict SAT and affinity"),
        "components_differences": Shown("Components", "same versus different component"),
        "components_values": None,
        "components_blocks": None,
    },
    figures={"components": Shown("Components", "SAT and affinity side by side")},
    charts=CHARTS,
    params=_params,
    wanted=lambda study: any(study.components.values()),
    mem_mb=3000,
    minutes=120,
)


def run(
    given: Given, *, preset: str, splits: int, confidence: float, seed: int, components: dict[str, dict[str, str]]
) -> Answer:
    """Regress SAT and affinity on components, rank the components, and compare means.

    Parameters
    ----------
    given : Given
    preset : {'default', 'paper'}
        Settings of the regression.
    splits : int
        Number of splits by models.
    confidence : float
        Level of the contrasts' intervals.
    seed : int
    components : dict of str to dict
        Components of every model.

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.components.importance import (
        block_means,
        full_fit,
        mean_differences,
        pair_data,
        r2_table,
        ranking,
        split_fits,
    )
    from sat.statistics.contrasts import overall_contrasts

    table = pd.DataFrame.from_dict(components, orient="index").fillna("")
    ranked = [pd.DataFrame(columns=["of", "component", "importance", "p_adjusted", "note"])]
    r2 = [pd.DataFrame(columns=["of", "kind", "r2", "low", "high", "n", "note"])]
    differences = {of: mean_differences(given[of], table, seed=seed) for of in ("sat", "affinity")}
    null, reasons = given["null"], {}
    for of in differences:
        try:
            data = pair_data(given[of], table, seed=seed)
        except ValueError as error:
            reasons[of] = str(error)
            log.warning("no regression of %s: %s", of, error)
            continue
        explained, importance = full_fit(data, preset, seed)
        fits = pd.concat(
            [split_fits(data, [split], preset, seed) for split in progress(range(splits), f"splits ({of})")],
            ignore_index=True,
        )
        chance = null[null["of"] == of]
        ranked.append(ranking(data, importance, fits, chance).assign(of=of))
        r2.append(r2_table(data, explained, fits, chance).assign(of=of))
        for name in data.dropped_models:
            log.warning("%s: a component is unknown, so the model is left out of the regression of %s", name, of)
    contrasts = overall_contrasts(given["affinity"], table, confidence, seed=seed)
    blocks = []
    for component in table:
        means, counts = block_means(given["sat"], table[component])
        for a, row in means.iterrows():
            for b, mean in row.items():
                if a <= b:
                    blocks.append((component, a, b, counts.loc[a, b], mean))
    tables = {
        "components": _joined(ranked),
        "components_contrasts": contrasts.sort_values("half_contrast", ascending=False, kind="stable")
        .rename_axis("component")
        .reset_index(),
        "components_r2": _joined(r2),
        "components_differences": _joined([found.by_component.assign(of=of) for of, found in differences.items()]),
        # This is for SAT only: affinity cannot say which of a component's values makes models alike.
        "components_values": differences["sat"].by_value,
        "components_blocks": pd.DataFrame(blocks, columns=["component", "value_a", "value_b", "n_pairs", "mean"]),
    }
    facts = {
        "preset": preset,
        "reasons": reasons,
        "no_affinity": given.facts("affinity", "no_affinity")["no_affinity"] or "",
    }
    return Answer(tables, facts)


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw importances, differences and contrasts of every component."""
    from sat.analyses.components.figure import components_figure

    return {"components": components_figure(answer.tables, answer.facts["reasons"])}


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Tables below each other, with the column `of` in front; the first one, where all are empty."""
    import pandas as pd

    # An empty table would turn numbers into objects.
    table = pd.concat([part for part in tables if len(part)] or tables[:1], ignore_index=True)
    table.insert(0, "of", table.pop("of"))
    return table
