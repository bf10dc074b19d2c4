"""Find the files in a study's results that no study needs any more."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sat.errors import SatError
from sat.status.verify import left_behind
from sat.store.artefact import is_made, read_sidecar, sidecar_path
from sat.store.lineage import find_recorded, lineage
from sat.store.shorter import FOLDER as KEPT
from sat.study.plan import Plan

KILLED = "left by jobs that were killed"
FINISHED = "parts of jobs that are finished"
UNWANTED = "parts of jobs whose result the study does not ask for"
SHORTER = "results on fewer images, whose longer ones are finished"
_PARTS = re.compile(r"\.(.+)\.(?:parts|checkpoints)-[0-9a-f]{16}(?:-[0-9a-f]{8})?")


@dataclass(frozen=True)
class Unneeded:
    """Files that nobody needs, for one reason.

    Parameters
    ----------
    reason : str
        Why no study needs them.
    files : tuple of Path
        Artefacts with their sidecars, files that killed jobs have left, or folders of parts.
    """

    reason: str
    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(map(_size, self.files))


def unneeded(plans: Sequence[Plan], results: Path, kept: Collection[Path] = ()) -> list[Unneeded]:
    """Find what no study needs: artefacts that none asks for, and what killed and finished jobs have left.

    A file counts only if its sidecar says that a stage of ours made it, so files of the user's own stay. Everything of
    a model that stands in a table and is out of use stays too, since it may come back; what it has of a variant that
    was removed does not. The parts from which a job resumes stay.

    Parameters
    ----------
    plans : sequence of Plan
        All studies whose results are in the folder.
    results : Path
        Folder of the results.
    kept : collection of Path
        Further files that are needed, such as those that the matrix was made from which another study compares with;
        with all links resolved.

    Returns
    -------
    list of Unneeded
        One entry for each reason; the files are sorted.
    """
    steps = {results / path: artefact.step for plan in plans for path, artefact in plan.artefacts().items()}
    models = {model for plan in plans for model in plan.study.model}
    found: dict[str, set[Path]] = defaultdict(set)
    for artefact in _artefacts(results):
        if artefact in steps or artefact.resolve() in kept or KEPT in artefact.parts:
            continue
        try:
            sidecar = read_sidecar(artefact)
        except SatError:
            continue
        model = sidecar["params"].get("model")
        if model and any(_may_come_back(model, artefact.relative_to(results), plan) for plan in plans):
            continue
        gone = model and model not in models
        reason = f"model {model} is not in the table" if gone else f"{sidecar['stage']}: the study does not ask for it"
        found[reason] |= {artefact, sidecar_path(artefact)}
    parts = [folder for folder in results.rglob(".*") if folder.is_dir() and _PARTS.fullmatch(folder.name)]
    for folder in parts:
        artefact = folder.with_name(_PARTS.fullmatch(folder.name)[1])  # type: ignore[index]
        if artefact not in steps:
            found[UNWANTED].add(folder)
        elif any(is_made(artefact, plan.artefacts()[_below(artefact, results)].step) for plan in plans):
            found[FINISHED].add(folder)
    shorter = results / KEPT
    if shorter.is_dir():
        longer = {results / path.relative_to(shorter) for path in shorter.rglob("*.h5")}
        asked = longer & steps.keys()
        if all(any(is_made(path, plan.artefacts()[_below(path, results)].step) for plan in plans) for path in asked):
            found[SHORTER].add(shorter)
    going = found[UNWANTED] | found[FINISHED]
    found[KILLED] |= {path for path in left_behind(results) if going.isdisjoint(path.parents)}
    return [Unneeded(reason, tuple(sorted(files))) for reason, files in sorted(found.items()) if files]


def _may_come_back(model: str, path: Path, plan: Plan) -> bool:
    """Whether a study would have a file of a model if the model, which is out of use now, were in use again."""
    row = plan.study.model.get(model)
    variant = path.parts[1] if path.parts[0] == "variants" else ""
    here = not variant or (variant in plan.config.variants and plan.attacks_anew(variant))
    return row is not None and not row.use and here


def compared_with(plan: Plan) -> Iterator[Path]:
    """Find what a study needs of the results of others: the matrices that it compares with, and their chains.

    Yields
    ------
    Path
        Artefacts, with all links resolved.
    """
    for path in plan.study.files.values():
        if not sidecar_path(path).is_file():
            continue
        try:
            for origin in lineage(path):
                if found := find_recorded(path, origin.path) if origin.path != str(path) else path:
                    yield found.resolve()
        except SatError:
            continue


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
        for path in sorted(group.files, key=lambda path: (path.suffix == ".json", path)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    return freed


def _below(path: Path, results: Path) -> str:
    return str(path.relative_to(results))


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())


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
