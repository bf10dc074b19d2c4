"""The outlook of a study: jobs, disk, memory and time; what is done, and what would run again and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat.status.load import Load
from sat.status.upgrade import upgrade
from sat.status.verify import Finding, verify
from sat.study.expected import Device, Expected
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.text import shortened, wrapped


def outlook(plan: Plan, results: Path, device: Device | None = None, wanted: float | None = None) -> str:
    """Describe what a study takes and how far it is.

    The sidecars say what is done. Snakemake is not called, and nothing runs.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    device : Device, optional
        Measured speed of a device, for stages of which no job is finished.
    wanted : float, optional
        Wanted error of the estimates of SAT; see `sat.status.landmarks.about_landmarks`.

    Returns
    -------
    str
        Several lines.
    """
    study, forecast = plan.study, Forecast(plan, results)
    known: dict[str, Mapping[str, Any]] = {}
    findings = {str(finding.path): finding for finding in verify(plan, results, known=known)}
    expected = Expected(forecast, results, known, device)
    stages: dict[str, list[list[Artefact]]] = defaultdict(list)
    for artefacts in plan.jobs().values():
        stages[artefacts[0].step.stage].append(artefacts)
    cohorts = sorted({study.model[name].cohort for name in study.used})
    retired = len(study.models) - len(study.used)
    lines = [
        f"Study {study.name}: {len(study.used)} models in {len(cohorts)} cohort(s)"
        + (f" and {retired} retired" if retired else "")
        + _about_pairs(plan),
        *_about_images(plan, forecast),
        *_about_variants(plan),
        *_about_retired(plan, forecast, results, findings),
        *(f"Caution, {caution}" for caution in study.cautions),
    ]
    lines = [line for text in lines for line in wrapped(text, "", "  ")]
    lines += [
        "",
        f"{'stage':<15}{'jobs':>6}{'done':>6}{'to do':>6}{'again':>6}"
        f"{'RAM, GB':>9}{'expected, h':>12}{'limits, h':>10}{'disk, GB':>10}",
    ]
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    total = Load()
    for stage, jobs in stages.items():
        load = Load()
        for artefacts in jobs:
            load.add(artefacts, results, findings, forecast, expected)
            found = [findings[path] for made in artefacts if (path := str(results / made.path)) in findings]
            if changed := [finding for finding in found if finding.kind != "missing"]:
                reasons[stage][f"{changed[0].kind}: {changed[0].reason}"] += 1
            total.add(artefacts, results, findings, forecast, expected)
        lines.append(f"{shortened(stage, 15):<15}{load.row()}")
    lines += [
        f"{'total':<15}{total.row(memory=False)}",
        "",
        *wrapped(
            "RAM is what the largest job asks for; limits are the sum of the time limits of all jobs that are left. "
            "Both are deliberately generous."
        ),
        *wrapped(total.about_expected(plan.config.compute.device, device)),
        *wrapped(total.about_guesses([row.model for row in study.models])),
    ]
    again = [path for path, finding in findings.items() if finding.kind != "missing"]
    lines += upgrade(plan, results, known, again, forecast)
    if reasons:
        lines += ["", "Why jobs would run again:"]
        for stage, found_reasons in reasons.items():
            for reason, count in found_reasons.most_common(5):
                lines += wrapped(f"{stage}, {count:,} job(s): {reason}", "  ", "    ")
            if len(found_reasons) > 5:
                lines += wrapped(f"{stage}: {len(found_reasons) - 5} more reasons; see sat verify", "  ", "    ")
    if wanted or study.landmarks:
        from sat.status.landmarks import about_landmarks  # needs pandas, which other studies do not wait for

        if said := about_landmarks(plan, results, known, findings, wanted, device):
            lines += ["", *(line for text in said for line in wrapped(text))]
    return "\n".join(lines)


def _about_pairs(plan: Plan) -> str:
    n_models, size = len(plan.study.used), plan.config.tile_size
    if plan.config.matrix:
        return f", {n_models * (n_models - 1) // 2:,} pairs."
    of_all = ""
    if plan.study.landmarks:
        of_all = f" of {n_models**2:,}, those with one of {len(plan.study.landmarks)} landmarks,"
    return f", {plan.n_pairs:,} ordered pairs{of_all} in {len(plan.used_tiles):,} tiles of up to {size} x {size}."


def _about_images(plan: Plan, forecast: Forecast) -> list[str]:
    if plan.config.matrix:
        return ["The matrix comes from a file: no images, no attack."]
    images = forecast.n_images
    trained = any(map(plan.study.trained, plan.needed))
    counts = [f"{images['train']:,} to train on"] * trained
    counts += [f"{images['eval']:,} evaluated", f"{images['attack']:,} attacked"]
    return [f"Images: {', '.join(counts)}" + ("." if forecast.known.counted else ", before they are counted: a guess.")]


def _about_variants(plan: Plan) -> list[str]:
    variants = plan.config.variants
    anew = sum(map(plan.attacks_anew, variants))
    return [f"Variants: {anew} of {len(variants)} attacked anew, the rest from the study's own tiles."] * bool(variants)


def _about_retired(plan: Plan, forecast: Forecast, results: Path, findings: Mapping[str, Finding]) -> list[str]:
    """What to know of the column `retired`."""
    left = {str(Path(path).relative_to(results)) for path in findings}
    rows = plan.study.models
    lines = []
    if by_hand := [row.model for row in rows if not row.use and not row.retired and row.model in plan.needed]:
        own = [made for name, made in plan.artefacts().items() if made.model in by_hand and name in left]
        load = Load()
        for made in own:
            load.add([made], results, findings, forecast)
        cost = (
            f"{len(own)} of their own jobs are left, limits {load.limits} h"
            if own
            else "no job of their own is left now"
        )
        lines.append(
            f"Retired by hand: {', '.join(by_hand)}. Their tiles still hold them, so they are attacked again when the "
            f"attack changes ({cost}). 'sat retire MODEL --study FILE' spares that."
        )
    if ignored := [row.model for row in rows if row.use and row.retired]:
        lines.append(
            f"In use, so their column 'retired' is ignored: {', '.join(ignored)}. 'sat retire MODEL --undo --study "
            "FILE' empties it."
        )
    return lines
