"""How far SAT, affinity and clusters depend on the attack and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.ablation.charts import CHARTS
from sat.logs import log
from sat.text import LOW_WHITEBOX
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    # This is a list because a JSON object would lose the order in which the study names its variants.
    settings = [{"variant": "", **plan.attack().params, "attack_images": None}] + [
        {"variant": name, **plan.attack(name).params, "attack_images": variant.attack_images}
        for name, variant in plan.config.variants.items()
    ]
    return {"settings": settings, "k": plan.config.clusters.k, "seed": plan.config.seed}


UNIT = Analysis(
    inputs={
        "images": "images/attack.h5",
        "sat": "{variant}similarity/sat.csv",
        "affinity": "{variant}similarity/affinity.csv",
        "models": "{variant}similarity/models.csv",
    },
    tables={"ablation": Shown("Variants", "agreement with the study"), "ablation_pairs": None},
    figures={"ablation": Shown("Variants", "agreement with the study")},
    charts=CHARTS,
    params=_params,
    wanted=lambda study: bool(study.config.variants),
)


def run(given: Given, *, settings: list[dict[str, Any]], k: int, seed: int) -> Answer:
    """Compare the matrices and clusters of every variant with the study's, and with each other.

    Parameters
    ----------
    given : Given
    settings : list of dict
        The attack's settings and the number of attack images: those of the study first, then those of each variant.
    k : int
        Number of clusters.
    seed : int

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.ablation.agreement import ablation_pairs, ablation_table

    count = len(given["images"]["label"])
    # No variant can have this name.
    names = [entry["variant"] or "(study)" for entry in settings]
    matrices = {of: dict(zip(names, given[of].values(), strict=True)) for of in ("sat", "affinity")}
    models = dict(zip(names, given["models"].values(), strict=True))
    about = pd.DataFrame(settings).rename(columns={"attack_images": "n_images"}).assign(variant=names)
    about["n_images"] = about["n_images"].fillna(count)
    about = about.convert_dtypes()  # whole numbers stay whole where a method lacks the setting
    pairs = ablation_pairs(matrices, k, seed)
    found = ablation_table(matrices, models, pairs, seed=seed)
    table = found[["variant", "of"]].merge(about, on="variant").merge(found, on=["variant", "of"])
    for row in table[(table["n_low_whitebox"] > 0) & (table["of"] == "sat")].itertuples():
        log.warning(
            "%s: low white-box success of %d model(s); %s",
            row.variant,
            row.n_low_whitebox,
            LOW_WHITEBOX,
        )
    if found.loc[found["of"] == "affinity", "n_pairs"].eq(0).all():
        log.warning("no affinity to compare: similarity/affinity.csv.json says why")
    return Answer({"ablation": table, "ablation_pairs": pairs})


def draw(given: Given, answer: Answer, **params: Any) -> dict[str, Figure]:
    """Draw every variant's agreement with the study."""
    from sat.analyses.ablation.figure import ablation_figure

    return {"ablation": ablation_figure(answer.tables["ablation"], answer.tables["ablation_pairs"])}
