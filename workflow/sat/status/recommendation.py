"""A recommended ensemble or teacher, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from sat.analyses.distillation.gains import Choice
    from sat.analyses.ensembles.averaging import Recommendation

NAMES = {
    "low_sat": "lowest SAT",
    "most_accurate": "most accurate",
    "greedy": "greedy",
    "matched": "same accuracy",
}
"""Ways to choose, as `sat.analyses.ensembles.averaging.recommend` describes them."""


def describe_recommendation(
    found: Recommendation,
    study: str,
    n_models: int,
    images: tuple[int, int],
    remeasured: bool,
    confidence: float,
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
    remeasured : bool
        Whether SAT was measured anew on the images chosen on.
    confidence : float
        Level of the intervals.
    weak : list of str
        Recommended models whose white-box success is low.

    Returns
    -------
    str
        Several lines.
    """
    size = len(found.members)
    which = "of its attack images" if remeasured else "of the attack images, all in that half"
    lines = [
        "",
        f"Study {study}: {size} of {n_models} models, to be combined by averaging their probabilities.",
        "",
        f"  {', '.join(found.members)}",
        "",
        f"Chosen on {images[0]} evaluation images, with the SAT {which}: the lowest mean SAT of "
        f"{found.n_candidates} set(s)",
        f"of nearly the best accuracy. On the other {images[1]} images, with {confidence:.0%} intervals over images:",
        "",
    ]
    several = found.choices[found.choices["n_sets"] > 1]["n_sets"].tolist()
    head = ("choice", "mean SAT", "average member", "ensemble", "error reduction")
    lines += _columns([head, *(_row(row) for row in found.choices.to_dict("records"))])
    lines += [
        "",
        "Lowest SAT minus another choice (an interval that contains 0 shows no difference):",
    ]
    differences = [
        (NAMES[row["than"]], *(_points(row, key) for key in ("accuracy", "error_reduction")))
        for row in found.differences.to_dict("records")
    ]
    lines += _columns([("", "ensemble, points", "error reduction, points"), *differences])
    lines += ["", "Choices:"]
    for row in found.choices.to_dict("records"):
        if row["choice"] != "low_sat" and row["members"]:
            lines.append(f"  {NAMES[row['choice']]}: {row['members'].replace(';', ', ')}")
    if several:
        lines.append(
            f"  {NAMES['matched']}: mean of the {several[0]} other sets whose accuracy on the images chosen on is "
            "nearest to that of the recommended set"
        )
    notes = []
    if found.n_candidates == 1:
        notes.append("only one set was to be had, so SAT chose nothing; a larger --tolerance or pool gives a choice")
    if "n_clusters" in found.choices and not math.isnan(clusters := found.choices["n_clusters"].iloc[0]):
        notes.append(f"the recommended models come from {clusters:.0f} cluster(s) of analysis/clusters.csv")
    if found.n_considered < n_models:
        notes.append(f"only the {found.n_considered} most accurate models were considered: there are too many sets")
    notes += [f"{name}: low white-box success; a stronger attack would raise its rates as a source" for name in weak]
    notes.append("intervals cover the choice of images only; other models may behave differently")
    return "\n".join([*lines, "", "Be careful:", *(f"  {note}" for note in notes)])


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        NAMES[row["choice"]],
        f"{row['mean_sat']:.2f}",
        f"{100 * row['member_accuracy']:.2f} %",
        _per_cent(row, "accuracy"),
        _per_cent(row, "error_reduction"),
    )


def _per_cent(row: dict[str, Any], key: str) -> str:
    """Write a share with its interval."""
    if math.isnan(row[key]):
        return "no member errs"
    return f"{100 * row[key]:.2f} % [{100 * row[f'{key}_low']:.2f}, {100 * row[f'{key}_high']:.2f}]"


