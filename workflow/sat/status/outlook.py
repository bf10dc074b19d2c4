"""The outlook of a study: jobs, disk, memory and time; what is done, and what would run again and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sat.status.upgrade import upgrade
from sat.status.verify import Finding, verify
from sat.study.expected import Device, Expected
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.text import duration, shortened, wrapped

LISTED = 5
"""Largest number of models in a message."""


@dataclass
class Load:
    """What jobs take, and how many are done."""

    counts: Counter[str] = field(default_factory=Counter)
    """Jobs by state: `done`, `to do`, or `again` (made, and not as the study asks)."""
    memory_mb: int = 0
    """What the largest job asks for."""
    expected: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds that the jobs that are left should take, by where that is known from."""
    counted: Counter[str] = field(default_factory=Counter)
    """Number of those jobs, likewise."""
    on_device: float = 0.0
    """Seconds of those jobs that run models."""
    minutes: int = 0
    """Sum of the time limits of the jobs that are left."""
    disk: int = 0
    """Bytes of the results of all jobs."""
    disk_left: int = 0
    """Bytes of the results that are not there."""
    guessed: int = 0
    """Number of jobs that are left and of which too little is known: they are not in memory and limits."""
    models: set[str] = field(default_factory=set)
    """Models of which too little is known for an estimate of their jobs that are left."""

    @property
    def limits(self) -> str:
        """Sum of the time limits of the jobs that are left, in hours, for people."""
        return self._with_guesses(self.minutes / 60)

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(self.counts.values())

    def add(
        self,
        artefacts: Sequence[Artefact],
        results: Path,
        findings: Mapping[str, Finding],
        forecast: Forecast,
        expected: Expected | None = None,
    ) -> None:
        """Add a job.

        Parameters
        ----------
        artefacts : sequence of Artefact
            What it makes.
        results : Path
            Folder of the study's results.
        findings : mapping of str to Finding
            What is not as the study asks, by path.
        forecast : Forecast
        expected : Expected, optional
        """
        found = {made.path: findings.get(str(results / made.path)) for made in artefacts}
        kinds = {finding.kind for finding in found.values() if finding}
        state = ("to do" if kinds == {"missing"} else "again") if kinds else "done"
        self.counts[state] += 1
        needs = forecast.needs(artefacts[0])
        if kinds and expected and (expectation := expected(artefacts[0])):
            self.expected[expectation.source] += expectation.seconds
            self.counted[expectation.source] += 1
            if expected.passes(artefacts[0]):
                self.on_device += expectation.seconds
        guessed_of = forecast.guessed_of(artefacts[0]) if kinds else []
        if guessed_of:
            self.guessed += 1
            self.models.update(guessed_of)
        elif needs:
            self.memory_mb = max(self.memory_mb, needs.mem_mb)
            self.minutes += needs.minutes if kinds else 0
        for made in artefacts:
            size, finding = forecast.disk(made), found[made.path]
            self.disk += size
            self.disk_left += size if finding and finding.kind == "missing" else 0

    def row(self, memory: bool = True) -> str:
        """Cells of a line of the table."""
        memory_gb = self._with_guesses(self.memory_mb / 1e3) if memory else ""
        numbers = [self.jobs, *(self.counts[state] for state in ("done", "to do", "again"))]
        hours = _number(sum(self.expected.values()) / 3600)
        return (
            "".join(f"{number:>6,}" for number in numbers)
            + f"{memory_gb:>9}{hours:>12}{self.limits:>10}{_number(self.disk / 1e9):>10}".rstrip()
        )

    def _with_guesses(self, value: float) -> str:
        """A number, and a question mark for the jobs that it leaves out."""
        return " + ".join([*filter(None, [_number(value)]), *(["?"] if self.guessed else [])])

    def about_expected(self, kind: str, device: Device | None) -> str:
        """Say how long the jobs that are left should take, and from what that is known; empty if none is left.

        Parameters
        ----------
        kind : str
            `cpu` or `cuda`, where the study computes.
        device : Device, optional
            The measured device.
        """
        left, known = self.counts["to do"] + self.counts["again"], self.counted.total()
        if not left:
            return ""
        how = "'make bench' measures this machine" if kind == "cpu" else "'make bench DEVICE=cuda' measures a GPU"
        if not known:
            return (
                f"Nothing is known yet of how long the {left:,} job(s) will take. {how} and writes a file for "
                "'sat plan --speed FILE'; finished jobs of this study tell, too."
            )
        sources = {
            "own jobs": "finished jobs of this study",
            "device file": f"the measured speed in {device.path.name}" if device else "",
        }
        used = [f"{self.counted[name]:,} from {words}" for name, words in sources.items() if self.counted[name]]
        total, on_device = duration(sum(self.expected.values())), duration(self.on_device)
        return (
            f"Expected: {total} for {known:,} of the {left:,} job(s) that are left, one after another "
            f"({' and '.join(used)}); {on_device} of it for jobs that run {'on a GPU' if kind == 'cuda' else 'models'}."
            + (f" Nothing is known yet of the other {left - known:,}." if known < left else "")
        )

    def about_guesses(self, models: Sequence[str]) -> str:
        """Say which jobs cannot be estimated yet, what they ask for, and what would tell; empty if all can be.

        Parameters
        ----------
        models : sequence of str
            All models of the study, in the order of the table.
        """
        if not self.guessed:
            return ""
        names = [model for model in models if model in self.models]
        listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        return (
            f"{self.guessed:,} job(s) cannot be estimated yet (?): the table has no n_parameters and gmacs for "
            f"{listed}, and no weights say them yet. Until then, these jobs ask for what a ResNet-50 takes at the same "
            "image size; then the weights' sidecar says what the model itself takes. To know it now, fill in both "
            "columns: 'sat describe ARCHITECTURE' prints them for nets of timm."
        )


def total_load(plan: Plan, results: Path, forecast: Forecast) -> Load:
    """Sum up what a study takes, and how far it is.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    forecast : Forecast
    """
    findings = {str(finding.path): finding for finding in verify(plan, results)}
    total = Load()
    for artefacts in plan.jobs().values():
        total.add(artefacts, results, findings, forecast)
    return total


def outlook(plan: Plan, results: Path, device: Device | None = None) -> str:
    """Describe what a study takes and how far it is.

    The sidecars say what is done. Snakemake is not called, and nothing runs.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    device : Device, optional
        Measured speed of a device, for stages of which no job is finished.

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
    return "\n".join(lines)


def _about_pairs(plan: Plan) -> str:
    n_models, size = len(plan.study.used), plan.config.tile_size
    if plan.config.matrix:
        return f", {n_models * (n_models - 1) // 2:,} pairs."
    count, of_all = n_models**2, ""
    if others := n_models - len(plan.study.landmarks) if plan.study.landmarks else 0:
        of_all = f" of {count:,}, those with one of {len(plan.study.landmarks)} landmarks,"
        count -= others * (others - 1)
    return f", {count:,} ordered pairs{of_all} in {len(plan.used_tiles):,} tiles of up to {size} x {size}."


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


def _number(value: float) -> str:
    return "" if not value else f"{value:,.1f}" if value >= 0.05 else "< 0.1"
