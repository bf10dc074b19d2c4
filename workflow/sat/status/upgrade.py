"""What an update of the code means for results that are there: which versions changed, what runs again, what it costs.

Results of earlier versions stay readable: they mean what they meant when they were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat.store.artefact import accounts
from sat.store.lineage import lineage
from sat.study.forecast import Forecast
from sat.study.lock import KINDS
from sat.study.lock import versions as locked_versions
from sat.study.plan import Artefact, Plan
from sat.text import duration, wrapped

Sidecar = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A stage, attack or measure whose version is another than when results were made."""

    name: str
    """The stage, or a unit such as `attacks/pgd_linf`."""
    before: int
    now: int

    def __str__(self) -> str:
        return f"{self.name}: version {self.before}, now {self.now}"


def changes(sidecar: Sidecar, versions: Mapping[str, int]) -> Iterator[Change]:
    """Find the versions that have changed since an artefact was made.

    Parameters
    ----------
    sidecar : mapping
        Its sidecar.
    versions : mapping of str to int
        From `sat.study.lock.versions`.
    """
    stage, before = str(sidecar["stage"]), int(sidecar["stage_version"])
    if (now := versions.get(stage, before)) != before:
        yield Change(stage, before, now)
    params = sidecar.get("params", {})
    recorded: Mapping[str, int] = params.get("versions", {})
    # A version of 1 is not recorded.
    used = {*recorded, params.get("method"), *(params.get("measures") or ())}
    for kind in KINDS:
        for name in sorted(filter(None, used)):
            before = recorded.get(name, 1)
            if (now := versions.get(f"{kind}/{name}", before)) != before:
                yield Change(f"{kind}/{name}", before, now)


def earlier_versions(artefact: Path | str) -> list[Change]:
    """Find the versions that have changed since a result, or anything that it was made from, was made.

    Parameters
    ----------
    artefact : path
        A result with its sidecar. A chain that is not whole is followed as far as it goes.

    Returns
    -------
    list of Change
        Sorted by name; empty if nothing has changed.
    """
    return changed_since(origin.sidecar for origin in lineage(artefact) if origin.sidecar)


def changed_since(sidecars: Iterable[Sidecar]) -> list[Change]:
    """Find the versions that have changed since any of some artefacts was made, sorted by name."""
    versions = locked_versions()
    found = {change for sidecar in sidecars for change in changes(sidecar, versions)}
    return sorted(found, key=lambda change: (change.name, change.before))


def earlier_in_words(found: Iterable[Change]) -> str:
    """Say that a result is of earlier versions, and what to do about it; empty if it is not."""
    names = "; ".join(map(str, found))
    then = "The numbers mean what they meant then; 'sat plan' says what a new run costs"
    return f"made by earlier versions ({names}). {then}" if names else ""


def only_versions(artefact: Artefact, sidecar_of: Callable[[str], Sidecar | None]) -> bool:
    """Say whether an artefact and its chain differ from what a study asks for in nothing but versions of stages.

    Parameters
    ----------
    artefact : Artefact
        As the study asks for it.
    sidecar_of : callable
        The sidecar of a path below the results, or None.

    Returns
    -------
    bool
        A setting that only one of the versions has does not count as a difference.
    """
    waiting, seen = [artefact], {artefact.path}
    while waiting:
        asked = waiting.pop()
        sidecar = sidecar_of(asked.path)
        if sidecar is None:
            return False
        if sidecar["recipe"] == asked.step.recipe:
            continue
        params, wanted = sidecar.get("params", {}), asked.step.params
        same_version = sidecar.get("stage_version") == asked.step.version
        names = {*params, *wanted} if same_version else {*params} & {*wanted}
        if sidecar["stage"] != asked.step.stage or any(
            _plain(params.get(name)) != _plain(wanted.get(name)) for name in names - {"versions"}
        ):
            return False
        for given in asked.inputs.values():
            for one in [given] if isinstance(given, Artefact) else given:
                if one.path not in seen:
                    seen.add(one.path)
                    waiting.append(one)
    return True


def _plain(value: Any) -> Any:
    """A value as JSON reads it: tuples are lists there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def upgrade(
    plan: Plan, results: Path, known: Mapping[str, Sidecar], again: Iterable[str], forecast: Forecast
) -> list[str]:
    """Say which versions differ from those of the results, what runs again for that reason, and what it costs.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    known : mapping of str to mapping
        The sidecars, by path, as `sat.status.verify.verify` fills it.
    again : iterable of str
        Paths of the results that are there and not as the study asks.
    forecast : Forecast

    Returns
    -------
    list of str
        Lines; none if no version differs.
    """
    again = set(again)
    names = {str(results / path): artefact for path, artefact in plan.artefacts().items()}
    own: dict[Change, list[str]] = {}
    for path, sidecar in known.items():
        for change in changes(sidecar, plan.versions) if path in names else ():
            own.setdefault(change, []).append(path)
    if not own:
        return []
    # What follows from a file that is made again is made again.
    affected: dict[str, None] = {}
    for path in names:
        recorded = {entry["path"] for entry in accounts(known[path])} if path in known else set()
        changed = any(path in paths for paths in own.values())
        if path in again and (changed or not recorded.isdisjoint(affected)):
            affected[path] = None
    lines = ["", "Versions that have changed since these results were made:"]
    for change, paths in sorted(own.items(), key=lambda item: item[0].name):
        shown = ", ".join(paths[:2]) + (f" and {len(paths) - 2:,} more" if len(paths) > 2 else "")
        lines += wrapped(f"{change}: {len(paths):,} file(s), {shown}", "  ", "    ")
    stages: Counter[str] = Counter()
    jobs: dict[str, float] = {}
    minutes = 0
    for path in affected:
        artefact = names[path]
        stages[artefact.step.stage] += 1
        if artefact.job not in jobs:
            needs = forecast.needs(artefact)
            minutes += needs.minutes if needs else 0
        # The last file of a job is written at its end.
        jobs[artefact.job] = max(jobs.get(artefact.job, 0.0), known[path].get("seconds", 0.0))
    counts = ", ".join(f"{stage} {count:,}" for stage, count in stages.items())
    lines += wrapped(
        f"So {len(affected):,} file(s) of {len(jobs):,} job(s) are made again: {counts}. Those jobs took "
        f"{duration(sum(jobs.values()))} when they ran, one after another; their time limits are "
        f"{minutes / 60:,.1f} h. Until then, the results stay readable.",
        "  ",
        "  ",
    )
    return lines
