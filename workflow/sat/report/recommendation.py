"""A recommended ensemble in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sat.analysis.ensembles import Recommendation

NAMES = {
    "low_sat": "lowest SAT",
    "most_accurate": "most accurate",
    "greedy": "greedy",
    "matched": "same accuracy",
}
"""Ways to choose, as `sat.analysis.ensembles.recommend` describes them."""


def describe_recommendation(
    found: Recommendation,
    study: str,
    n_models: int,
    images: tuple[int, int],
    remeasured: bool,
    confidence: float,
    left_out: list[str],
    weak: list[str],
) -> str:
    """Say which models to combine, what that gains, and how sure that is.

    Parameters
    ----------
    found : Recommendation
    study : str
    n_models : int
        To choose among.
    images : (int, int)
        Images chosen on, and reported on.
    remeasured : bool
        Whether SAT was measured anew on the images chosen on.
    confidence : float
        Level of the intervals.
    left_out : list of str
        Models whose SAT is too low to choose by.
    weak : list of str
        Such models among the recommended.

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
    head = ("choice", "mean SAT", "a member alone", "ensemble", "errors fewer than a member's")
    lines += _columns([head, *(_row(row) for row in found.choices.to_dict("records"))])
    lines += [
        "",
        "Lowest SAT minus another choice (an interval that holds 0 shows no difference):",
    ]
    differences = [
        (NAMES[row["than"]], *(_points(row, key) for key in ("accuracy", "error_reduction")))
        for row in found.differences.to_dict("records")
    ]
    lines += _columns([("", "ensemble, points", "errors fewer, points"), *differences])
    lines += ["", "Choices:"]
    for row in found.choices.to_dict("records"):
        if row["choice"] != "low_sat" and row["members"]:
            lines.append(f"  {NAMES[row['choice']]}: {row['members'].replace(';', ', ')}")
    if several:
        lines.append(
            f"  {NAMES['matched']}: mean of {several[0]} other sets, nearest to the recommended one in accuracy on the "
            "images chosen on"
        )
    notes = []
    if found.n_candidates == 1:
        notes.append("one set was to be had, so SAT chose nothing; a larger --tolerance or pool gives it a choice")
    if "n_clusters" in found.choices and not math.isnan(clusters := found.choices["n_clusters"].iloc[0]):
        notes.append(f"the recommended models come from {clusters:.0f} cluster(s) of analysis/clusters.csv")
    if found.n_considered < n_models:
        notes.append(f"only the {found.n_considered} most accurate models were considered: there are too many sets")
    notes += [
        f"{name}: left out, its attack fails on itself, so its SAT is too low (--from takes it in)" for name in left_out
    ]
    notes += [
        f"{name}: its attack fails on itself, so its SAT is too low, which may be why it was chosen" for name in weak
    ]
    notes.append("intervals are for these models; other models, or other images than such, may behave differently")
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
    """A share with its interval."""
    if math.isnan(row[key]):
        return "no member errs"
    return f"{100 * row[key]:.2f} % [{100 * row[f'{key}_low']:.2f}, {100 * row[f'{key}_high']:.2f}]"


def _points(row: dict[str, Any], key: str) -> str:
    """A difference of shares with its interval, in percentage points."""
    if math.isnan(row[key]):
        return "unknown"
    value, low, high = (100 * row[name] for name in (key, f"{key}_low", f"{key}_high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
