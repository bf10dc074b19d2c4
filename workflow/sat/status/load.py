"""What jobs take: memory, time and disk, and how many of them are done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sat.status.verify import Finding, verify
from sat.study.expected import Device, Expected
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.text import duration

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


def _number(value: float) -> str:
    return "" if not value else f"{value:,.1f}" if value >= 0.05 else "< 0.1"
