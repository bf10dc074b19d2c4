"""The chain of sidecars from a result back to the images and weights that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.artefact import accounts, format_of, read_sidecar, sidecar_path


@dataclass(frozen=True)
class Origin:
    """An artefact in the chain of another one.

    Parameters
    ----------
    path : str
        As its consumers record it, relative to the folder that holds `results/`.
    sidecar : mapping or None
        None if it is not there, or is not a valid sidecar.
    read : list of mapping
        What its consumers record of it: recipe and digests of the bytes that they read.
    problem : str
        Why there is no sidecar; empty if there is one.
    place : Path or None
        Where it lies now; the artefact itself may be missing there. None if its sidecar is nowhere.
    """

    path: str
    sidecar: Mapping[str, Any] | None
    read: list[Mapping[str, Any]] = field(default_factory=list)
    problem: str = ""
    place: Path | None = None


def find_recorded(consumer: Path | str, recorded: str) -> Path | None:
    """Find an input by the path that a sidecar records, near the artefact that was made from it.

    Recorded paths are relative to the folder that holds `results/`. That folder, or the folder of the study in it, may
    have another name or place by now, so the input is looked for in the nearest folder above its consumer.

    Parameters
    ----------
    consumer : path
        The artefact whose sidecar names the input.
    recorded : str
        Path of the input in that sidecar.

    Returns
    -------
    Path or None
        Path of the input; None if its sidecar is nowhere above the consumer.
    """
    # A recorded path begins with results/<study>/.
    names = (Path(*Path(recorded).parts[2:]), Path(recorded))
    there = (parent / name for parent in Path(consumer).resolve().parents for name in names)
    return next((path for path in there if sidecar_path(path).is_file()), None)


def lineage(artefact: Path | str) -> Iterator[Origin]:
    """Walk from an artefact back to all that it was made from.

    Parameters
    ----------
    artefact : path
        Any artefact, or its sidecar.

    Yields
    ------
    Origin
        The artefact first. Every artefact comes once, after all that were made from it.

    Raises
    ------
    SatError
        If the artefact itself has no sidecar, or no valid one.
    """
    first = Path(artefact)
    if first.suffix == ".json" and first.with_suffix("").is_file():
        first = first.with_suffix("")
    if not sidecar_path(first).is_file():
        raise SatError(
            f"{first}: there is no sidecar {sidecar_path(first).name} beside it, so nothing is known of how it was "
            "made. Name a file of results/."
        )
    found: dict[str, Origin] = {}
    made_from: dict[str, list[str]] = {}
    start = str(first)
    found[start] = Origin(start, read_sidecar(first), place=first)
    waiting = [start]
    while waiting:
        path = waiting.pop()
        entries = accounts(found[path].sidecar or {"inputs": {}})
        made_from[path] = [entry["path"] for entry in entries]
        for entry in entries:
            if entry["path"] not in found:
                found[entry["path"]] = _read(first, entry["path"])
                waiting.append(entry["path"])
            found[entry["path"]].read.append(entry)
    # An artefact comes once all that were made from it have come.
    pending = {path: len(origin.read) for path, origin in found.items()}
    ready = [start]
    while ready:
        path = ready.pop(0)
        yield found[path]
        for source in made_from[path]:
            pending[source] -= 1
            if not pending[source]:
                ready.append(source)


def _read(artefact: Path, recorded: str) -> Origin:
    path = find_recorded(artefact, recorded)
    if path is None:
        return Origin(recorded, None, problem="its sidecar is not there")
    try:
        return Origin(recorded, read_sidecar(path), place=path)
    except SatError as error:
        return Origin(recorded, None, problem=str(error), place=path)


def difference(account: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Compare what an artefact's sidecar records of an input with the input's sidecar.

    Parameters
    ----------
    account : mapping
        What was read.
    present : mapping
        The sidecar of the input that is there now.

    Returns
    -------
    str
        What differs; empty if nothing does. Another compression of the same arrays is no difference.
    """
    digest = "content_sha256" if "content_sha256" in account and "content_sha256" in present else "sha256"
    if account.get(digest) != present.get(digest):
        return " (other bytes)"
    if format_of(present) < format_of(account):
        return " (its sidecar has lost the digest of itself)"
    facts = account.get("facts", {})
    changed = [name for name in facts if facts[name] != present["facts"].get(name)]
    return f" (other facts: {', '.join(changed)})" if changed else ""


def changed(origin: Origin) -> str:
    """Say why an artefact of a chain is not the one that was read, as far as sidecars tell; empty if it is."""
    if origin.sidecar is None:
        return origin.problem
    if any(difference(entry, origin.sidecar) for entry in origin.read):
        return "has been made again since; this result was made from the earlier one"
    return ""