def _points(row: dict[str, Any], key: str) -> str:
    """Write a difference of shares with its interval, in percentage points."""
    if math.isnan(row[key]):
        return "unknown"
    value, low, high = (100 * row[name] for name in (key, f"{key}_low", f"{key}_high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


WHY = {"low_sat": "least alike", "high_sat": "most alike", "accurate": "most accurate"}
"""Ways to choose a teacher, as `sat.analyses.distillation.gains.choose` has them."""
CLAIM = (
    "The paper's abstract says that diversity helps under specific conditions. Its text is remembered to say that "
    "dissimilar teachers of another base architecture, and similar ones of the same, give more. This was not checked: "
    "the paper's full text was not available."
)


def describe_teachers(
    study: str,
    student: str,
    choices: list[Choice],
    candidates: pd.DataFrame,
    gains: pd.DataFrame | None,
    related: pd.DataFrame | None,
    measured: bool,
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
        Indexed by teacher, with sat, sat_low, sat_high, accuracy, accuracy_low, accuracy_high.
    gains, related : DataFrame or None
        The study's own tables of distillation; the first is indexed by teacher.
    measured : bool
        Whether the choice follows these tables, and not the paper.
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
    head = [f"choice, {confidence:.0%} intervals", "teacher", "SAT", "accuracy"]
    rows = [(*head, "gain here, points") if gains is not None else tuple(head)]
    for choice in choices:
        row = candidates.loc[choice.teacher].to_dict()
        sat = f"{row['sat']:.2f} [{row['sat_low']:.2f}, {row['sat_high']:.2f}]"
        cells = [_choice(choice, by), choice.teacher, sat, _per_cent(row, "accuracy")]
        if gains is not None:
            cells.append(_points(gains.loc[choice.teacher].to_dict(), "gain") if choice.teacher in gains.index else "")
        rows.append(tuple(cells))
    lines = [
        "",
        f"Study {study}: a teacher for {student}, of {len(candidates)} models.",
        "",
        f"  {first.teacher}",
        "",
        f"Chosen by SAT with {student}: the {_choice(first, by)}. Compared with other choices:",
        "",
        *_columns(rows),
        "",
        "Teachers that cannot be told from each choice, since intervals overlap:",
    ]
    lines += [f"  {_choice(choice, by)}: {', '.join(choice.ties) or 'none'}" for choice in choices]
    lines += ["", "How far SAT predicts what a teacher gives:"]
    if related is not None and gains is not None:
        lines += [f"  {_relation(row, by)}" for row in related.to_dict("records")]
        best = gains["gain"].idxmax()
        lines.append(f"  best measured here: {best}, {_points(gains.loc[best].to_dict(), 'gain')} points over alone")
    if measured:
        words = "The choice follows what was measured here, and not the paper."
    elif related is not None:
        words = (
            f"Where an interval contains 0 or is missing, nothing was shown here. {CLAIM} The choice rests on this "
            "claim, so treat it as a guess."
        )
    else:
        words = f"Unverified here: {note}. {CLAIM} The choice rests on this claim, so treat it as a guess."
    lines += [f"  {line}" for line in wrap(words, 110)]
    notes = [f"{name}: low white-box success; a stronger attack would raise its rates as a source" for name in weak]
    notes.append("SAT depends on these attack images, and gains on these teachers and seeds; others may differ")
    return "\n".join([*lines, "", "Be careful:", *(f"  {note}" for note in notes)])


def _choice(choice: Choice, by: str) -> str:
    among = "" if choice.among == "all" else f", {choice.among} {by}"
    return f"{WHY[choice.why]}{among}"


def _relation(row: dict[str, Any], by: str) -> str:
    """Put the correlation of a group into words."""
    group = "all teachers" if row["group"] == "all" else f"{row['group']} {by}"
    head = f"measured here, {group} ({row['n_teachers']}): "
    if math.isnan(row["spearman"]):
        return head + "no rank correlation to be had"
    interval = "" if math.isnan(row["spearman_low"]) else f" [{row['spearman_low']:+.2f}, {row['spearman_high']:+.2f}]"
    return (
        head + f"rank correlation of gain with SAT {round(row['spearman'], 2) + 0.0:+.2f}{interval}, p = {row['p']:.3f}"
    )
