"""Digests of the user's own files, which have no sidecar: checkpoints, class maps, lists of images."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from sat.errors import SatError
from sat.store.files import file_digest, replacing

REGISTRY = "registered.json"
ABSENT = "absent"


def register(files: Mapping[str, Path], results: Path, write: bool = True) -> dict[str, str]:
    """Digest of each of a study's own files.

    A file is read only when its size or time has changed, and the registry is
    rewritten only then. A moved or touched file has the same digest, so nothing
    reruns.

    Parameters
    ----------
    files : mapping of str to Path
        From `Study.files`; folders are left out.
    results : Path
        Folder of the study's results; the registry is registered.json in it.
    write : bool
        Jobs on a cluster read the registry that the main process wrote.

    Returns
    -------
    dict of str to str
        SHA-256 by the name of the file; of a file that is not there any more,
        the one that it had.

    Raises
    ------
    SatError
        If a file cannot be read.
    """
    registry = results / REGISTRY
    try:
        known = json.loads(registry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
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
        with replacing(registry) as temporary:
            temporary.write_text(json.dumps({**known, **entries}, indent=1) + "\n", encoding="utf-8")
    return digests


def _entry(path: Path, known: Mapping[str, str]) -> dict[str, str]:
    if not path.exists():
        return dict(known) or {"sha256": ABSENT}
    status = path.stat()
    stamp = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    if known.get("stamp") == stamp:
        return dict(known)
    if status.st_size > 10**8:
        logging.getLogger("sat").info("registering %s", path)
    return {"stamp": stamp, "sha256": file_digest(path)}
