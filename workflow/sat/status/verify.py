"""Compare every artefact of a study with what the study asks for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.artefact import (
    FORMAT,
    account_of,
    accounts,
    check_content,
    format_of,
    read_sidecar,
    sidecar_path,
    write_sidecar,
)
from sat.store.files import TEMPORARY
from sat.store.lineage import difference
from sat.store.step import Step
from sat.study.code import FOLDER, digest_of, read_copy
from sat.study.plan import Plan

LISTED = 5
"""Largest number of changed settings in a reason."""


@dataclass(frozen=True)
class Finding:
    """One artefact that is not as it should be."""

    path: Path
    kind: str
    """`missing`, `stale` (made by another step), `changed` (bytes or inputs are not those recorded) or `downstream`."""
    reason: str


def verify(
    plan: Plan,
    results: Path,
    full: bool = False,
    known: dict[str, Mapping[str, Any]] | None = None,
    elsewhere: Collection[str] = (),
) -> Iterator[Finding]:
    """Find every artefact that is missing, stale or changed, or that was made from such an artefact.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    full : bool
        Whether to hash the whole content of every file, which also finds bit rot.
    known : dict, optional
        It is filled with the sidecars that were read, by the path of the artefact, in the order of the flow.
    elsewhere : collection of str
        Artefacts of an imported study, by their paths below the results, of which only the sidecars have come. They are
        not missing.

    Yields
    ------
    Finding
        Findings in the order of the flow.
    """
    known = {} if known is None else known
    faulty: set[str] = set()
    for artefact in plan.artefacts().values():
        path = results / artefact.path
        if artefact.path in elsewhere:
            known[str(path)] = read_sidecar(path)
            continue
        finding = _examine(path, artefact.step, known, faulty, full, results)
        if finding:
            faulty.add(str(path))
            yield finding


def is_finished(plan: Plan, results: Path, path: str) -> bool:
    """Say whether the job that makes a file is finished: all its artefacts are as the study asks, to the last byte.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    path : str
        An artefact or its sidecar.
    """
    name = path.removeprefix(f"{results}/")
    artefacts = plan.artefacts()
    artefact = artefacts.get(name) or artefacts.get(name.removesuffix(".json"))
    if not artefact:
        return False
    made = plan.jobs()[artefact.job]
    return not any(_examine(results / each.path, each.step, {}, set(), True, results) for each in made)


def adopt(known: Mapping[str, Mapping[str, Any]], findings: Iterable[Finding]) -> list[Path]:
    """Vouch for sidecars of format 1: write them in the present format, with a digest of themselves.

    The sidecars keep their times, so that nothing runs again.

    Parameters
    ----------
    known : mapping of str to mapping
        The sidecars that a full `verify` has read.
    findings : iterable of Finding
        What it found. The sidecars of these artefacts stay as they are.

    Returns
    -------
    list of Path
        The artefacts whose sidecars were written, in the order of the flow.
    """
    faulty = {finding.path for finding in findings}
    adopted = [path for path in earlier_formats(known) if path not in faulty]
    for path in adopted:
        record = dict(known[str(path)])
        for entry in accounts(record):
            present = sidecar_path(entry["path"])
            if present.is_file() and not difference(entry, sidecar := read_sidecar(present)):
                entry.update(account_of(entry["path"], sidecar))
        place = sidecar_path(path)
        times = place.stat()
        write_sidecar(place, {"format": FORMAT, **record})
        os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    return adopted


def earlier_formats(known: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Find the artefacts whose sidecars, by path, have an earlier format."""
    return [Path(path) for path, sidecar in known.items() if format_of(sidecar) < FORMAT]


def changed_code(plan: Plan, results: Path) -> list[Path]:
    """Find the copies of code files that have changed since they were made. The next run makes one that is missing."""
    study = plan.study
    folders = [results / FOLDER / study.code[module].digest for module in study.own]
    return [folder for folder in folders if folder.is_dir() and digest_of(read_copy(folder)) != folder.name]


def left_behind(results: Path) -> list[Path]:
    """Find the files that killed jobs were writing. A job that is running may be writing one of them."""
    return sorted(path for path in results.rglob(f".*{TEMPORARY}") if path.is_file())


def _examine(
    path: Path, step: Step, known: dict[str, Mapping[str, Any]], faulty: set[str], full: bool, results: Path
) -> Finding | None:
    if not path.exists():
        return Finding(path, "missing", "not made yet")
    try:
        sidecar = read_sidecar(path)
        known[str(path)] = sidecar
        reason = _other_step(sidecar, step)
        if reason:
            return Finding(path, "stale", reason)
        check_content(path, sidecar, full)
    except SatError as error:
        return Finding(path, "changed", str(error))
    for entry in accounts(sidecar):
        # Results that were imported name the folder where they were made.
        recorded = Path(entry["path"])
        here = str(results.joinpath(*recorded.parts[2:])) if recorded.parts[0] == "results" else str(recorded)
        if here in faulty:
            return Finding(path, "downstream", f"made from {here}")
        present = known.get(here)
        if present and (reason := difference(entry, present)):
            return Finding(path, "changed", f"made from another {here} than the one that is there now{reason}")
    if sidecar["recipe"] != step.recipe:
        return Finding(path, "downstream", "made from inputs that other settings or versions made")
    return None


def _other_step(sidecar: Mapping[str, Any], step: Step) -> str:
    if (stage := sidecar.get("stage")) != step.stage:
        return f"made by stage {stage}, now by {step.stage}"
    if sidecar.get("stage_version") != step.version:
        return f"stage {step.stage} version {sidecar.get('stage_version')}, now {step.version}"
    changes = list(_changes("", sidecar.get("params", {}), step.params))
    more = [f"and {len(changes) - LISTED} more"] if len(changes) > LISTED else []
    return "; ".join([*changes[:LISTED], *more])


def _changes(name: str, old: Any, new: Any) -> Iterator[str]:
    """Name the innermost values that differ, with what they were and are."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _changes(f"{name}.{key}".lstrip("."), old.get(key), new.get(key))
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            model = one.get("model") if isinstance(one, Mapping) else None
            yield from _changes(f"{name}[{place if model is None else model}]", one, other)
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
        yield f"{name} had {len(old):,} entries, now {len(new):,}"
    else:
        yield f"{name} {_short(old)}, now {_short(new)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
