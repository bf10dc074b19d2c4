"""Describe an archive as an RO-Crate: the study's crate as of the archive's root, with every run of the history.

The study's own crate is an artefact whose digest stands in its sidecar. So it travels as it is, and this one is made
from it.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from sat.status.crate import FORMATS, Entity, agent, as_text, commit_of, digest_of, references, software
from sat.status.history import how_it_ended, what_ran
from sat.store.bag import Entry
from sat.store.history import FINISHED, HISTORY, PastRun

ROOT_CRATE = "ro-crate-metadata.json"
"""The archive's crate, below ``data/``: its place in a bag whose content is a crate."""
STUDY_CRATE = "provenance/ro-crate-metadata.json"
"""The study's crate, below the folder of its results."""


def archive_crate(
    crate: str, home: str, entries: Mapping[str, Entry], runs: Sequence[PastRun] = (), at_work: bool = False
) -> str:
    """Make the crate of an archive.

    Parameters
    ----------
    crate : str
        Content of the study's crate.
    home : str
        Folder of the results in the archive.
    entries : mapping of str to Entry
        Files of the archive.
    runs : sequence of PastRun
        The study's history.
    at_work : bool
        Whether the last of them has not ended yet.

    Returns
    -------
    str
        Content of ro-crate-metadata.json at the archive's root. A result that does not travel is described without a
        path.
    """
    content: dict[str, Any] = json.loads(crate)
    files = [each for each in content["@graph"] if "File" in _list(each["@type"])]
    names = {each["@id"]: _place(each["@id"], home, entries) for each in files}
    graph: list[Entity] = [_renamed(each, names) for each in content["@graph"]]
    by_id = {each["@id"]: each for each in graph}
    for name in names.values():
        path = unquote(name)
        if path not in entries:
            by_id[name]["description"] = "This file is not in the archive."
        elif isinstance(source := entries[path].content, Path):
            by_id[name]["contentSize"] = str(source.stat().st_size)
    history = f"{home}/{HISTORY}"
    added = dict(_own(entries, home))
    if history in entries:
        added[quote(history)] = {
            **_file(entries[history], history),
            "name": "History of the runs",
            "description": "One line of JSON for every start and every end of a run.",
        }
    root = by_id["./"]
    root["hasPart"] = references(sorted(name for name in {*names.values(), *added} if not name.startswith("#")))
    actions = dict(_run(number, run, history, at_work and run is runs[-1]) for number, run in enumerate(runs, 1))
    root["mentions"] = [*_list(root["mentions"]), *references(actions)]
    for run in runs:
        added |= dict([_code(run), agent(run.start["machine"]["host"]), *_packages(run)])
    graph += [{"@id": name, **entity} for name, entity in {**added, **actions}.items() if name not in by_id]
    return as_text({**content, "@graph": graph})


def _list(value: Any) -> list[Any]:
    """JSON-LD's compact form writes a list of one thing as the thing."""
    return value if isinstance(value, list) else [value]


def _place(name: str, home: str, entries: Mapping[str, Entry]) -> str:
    """Id of a file in the archive, by its id in the study's crate."""
    path = unquote(name)
    # A file that the study had not has no path there.
    below = path.removeprefix("#file/") if path.startswith("#") else posixpath.normpath(f"provenance/{path}")
    there = f"{home}/{below}"
    return quote(there) if there in entries else f"#file/{quote(below)}"


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The same JSON with other ids."""
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    if isinstance(value, dict):
        return {key: names.get(each, each) if key == "@id" else _renamed(each, names) for key, each in value.items()}
    return value


def _file(entry: Entry, path: str) -> Entity:
    content = entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()
    return {
        "@type": "File",
        "encodingFormat": FORMATS.get(PurePosixPath(path).suffix, "application/octet-stream"),
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _own(entries: Mapping[str, Entry], home: str) -> Iterator[tuple[str, Entity]]:
    """The files that the study's author wrote."""
    for path, entry in entries.items():
        if not path.startswith(f"{home}/"):
            what = "The study's config" if path.endswith("/study.yaml") else "A file that the study's config names"
            yield quote(path), {**_file(entry, path), "name": PurePosixPath(path).name, "description": f"{what}."}


def _run(number: int, run: PastRun, history: str, at_work: bool) -> tuple[str, Entity]:
    """A call of Snakemake. The history does not say which files each has made, so it is no CreateAction."""
    start, end = run.start, run.end
    at_work = at_work and end is None
    did = "; ".join(f"{head} {words}" for head, words in what_ran(run))
    if joined := start.get("joined"):
        did += f"; of study {joined['study']}, joined from {joined['archive']}"
    entity: Entity = {
        "@type": "ActivateAction",
        "name": f"Run {number} {how_it_ended(run, at_work)}",
        "description": f"{start['command']} ({did})",
        "instrument": {"@id": _code(run)[0]},
        "agent": {"@id": agent(start["machine"]["host"])[0]},
        "startTime": start["time"],
        "subjectOf": {"@id": quote(history)},
    }
    if end:
        entity["endTime"] = end["time"]
    if not at_work:
        status = "Completed" if end and end["how"] == FINISHED else "Failed"
        entity["actionStatus"] = f"http://schema.org/{status}ActionStatus"
        if status == "Failed":
            entity["error"] = f"The run {how_it_ended(run, at_work)}"
    return f"#run/{quote(start['run'])}", entity


def _packages(run: PastRun) -> list[tuple[str, Entity]]:
    return [software(*package) for package in {"python": run.start["python"], **run.start["packages"]}.items()]


def _code(run: PastRun) -> tuple[str, Entity]:
    """The workflow as one commit ran it with some packages."""
    git, packages = run.start["git"], _packages(run)
    return f"#workflow/{digest_of([git, [name for name, _ in packages]])}", {
        "@type": "SoftwareApplication",
        "name": "SAT, a workflow of Snakemake",
        "softwareVersion": commit_of(git),
        "softwareRequirements": references(name for name, _ in packages),
    }
