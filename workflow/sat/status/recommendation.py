"""A recommended ensemble or teacher, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sat.text import LOW_WHITEBOX, columns, wrapped
from sat.units.analysis import SIMILARITIES

if TYPE_CHECKING:
    import pandas as pd

    from sat.analyses.distillation.gains import Choice
    from sat.analyses.ensembles.averaging import Recommendation

NAMES = {
    "low_affinity": "affinity",
    "low_sat": "SAT",
    "most_accurate": "accuracy",
    "greedy": "greedy",
    "matched": "matched",
}
"""Ways to choose, as `sat.analyses.ensembles.averaging.recommend` describes them."""
MEANINGS = {
    "low_affinity": "the candidate set with the lowest mean affinity",
    "low_sat": "the candidate set with the lowest mean SAT",
    "most_accurate": "the most accurate models",
    "greedy": "most accurate model first, then whichever raises the ensemble's accuracy most",
}


def describe_recommendation(
    found: Recommendation,
    study: str,
    n_models: int,
    images: tuple[int, int],
    confidence: float,
    no_affinity: str,
    weak: list[str],
) -> str:
    """Say which models to combine, what that gains, and how sure that is.

    Parameters
    ----------
    found : Recommendation
    study : str
    n_models : int
        Number of models to choose among.
    images : (int, int)
        Numbers of images chosen on, and reported on.
    confidence : float
        Level of the intervals.
    no_affinity : str
        Why the study has no affinity; empty if it has.
    weak : list of str
        Recommended models whose white-box success is low.

    Returns
    -------
    str
        Several lines.
    """
    choices, by = found.choices, SIMILARITIES[found.by]
    rows, than = choices.to_dict("records"), found.differences.set_index("than").to_dict("index")
    first, most_accurate = rows[0], next(row for row in rows if row["choice"] == "most_accurate")
    lines = [
        "",
        *wrapped(f"Study {study}: {len(found.members)} of {n_models} models, combined by averaging probabilities."),
        "",
        *wrapped(", ".join(found.members), "  "),
        "",
        *wrapped(
            f"These have the lowest mean {by} of the {found.n_candidates} set(s) whose members are nearly as accurate "
            f"as the best. They were chosen on {images[0]} evaluation images, by the {by} of the attack images among "
            f"these. All figures below come from the other {images[1]}, with {confidence:.0%} intervals over images."
        ),
        "",
        "Was this better than accuracy alone?",
        *wrapped(_verdict(than["most_accurate"], most_accurate["members"] == first["members"]), "  "),
    ]
    if "matched" in than:
        lines += [
            f"Does low {by} gain anything at the same accuracy?",
            *wrapped(_gain(than["matched"]), "  "),
        ]
    head = ("chosen by", "affinity", "SAT", "members", "ensemble", "fewer errors")
    lines += ["", "Accuracy of the average member and of the ensemble, and error reduction, in %:"]
    lines += columns([head, *(_row(row) for row in rows)])
    lines += ["", f"Choice by {by} minus the others, in points (0 inside: no difference shown):"]
    differences = [
        (NAMES[name], *(_points(row, key) for key in ("accuracy", "error_reduction"))) for name, row in than.items()
    ]
    lines += columns([("minus", "ensemble", "fewer errors"), *differences])
    lines += ["", "Choices:"]
    for row in rows[1:]:
        name = row["choice"]
        if name in MEANINGS:
            words = f"{row['members'].replace(';', ', ')} ({MEANINGS[name]})"
        else:
            words = _matched(row, first, found)
        lines += wrapped(f"{NAMES[name]}: {words}", "  ", "    ")
    if "matched" not in than:
        lines += wrapped(
            f"matched: no other set's mean accuracy lies within {100 * found.caliper:.2f} points of this one's, so "
            "accuracy and similarity cannot be told apart",
            "  ",
            "    ",
        )
    notes = []
    if found.by == "sat":
        reason = no_affinity or "no candidate set has an affinity"
        notes.append(f"chosen by SAT, which favours models that are hard to fool: {reason}")
    if found.n_candidates == 1:
        notes.append(f"only one set was near the best accuracy, so {by} chose nothing; raise --tolerance")
    if "n_clusters" in first and not math.isnan(clusters := first["n_clusters"]):
        notes.append(f"the recommended models come from {clusters:.0f} cluster(s) of analysis/clusters.csv")
    if found.n_considered < n_models:
        notes.append(f"only the {found.n_considered} most accurate models were considered: there are too many sets")
    notes += [f"{name}: low white-box success; {LOW_WHITEBOX}" for name in weak]
    notes.append("intervals cover the choice of images only; other models may behave differently")
    return "\n".join([*lines, "", "Be careful:", *(line for note in notes for line in wrapped(note, "  ", "    "))])


def ensemble_advice(found: Recommendation) -> str:
    """Say in one sentence what to do."""
    rows = found.choices.to_dict("records")
    first, accurate = rows[0], next(row for row in rows if row["choice"] == "most_accurate")
    best = accurate["members"].replace(";", ", ")
    difference = found.differences.set_index("than").loc["most_accurate"]
    count = len(found.members)
    if accurate["members"] == first["members"]:
        text = f"combine {best}: the {count} most accurate models are also the choice by {SIMILARITIES[found.by]}"
    elif difference["accuracy_low"] > 0:
        text = f"combine {', '.join(found.members)}: this was shown to be better than the {count} most accurate models"
    elif difference["accuracy_high"] < 0:
        text = f"combine {best}, the {count} most accurate models: the recommended set was worse on the other images"
    else:
        text = (
            f"combining {', '.join(found.members)} was not shown to be better than the {count} most accurate models "
            f"({best})"
        )
    return "\n".join(["", *wrapped(f"Advice: {text}.")])


def describe_splits(found: list[Recommendation]) -> str:
    """Say how often choosing by similarity was better than another choice, over several halves of the images.

    Parameters
    ----------
    found : list of Recommendation
        One for each half that was chosen on.

    Returns
    -------
    str
        Several lines.
    """
    if len(found) == 1:
        return "\n".join(
            wrapped("one split of the images decides here; --splits 20 repeats it with others", "  ", "    ")
        )
    by = SIMILARITIES[found[0].by]
    rows: list[tuple[str, ...]] = [("minus", "mean points", "better in", "equal in", "worse in")]
    tables = [one.differences.set_index("than")["accuracy"] for one in found]
    for choice, name in NAMES.items():
        values = [round(100 * table[choice], 9) for table in tables if choice in table.index]
        if values:
            counts = (sum(v > 0 for v in values), sum(v == 0 for v in values), sum(v < 0 for v in values))
            rows.append((name, f"{sum(values) / len(values):+.2f}", *map(str, counts)))
    head = (
        f"Accuracy of the ensemble chosen by {by} minus the others, over {len(found)} splits of the images. Splits "
        "share images, so they are not independent trials:"
    )
    return "\n".join(["", *wrapped(head), *columns(rows)])


def _verdict(difference: dict[str, Any], same: bool) -> str:
    """Say whether the set was better than the most accurate models."""
    if same:
        return "These are the most accurate models, so there is nothing to compare."
    value = _points(difference, "accuracy")
    if difference["accuracy_low"] > 0:
        return f"Better: the ensemble's accuracy is {value} points above that of the most accurate models."
    if difference["accuracy_high"] < 0:
        return (
            f"Worse: the ensemble's accuracy differs by {value} points from that of the most accurate models. Combine "
            "those instead, or take a smaller --tolerance."
        )
    return (
        f"No difference shown: the ensemble's accuracy differs by {value} points from that of the most accurate models."
    )


def _gain(difference: dict[str, Any]) -> str:
    """Say whether the set gained more than other sets of the same accuracy."""
    value = _points(difference, "accuracy")
    if difference["accuracy_low"] > 0:
        return f"Yes: {value} points more than other sets of the same accuracy."
    if difference["accuracy_high"] < 0:
        return f"No, it loses: {value} points compared with other sets of the same accuracy."
    return f"Not shown: {value} points compared with other sets of the same accuracy."


def _matched(row: dict[str, Any], first: dict[str, Any], found: Recommendation) -> str:
    """Describe the matched sets, and how far their accuracy is from that of the recommended set."""
    gaps = [100 * (row[key] - first[key]) + 0.0 for key in ("chosen_on_accuracy", "member_accuracy")]
    return (
        f"mean of {row['n_sets']} other set(s) whose members' mean accuracy is within {100 * found.caliper:.2f} points "
        f"of this one's where sets were chosen; mean gap {gaps[0]:+.2f} points there, "
        f"{gaps[1]:+.2f} on the other images"
    )


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        NAMES[row["choice"]],
        _number(row["mean_affinity"]),
        _number(row["mean_sat"]),
        f"{100 * row['member_accuracy']:.2f}",
        _per_cent(row, "accuracy"),
        _per_cent(row, "error_reduction", 1),
    )


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"


def _per_cent(row: dict[str, Any], key: str, digits: int = 2) -> str:
    """Write a share with its interval, in per cent."""
    if math.isnan(row[key]):
        return "no member errs"
    value, low, high = (f"{100 * row[name]:.{digits}f}" for name in (key, f"{key}_low", f"{key}_high"))
    return f"{value} [{low}, {high}]"


def _points(row: dict[str, Any], key: str) -> str:
    """Write a difference of shares with its interval, in percentage points."""
    if math.isnan(row[key]):
        return "unknown"
    value, low, high = (round(100 * row[name], 2) + 0.0 for name in (key, f"{key}_low", f"{key}_high"))
    if value == low == high == 0:
        # The same set, or sets that are right on the same images.
        return "the same"
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


WHY = {
    "low_affinity": "lowest affinity",
    "high_affinity": "highest affinity",
    "low_sat": "lowest SAT",
    "high_sat": "highest SAT",
    "accurate": "most accurate",
}
"""Ways to choose a teacher, as `sat.analyses.distillation.gains.choose` has them."""
LITERATURE = (
    "Published: the abstract of the paper's ICLR 2023 submission (arXiv 2210.11407v1) says that the relationship of "
    'teacher, student and distillation performance "depends on the choice of the base architecture of the teacher and '
    'student networks". It does not say whether similar or dissimilar teachers give more in either group. Liang et al. '
    "(arXiv 2006.14512) find that adversarial transferability and knowledge transferability indicate each other, but "
    "for transfer learning and not for distillation."
)


def describe_teachers(
    study: str,
    student: str,
    choices: list[Choice],
    candidates: pd.DataFrame,
    gains: pd.DataFrame | None,
    related: pd.DataFrame | None,
    confidence: float,
    by: str,
    weak: list[str],
    note: str,
) -> str:
    """Say which teacher to take, what supports the choice, and which alternatives there are.

    Parameters
    ----------
    study, student : str
    choices : list of Choice
        The recommended one first.
    candidates : DataFrame
        Indexed by teacher, with sat, affinity and accuracy, each with _low and _high.
    gains, related : DataFrame or None
        The study's own tables of distillation; the first is indexed by teacher.
    confidence : float
        Level of the intervals.
    by : str
        What `same` and `other` refer to: base architecture or family.
    weak : list of str
        Models shown, the student included, whose white-box success is low.
    note : str
        Why there are no tables; empty if there are.

    Returns
    -------
    str
        Several lines.
    """
    first = choices[0]
    if first.why == "accurate":
        why = (
            "Chosen because it is the most accurate: nothing measured here shows whether teachers that are similar to "
            f"{student} or dissimilar ones give more."
        )
    else:
        low = first.why.startswith("low")
        why = (
            f"Chosen by its {_choice(first, by)} with {student}: among the students trained here, "
            f"{'dis' if low else ''}similar teachers gave more."
        )
    lines = ["", *wrapped(f"Study {study}: a teacher for {student}, of {len(candidates)} models."), ""]
    lines += [*wrapped(first.teacher, "  "), "", *wrapped(why), "", f"Choices, with {confidence:.0%} intervals:"]
    for choice in choices:
        row = candidates.loc[choice.teacher].to_dict()
        facts = [f"accuracy {_per_cent(row, 'accuracy')} %", f"SAT {_interval(row, 'sat')}"]
        if not math.isnan(row["affinity"]):
            facts.append(f"affinity {_interval(row, 'affinity')}")
        if gains is not None and choice.teacher in gains.index:
            facts.append(f"gain here {_points(gains.loc[choice.teacher].to_dict(), 'gain')} points")
        lines += wrapped(f"{choice.teacher}: {_choice(choice, by)}", "  ", "    ")
        lines += wrapped(", ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts), "    ")
        lines += wrapped(f"intervals overlap: {', '.join(choice.ties) or 'none'}", "    ", "      ")
    lines += ["", "Does similarity predict what a teacher gives?"]
    if related is not None and gains is not None:
        lines += [line for row in related.to_dict("records") for line in wrapped(_relation(row, by), "  ", "    ")]
        best = gains["gain"].idxmax()
        measured = f"largest gain measured here: {best}, {_points(gains.loc[best].to_dict(), 'gain')} points over alone"
        lines += wrapped(measured, "  ", "    ")
        lines += wrapped("An interval that contains 0, or a missing one, shows nothing.", "  ")
    else:
        lines += wrapped(f"Not measured: {note}.", "  ")
    lines += wrapped(LITERATURE, "  ")
    notes = [f"{name}: {LOW_WHITEBOX}" for name in weak]
    if candidates["affinity"].isna().all():
        notes.append("this study has no affinity, so only SAT is shown; it is largely how easily each model is fooled")
    notes.append("similarity depends on these attack images, and gains on these teachers and seeds")
    lines += ["", "Be careful:", *(line for note in notes for line in wrapped(note, "  ", "    "))]
    tied = f" (no difference shown from {', '.join(first.ties[:3])})" if first.ties else ""
    shown = "it is not shown that similarity to the student matters" if first.why == "accurate" else _choice(first, by)
    return "\n".join([*lines, "", *wrapped(f"Advice: distil {student} from {first.teacher}{tied}; {shown}.")])


def _interval(row: dict[str, Any], key: str) -> str:
    return f"{_number(row[key])} [{_number(row[f'{key}_low'])}, {_number(row[f'{key}_high'])}]"


def _choice(choice: Choice, by: str) -> str:
    among = "" if choice.among == "all" else f", {choice.among} {by}"
    return f"{WHY[choice.why]}{among}"


def _relation(row: dict[str, Any], by: str) -> str:
    """Put the correlation of a group into words."""
    group = "all teachers" if row["group"] == "all" else f"{row['group']} {by}"
    similarity = SIMILARITIES[row["of"]]
    head = f"measured here, {group} ({row['n_teachers']}): "
    if math.isnan(row["spearman"]):
        return head + f"too few teachers or values for a correlation of gain with {similarity}"
    interval = "" if math.isnan(row["spearman_low"]) else f" [{row['spearman_low']:+.2f}, {row['spearman_high']:+.2f}]"
    return (
        head
        + f"rank correlation of gain with {similarity} {round(row['spearman'], 2) + 0.0:+.2f}{interval}, "
        + f"p = {row['p']:.3f}"
    )
