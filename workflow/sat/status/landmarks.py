"""How many landmarks a wanted error of SAT needs, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat.similarity.landmarks import draw_further, landmarks_for
from sat.status.load import Load
from sat.status.verify import Finding
from sat.study.expected import Device, Expected
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import Study
from sat.study.tiles import LEAST_LANDMARKS
from sat.text import duration, size

RELEASED = {8: 0.24, 16: 0.16, 24: 0.13, 40: 0.10}
"""Root mean square errors of SAT by number of landmarks, for the paper's 69 ImageNet models (docs/landmarks.md)."""
FURTHEST = 4
"""The errors of K landmarks are continued to this many times K, and no further."""


def about_landmarks(
    plan: Plan,
    results: Path,
    sidecars: Mapping[str, Mapping[str, Any]],
    findings: Mapping[str, Finding],
    wanted: float | None = None,
    device: Device | None = None,
) -> list[str]:
    """Say how large the errors of a study's estimates are, and what a wanted error takes.

    Parameters
    ----------
    plan : Plan
        Plan of a study that has models. Where a study starts from a matrix, there are no pairs to measure.
    results : Path
        Folder of the study's results.
    sidecars : mapping of str to mapping
        Sidecars of what is made, by path.
    findings : mapping of str to Finding
        What is not as the study asks, by path.
    wanted : float, optional
        Root mean square error of SAT that is wanted.
    device : Device, optional
        Measured speed of a device, for the expected time.

    Returns
    -------
    list of str
        Paragraphs; empty if nothing is wanted and nothing is known.
    """
    study = plan.study
    own, earlier = _own_errors(study, results, sidecars, findings)
    lines = []
    if own:
        count, error = max(own.items())
        fewer = ", ".join(f"{other}: {own[other]:.2f}" for other in sorted(own) if other < count)
        when, are = ("before the study's last change, ", "were") if earlier else ("", "are")
        lines.append(
            f"Landmarks: {when}with {count}, SAT's estimates {are} off by {error:.2f} (root mean square)"
            + (f"; fewer would give {fewer}." if fewer else ".")
        )
        if wanted is None:
            lines[0] += " 'sat plan --sat-error E' says how many an error of E needs."
    if wanted is None:
        return lines
    if own and wanted >= error:
        return [*lines, f"An error of {wanted:g} needs no more landmarks."]
    basis = "from the paper's 69 ImageNet models, as this study has no estimates yet"
    if own:
        basis = f"this study's errors{' before its last change' if earlier else ''}, continued"
    errors = own or RELEASED
    found = landmarks_for(wanted, errors)
    if found is None or found > FURTHEST * max(errors):
        how = "Draw some more of them, let them run, and ask again." if own else "Measure every pair."
        return [*lines, f"How many landmarks an error of {wanted:g} needs cannot be told ({basis}). {how}"]
    count = max(found, LEAST_LANDMARKS, len(study.landmarks) + (len(study.landmarks) in own))
    if count > len(study.used) - 2:
        return [
            *lines,
            f"An error of {wanted:g} needs about {count} landmarks ({basis}), and the study has {len(study.used)} "
            "models. Measure every pair: leave the column 'landmark' empty.",
        ]
    lines.append(
        f"An error of {wanted:g} needs about {count} landmarks ({basis}; the true number may be a sixth to twice that)."
    )
    further = Plan(_with_landmarks(study, count), plan.digests)
    lines.append(f"With {count} landmarks: {_left(further, results, sidecars, findings, device)}.")
    lines.append(f"As the study is: {_left(plan, results, sidecars, findings, device)}.")
    if count > len(study.landmarks):
        lines.append(f"'sat landmarks {count}' draws them.")
    return lines


def _own_errors(
    study: Study, results: Path, sidecars: Mapping[str, Mapping[str, Any]], findings: Mapping[str, Finding]
) -> tuple[dict[int, float], bool]:
    """Errors of the study's own estimates by number of landmarks, and whether they are from before a change.

    There are none of more landmarks than the study has now.
    """
    path = str(results / "similarity/estimated.csv")
    finding = findings.get(path)
    earlier = finding is not None and finding.kind in ("stale", "downstream")
    if path not in sidecars or (finding and not earlier):
        return {}, False
    facts = sidecars[path]["facts"]
    found = {**facts["sat_error_of_fewer"], facts["n_landmarks"]: facts["sat_error"]}
    own = {int(count): float(error) for count, error in found.items() if int(count) <= len(study.landmarks)}
    return own, earlier


def _with_landmarks(study: Study, count: int) -> Study:
    """The study with as many landmarks, as `sat landmarks` would draw them."""
    if count <= len(study.landmarks):
        return study
    drawn, number = draw_further(study, count)
    rows = (row.model_copy(update={"landmark": number}) if row.model in drawn else row for row in study.models)
    # A copy would keep the properties that are cached.
    return Study(config=study.config, models=tuple(rows), declared=study.declared, files=study.files, code=study.code)


def _left(
    plan: Plan,
    results: Path,
    sidecars: Mapping[str, Mapping[str, Any]],
    findings: Mapping[str, Finding],
    device: Device | None,
) -> str:
    """What is left to try: tiles, expected time, limits and disk."""
    forecast = Forecast(plan, results)
    expected = Expected(forecast, results, sidecars, device)
    load, tiles = Load(), [plan.tile(*pair) for pair in plan.used_tiles]
    paths = (str(results / tile.path) for tile in tiles)
    # The plan that was verified may lack tiles of this one; they have neither finding nor sidecar.
    missing = {path: Finding(Path(path), "missing", "") for path in paths if path not in sidecars}
    lacking = {**missing, **findings}
    for tile in tiles:
        load.add([tile], results, lacking, forecast, expected)
    left, known = load.counts["to do"] + load.counts["again"], load.counted.total()
    if not left:
        return f"{plan.n_pairs:,} ordered pairs, all tried"
    time = f", expected {duration(sum(load.expected.values()))}" if known == left else ""
    return (
        f"{plan.n_pairs:,} ordered pairs; {left:,} of {len(tiles):,} tiles are left{time}, with time limits of "
        f"{load.limits} h in sum and {size(load.disk_left)} of disk"
    )
