"""Digests of the user's own files (checkpoints, class maps, lists of images), which have no sidecar."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from sat.errors import SatError
from sat.store.files import file_digest, replacing

REGISTRY = "registered.json"
ABSENT = "absent"
ELSEWHERE = "elsewhere"
"""Stamp of a file that lay where a study was made, before it was imported here."""


def register(files: Mapping[str, Path], results: Path, write: bool = True) -> dict[str, str]:
    """Compute the digest of each of the user's own files of a study.

    A file is read only if its size or time has changed, and only then is the registry
    rewritten. A moved or touched file keeps its digest, so nothing reruns.

    Parameters
    ----------
    files : mapping of str to Path
        From `Study.files`; folders are left out.
    results : Path
        Folder of the study's results. The registry is the file registered.json in it.
    write : bool
        Whether to write the registry. Jobs on a cluster only read the one that the
        main process wrote.

    Returns
    -------
    dict of str to str
        SHA-256 by the name of the file. A file that does not exist any more keeps the
        digest that it had.

    Raises
    ------
    SatError
        If a file cannot be read.
    """
    registry = results / REGISTRY
    known = _read(registry)
    digests, entries = {}, {}
    for name, path in files.items():
        if path.is_dir() or name == "images.root":
            continue
        try:
            entries[name] = _entry(path, known.get(name, {}))
        except OSError as error:
            raise SatError(f"{path}: cannot be read ({error.strerror}); it is the study's {name!r}.") from None
        digests[name] = entries[name]["sha256"]
    if write and any(known.get(name) != entry for name, entry in entries.items()):
        _write(registry, {**known, **entries})
    return digests


def register_elsewhere(digests: Mapping[str, str], results: Path) -> None:
    """Add files that another place has to a study's registry."""
    registry = results / REGISTRY
    _write(registry, {**_read(registry), **_entries(digests)})


def elsewhere(digests: Mapping[str, str]) -> bytes:
    """Make the registry of files that another place has, for a study that is handed on; empty without files."""
    return _text(_entries(digests)).encode() if digests else b""


def not_here(results: Path) -> frozenset[str]:
    """Names of the files that an imported study does not need to have: their weights were made where it was made."""
    known = _read(results / REGISTRY)
    return frozenset(name for name, entry in known.items() if entry.get("stamp") == ELSEWHERE)


def _entries(digests: Mapping[str, str]) -> dict[str, dict[str, str]]:
    entries = {name: {"stamp": ELSEWHERE, "sha256": digest} for name, digest in digests.items()}
    return {name: {**entry, "check": _check(entry)} for name, entry in entries.items()}


def _text(entries: Mapping[str, Mapping[str, str]]) -> str:
    return json.dumps(entries, indent=1) + "\n"


def _write(registry: Path, entries: Mapping[str, Mapping[str, str]]) -> None:
    with replacing(registry) as temporary:
        temporary.write_text(_text(entries), encoding="utf-8")


def _read(registry: Path) -> dict[str, dict[str, str]]:
    """Read the registry. An entry that is damaged does not count, so its file is read again."""
    try:
        found = json.loads(registry.read_text(encoding="utf-8"))
        entries = {name: entry for name, entry in found.items() if isinstance(entry, dict)}
    except (OSError, ValueError, AttributeError):
        return {}
    return {name: entry for name, entry in entries.items() if entry.get("check", _check(entry)) == _check(entry)}


def _check(entry: Mapping[str, str]) -> str:
    """Digest of an entry, by which a damaged one is found."""
    return hashlib.sha256(f"{entry.get('stamp')} {entry.get('sha256')}".encode()).hexdigest()[:16]


def _entry(path: Path, known: Mapping[str, str]) -> dict[str, str]:
    if not path.exists():
        return dict(known) or {"sha256": ABSENT}
    if not path.is_file():
        # To read a pipe or a device could wait for ever.
        raise OSError(errno.EINVAL, "it is not a regular file")
    status = path.stat()
    stamp = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    # Entries of earlier versions have no check. They count for files that are lost.
    if known.get("stamp") == stamp and "check" in known:
        return dict(known)
    if status.st_size > 10**8:
        logging.getLogger("sat").info("registering %s", path)
    entry = {"stamp": stamp, "sha256": file_digest(path)}
    return {**entry, "check": _check(entry)}
