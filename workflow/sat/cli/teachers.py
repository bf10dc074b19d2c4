"""The command `recommend teacher`: choose by what the study measured, and say how far similarity predicts the gain."""

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
    from sat.analyses.distillation.gains import RELATIONS, choose, direction
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
            f"--student {student}: no teacher can be recommended: no image is classified correctly by the student and "
            f"by any of {len(names)} model(s)."
        )
    gains, related, note = _measured(plan, results, student)
    # Nothing published says which way similarity acts within a group, so only the study's own measurement decides.
    recommended = choose(candidates, direction(related) or "accurate", "all")
    of = "sat" if candidates["affinity"].isna().all() else "affinity"
    beside = [choose(candidates, why, among) for among in RELATIONS for why in (f"low_{of}", f"high_{of}")]
    beside += [choose(candidates, "accurate", among) for among in ("all", "same")]
    shown = dict.fromkeys(choice for choice in (recommended, *beside) if choice)
    print(
        describe_teachers(
            study.name,
            student,
            list(shown),
            candidates,
            gains,
            related,
            study.config.confidence,
            "base architecture" if student in study.base_architectures else "family",
            sorted(weak & ({student} | {choice.teacher for choice in shown})),
            note,
        )
    )


def _candidates(plan: Plan, results: Path, student: str, names: list[str]) -> tuple[pd.DataFrame, set[str]]:
    """Find teachers with similarity to the student and accuracy, with intervals, and the models whose attack fails."""
    import pandas as pd

    from sat.analyses.distillation.gains import relation_to
    from sat.cli.tools import there
    from sat.statistics.intervals import wilson
    from sat.store.artefact import Job, read_sidecar
    from sat.store.step import Step
    from sat.store.tables import read_table

    study = plan.study
    # The inputs are those that the analyses read, and get the same checks.
    recipe, effects = plan.similarity("")[0].step.recipe, plan.analysis("effects")[0].step.recipe
    job = Job(Step("recommend", 1, {}, {"pairs": recipe, "models": recipe, "affinity": effects}))
    pairs = read_table(job.input("pairs", there(results / "similarity/most_similar.csv")))
    affinity = read_table(job.input("affinity", there(results / "analysis/effects_pairs.csv")))
    models = read_table(job.input("models", there(results / "similarity/models.csv"))).set_index("model")
    parts = [_of_student(table, name, student, names) for table, name in ((pairs, "sat"), (affinity, "affinity"))]
    found = pd.concat(parts, axis=1).assign(accuracy=models["accuracy"])
    job.ready()
    n_images = read_sidecar(there(results / "images/eval.h5"))["facts"]["n_images"]
    found["accuracy_low"], found["accuracy_high"] = wilson(
        found["accuracy"] * n_images, n_images, study.config.confidence
    )
    base = study.base_architectures
    kinds = base if student in base else {name: row.family for name, row in study.model.items()}
    found["relation"] = relation_to(student, kinds, names)
    return found, set(models.index[models["low_whitebox"]])


def _of_student(pairs: pd.DataFrame, name: str, student: str, teachers: list[str]) -> pd.DataFrame:
    """Similarity of the teachers to the student with its interval, from a table of unordered pairs."""
    import pandas as pd

    both = pd.concat([pairs, pairs.rename(columns={"model_a": "model_b", "model_b": "model_a"})])
    own = both[both["model_a"] == student].drop_duplicates("model_b").set_index("model_b")
    return own.loc[teachers, [name, f"{name}_low", f"{name}_high"]]


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
