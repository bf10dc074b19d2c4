"""Find the files in a study's results that the study does not need any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sat.errors import SatError
from sat.status.verify import left_behind
from sat.store.artefact import read_sidecar, sidecar_path
from sat.study.plan import Plan


@dataclass(frozen=True)
class Unneeded:
    """Files that nobody needs, for one reason.

    Parameters
    ----------
    reason : str
        Why the study does not need them.
    files : tuple of Path
        Artefacts with their sidecars, or files that killed jobs have left.
    """

    reason: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.files)


KILLED = "left by jobs that were killed"


def unneeded(plan: Plan, results: Path) -> list[Unneeded]:
    """Find what a study does not need: artefacts that it does not ask for, and what killed jobs have left.

    A file counts only if its sidecar says that a stage of ours made it, so files of the user's own stay. Everything of
    a model that stands in the table stays too, since a retired model may come back.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.

    Returns
    -------
    list of Unneeded
        One entry for each reason; the files are sorted.
    """
    asked = {results / path for path in plan.artefacts()}
    found: dict[str, list[Path]] = defaultdict(list)
    for artefact in _artefacts(results):
        if artefact in asked:
            continue
        try:
            sidecar = read_sidecar(artefact)
        except SatError:
            continue
        model = sidecar["params"].get("model")
        if model in plan.study.model:
            continue
        reason = f"model {model} is not in the table" if model else f"{sidecar['stage']}: the study does not ask for it"
        found[reason] += dict.fromkeys((artefact, sidecar_path(artefact)))
    if left := left_behind(results):
        found[KILLED] = left
    return [Unneeded(reason, tuple(sorted(files))) for reason, files in sorted(found.items())]


def remove(groups: Iterable[Unneeded]) -> int:
    """Delete files, and the folders that are empty then.

    Returns
    -------
    int
        Bytes that are free now.
    """
    freed = 0
    for group in groups:
        freed += group.size
        # The artefact goes before its sidecar, so that a kill in between leaves no artefact without one.
        for path in _artefacts_first(group.files):
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return freed


def _artefacts_first(files: Sequence[Path]) -> list[Path]:
    return sorted(files, key=lambda path: (path.suffix == ".json", path))


def _artefacts(results: Path) -> list[Path]:
    """All files of a folder that have a sidecar, or are their own."""
    found = []
    for sidecar in sorted(results.rglob("*.json")):
        artefact = sidecar.with_suffix("")
        if artefact.is_file():
            found.append(artefact)
        elif sidecar.name.endswith(".gate.json"):
            found.append(sidecar)
    return found
