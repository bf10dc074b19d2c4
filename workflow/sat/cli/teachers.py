"""The command `recommend teacher`: choose by SAT with the student, and say how far SAT predicts the gain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from sat.study.plan import Plan
    from sat.study.study import Study


def recommend_teacher(study: Study, results: Path, student: str, pool: list[str] | None) -> None:
    """Print a recommendation.

    Parameters
    ----------
    study : Study
    results : Path
        Folder of the study's results.
    student : str
        A model in use.
    pool : list of str, optional
        Models to choose among; all models in use by default.

    Raises
    ------
    SatError
        If results are missing or stale, or there is no model to choose.
    """
    from sat.analyses.distillation.gains import choose, direction
    from sat.cli.tools import plan_of
    from sat.errors import SatError
    from sat.status.recommendation import describe_teachers

    plan = plan_of(study)
    names = sorted(set(pool or study.used) - {student})
    if not names:
        raise SatError(f"--student {student}: no teacher can be recommended: --from names no other model.")
    candidates, weak = _candidates(plan, results, student, names)
    if candidates["sat"].isna().all():
        raise SatError(
            f"--student {student}: no teacher can be recommended: none of {len(names)} model(s) has a SAT with the "
            "student, since no image is classified correctly by both."
        )
    gains, related, note = _measured(plan, results, student)
    # What this study measured takes precedence over the paper's claim, which differs between the groups.
    measured = direction(related)
    order = [(measured, "all")] if measured else [("low_sat", "other"), ("high_sat", "same"), ("low_sat", "all")]
    choices = [choice for why, among in order if (choice := choose(candidates, why, among))]
    recommended = choices[0]
    beside = [
        choose(candidates, why, among)
        for why, among in (("low_sat", "other"), ("high_sat", "same"), ("accurate", "all"), ("accurate", "same"))
    ]
    shown = dict.fromkeys([recommended, *(choice for choice in beside if choice)])
    print(
        describe_teachers(
            study.name,
            student,
            list(shown),
            candidates,
            gains,
            related,
            measured is not None,
            study.config.confidence,
            "base architecture" if student in study.base_architectures else "family",
            sorted(weak & ({student} | {choice.teacher for choice in shown})),
            note,
        )
    )


def _candidates(plan: Plan, results: Path, student: str, names: list[str]) -> tuple[pd.DataFrame, set[str]]:
    """Find teachers with SAT to the student and accuracy, both with intervals, and the models whose attack fails."""
    import pandas as pd

    from sat.analyses.distillation.gains import relation_to
    from sat.cli.tools import there
    from sat.statistics.intervals import wilson
    from sat.store.artefact import Job, read_sidecar
    from sat.store.step import Step
    from sat.store.tables import read_table

    study = plan.study
    # The inputs are those that the analyses read, and get the same checks.
    recipe = plan.similarity("")[0].step.recipe
    job = Job(Step("recommend", 1, {}, {"pairs": recipe, "models": recipe}))
    pairs = read_table(job.input("pairs", there(results / "similarity/most_similar.csv")))
    models = read_table(job.input("models", there(results / "similarity/models.csv"))).set_index("model")
    both = pd.concat([pairs, pairs.rename(columns={"model_a": "model_b", "model_b": "model_a"})])
    own = both[both["model_a"] == student].drop_duplicates("model_b").set_index("model_b")
    found = own.loc[names, ["sat", "sat_low", "sat_high"]].assign(accuracy=models["accuracy"])
    n_images = read_sidecar(there(results / "images/eval.h5"))["facts"]["n_images"]
    found["accuracy_low"], found["accuracy_high"] = wilson(
        found["accuracy"] * n_images, n_images, study.config.confidence
    )
    base = study.base_architectures
    kinds = base if student in base else {name: row.family for name, row in study.model.items()}
    found["relation"] = relation_to(student, kinds, names)
    return found, set(models.index[models["low_whitebox"]])


def _measured(plan: Plan, results: Path, student: str) -> tuple[pd.DataFrame | None, pd.DataFrame | None, str]:
    """Read the study's own tables of distillation, or say why there are none for this student."""
    from sat.store.artefact import read_sidecar
    from sat.store.tables import read_table

    asked = plan.config.distillation
    if not asked or asked.student != student:
        return None, None, f"this study has not distilled {student} (config key distillation)"
    paths = [results / f"analysis/{name}.csv" for name in ("distillation", "distillation_relation")]
    if not all(path.exists() for path in paths):
        return None, None, "the study's own distillation has not run yet"
    if any(read_sidecar(path)["recipe"] != plan.analysis("distillation")[0].step.recipe for path in paths):
        return None, None, "the study's own distillation is of other settings; run snakemake first"
    return read_table(paths[0]).set_index("teacher"), read_table(paths[1]), ""
