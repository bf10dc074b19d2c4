"""What a student gains from each teacher, and how the gain correlates with its similarity to the student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.distillation.charts import CHARTS
from sat.logs import log
from sat.store.step import ALONE
from sat.text import LOW_WHITEBOX
from sat.units.analysis import SIMILARITIES, Analysis, Answer, Shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    study, asked = plan.study, plan.config.distillation
    assert asked, "asked for where there is something to distil"
    base = study.base_architectures
    # Where the table names no base architecture, families stand in for them.
    by_family = asked.student not in base
    names = (asked.student, *study.teachers)
    return {
        "student": asked.student,
        "teachers": {name: study.model[name].family for name in study.teachers},
        "compared_by": "family" if by_family else "base_architecture",
        "kinds": {name: study.model[name].family if by_family else base.get(name, "") for name in names},
        "seeds": asked.seeds,
        "confidence": plan.config.confidence,
        "seed": plan.config.seed,
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "models": "similarity/models.csv",
        "students": "distilled/{teacher}/{seed}.safetensors",
    },
    tables={
        "distillation": Shown("Distillation", "gain with each teacher"),
        "distillation_relation": Shown("Distillation", "correlation of gain and similarity"),
    },
    figures={"distillation": Shown("Distillation", "gain and similarity")},
    charts=CHARTS,
    params=_params,
    wanted=lambda study: study.config.distillation is not None,
)


def run(
    given: Given,
    *,
    student: str,
    teachers: dict[str, str],
    compared_by: str,
    kinds: dict[str, str],
    seeds: int,
    confidence: float,
    seed: int,
) -> Answer:
    """Collect the students' accuracies and compare them.

    Parameters
    ----------
    given : Given
    student : str
    teachers : dict of str to str
        Family of every teacher.
    compared_by : {'base_architecture', 'family'}
        What `kinds` holds.
    kinds : dict of str to str
        Base architecture or family of the student and of every teacher; empty where unknown.
    seeds : int
        Number of trainings with each teacher.
    confidence : float
        Level of the intervals.
    seed : int

    Returns
    -------
    Answer
    """
    import pandas as pd

    from sat.analyses.distillation.gains import gain_by_similarity, relation_to, teacher_gains

    names, replicates = list(teachers), range(seeds)
    similarities = {name: given[name].loc[student, names].astype(float) for name in ("sat", "affinity")}
    models = given["models"].set_index("model")
    facts = given.facts("students", "accuracy", "n_images")
    accuracy = pd.DataFrame(
        {
            replicate: {name: facts[name, str(replicate)]["accuracy"] for name in (ALONE, *names)}
            for replicate in replicates
        }
    )
    alone, accuracy = accuracy.loc[ALONE], accuracy.loc[names]
    relation = pd.Series(relation_to(student, kinds, names), names)
    table = teacher_gains(accuracy, alone, confidence)
    about = pd.DataFrame(
        {
            "family": teachers,
            compared_by: {name: kinds.get(name, "") for name in names},
            "relation": relation,
            **similarities,
            "teacher_accuracy": models["accuracy"],
            "low_whitebox": models["low_whitebox"],
        }
    ).loc[names]
    table = table[["teacher"]].join(about, on="teacher").join(table.drop(columns="teacher"))
    related = gain_by_similarity(
        accuracy.sub(alone, axis="columns"),
        similarities,
        models.loc[names, "accuracy"],
        relation,
        confidence,
        seed=seed,
    )
    related["by"] = compared_by.replace("_", " ")
    _say(table, related, student, given.facts("affinity", "no_affinity")["no_affinity"] or "")
    return Answer(
        {"distillation": table, "distillation_relation": related},
        {
            "n_teachers": len(names),
            "n_seeds": seeds,
            "n_images": facts[ALONE, "0"]["n_images"],
            "accuracy_alone": alone.tolist(),
        },
    )


def draw(given: Given, answer: Answer, *, student: str, **params: Any) -> dict[str, Figure]:
    """Draw what the student gains from each teacher."""
    from sat.analyses.distillation.figure import distillation_figure

    tables = answer.tables
    return {"distillation": distillation_figure(tables["distillation"], tables["distillation_relation"], student)}


def _say(table: pd.DataFrame, related: pd.DataFrame, student: str, no_affinity: str) -> None:
    """Log what was found, and what could not be computed."""
    import pandas as pd

    if no_affinity:
        log.warning("no affinity (%s), so its columns are empty", no_affinity)
    for row in table[table["sat"].isna()].itertuples():
        log.warning(
            "%s: no SAT with %s, since no image is classified correctly by both; correlations leave it out",
            row.teacher,
            student,
        )
    for row in table[table["low_whitebox"]].itertuples():
        log.warning("%s: low white-box success; %s", row.teacher, LOW_WHITEBOX)
    if table["n_seeds"].iloc[0] == 1:
        log.warning("one seed: nothing says how much of a gain is chance; raise distillation.seeds")
    if (table["relation"] == "unknown").any():
        log.warning(
            "%d teacher(s) of unknown base architecture are in neither group", (table["relation"] == "unknown").sum()
        )
    for row in related.itertuples():
        name = SIMILARITIES[row.of]
        if row.of == "affinity" and no_affinity:
            continue
        if pd.isna(row.spearman):
            log.warning(
                "%s: no correlation of gain with %s: %d teachers are too few, or gain or %s does not vary",
                row.group,
                name,
                row.n_teachers,
                name,
            )
        else:
            log.info(
                "%s: rank correlation of gain with %s %.2f [%.2f, %.2f], p = %.4f, over %d teachers",
                row.group,
                name,
                row.spearman,
                row.spearman_low,
                row.spearman_high,
                row.p,
                row.n_teachers,
            )
