"""How far the matrix depends on the attack and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.logs import log
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    # This is a list because a JSON object would lose the order in which the study names its variants.
    settings = [{"variant": "", **plan.attack().params, "attack_images": None}] + [
        {"variant": name, **plan.attack(name).params, "attack_images": variant.attack_images}
        for name, variant in plan.config.variants.items()
    ]
    return {"settings": settings, "seed": plan.config.seed}


UNIT = Analysis(
    inputs={
        "images": "images/attack.h5",
        "sat": "{variant}similarity/sat.csv",
        "models": "{variant}similarity/models.csv",
    },
    tables={"ablation": Shown("Variants", "agreement with the study"), "ablation_pairs": None},
    figures={"ablation": Shown("Variants", "agreement with the study")},
    params=_params,
    wanted=lambda study: bool(study.config.variants),
)


def run(given: Given, *, settings: list[dict[str, Any]], seed: int) -> Answer:
    """Compare the matrix of every variant with the study's, and with each other.

    Parameters
    ----------
    given : Given
    settings : list of dict
        The attack's settings and the number of attack images: those of the study first, then those of each variant.
    seed : int

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.ablation.agreement import ablation_pairs, ablation_table
    from sat.analyses.ablation.figure import ablation_figure

    count = len(given["images"]["label"])
    # No variant can have this name.
    names = [entry["variant"] or "(study)" for entry in settings]
    matrices = dict(zip(names, given["sat"].values(), strict=True))
    models = dict(zip(names, given["models"].values(), strict=True))
    about = pd.DataFrame(settings).drop(columns="variant").rename(columns={"attack_images": "n_images"})
    about["n_images"] = about["n_images"].fillna(count).astype(int)
    if "steps" in about:
        about["steps"] = about["steps"].astype("Int64")  # not every method takes steps
    found = ablation_table(matrices, models, seed=seed)
    table = pd.concat([found[["variant"]], about, found.drop(columns="variant")], axis=1)
    for row in table[table["n_low_whitebox"] > 0].itertuples():
        log.warning(
            "%s: the attack fails on %d of the models themselves, so its matrix shows robustness more than similarity",
            row.variant,
            row.n_low_whitebox,
        )
    pairs = ablation_pairs(matrices)
    return Answer({"ablation": table, "ablation_pairs": pairs}, {"ablation": ablation_figure(table, pairs)})
