"""What of a study an archive holds, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sat.errors import SatError
from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.bag import Entry
from sat.store.history import HISTORY
from sat.study.own_units import DECLARED
from sat.study.plan import Artefact, Plan
from sat.study.reading import read_csv
from sat.study.study import Study, locate

FORMAT = 2
"""Format of the archives that are written. Since 2, they hold a crate of their own."""
ABOUT = "sat-export.json"
"""File of an archive that says what it holds, for programs."""
PARTS = {
    "attacks": ("attack",),
    "predictions": ("clean", "evaluate", "gradients"),
    "weights": ("train", "hub", "checkpoint", "code", "distil"),
    "images": ("images",),
}
"""What travels on request: stages whose files may be large, by the word for them. All else always travels."""
IMPORTED = "imported.json"
"""File in the results of an imported study that says which archive it came from."""
KEPT = (DECLARED, HISTORY)
"""Files of a study's results that are no artefacts, and travel where they are."""


def part_of(stage: str) -> str:
    """Word for the part that a stage's files belong to; empty if they always travel."""
    return next((part for part, stages in PARTS.items() if stage in stages), "")


def study_folder(name: str) -> str:
    """Folder of a study's own files in an archive, and where it is imported."""
    return f"studies/{name}"


def files_of(plan: Plan) -> dict[str, Artefact]:
    """Every artefact and sidecar of a study by its path below the results, with the artefact that it belongs to."""
    found = {}
    for artefact in plan.artefacts().values():
        found[artefact.path] = artefact
        found[str(sidecar_path(artefact.path))] = artefact
    return found


def not_travelled(plan: Plan, results: Path) -> dict[str, Artefact]:
    """Find the artefacts of an imported study whose sidecars have come without them, by path; none of other studies."""
    if not (results / IMPORTED).exists():
        return {}

    def described(artefact: Artefact) -> bool:
        try:
            return bool(read_sidecar(results / artefact.path)["recipe"] == artefact.step.recipe)
        except SatError:
            return False

    optional = (each for each in plan.artefacts().values() if part_of(each.step.stage))
    return {each.path: each for each in optional if not (results / each.path).exists() and described(each)}


def read_rows(study_file: Path, tables: str | list[str]) -> dict[str, dict[str, str]]:
    """Rows of a study's tables as they are written: cells by column, by model."""
    found = {}
    for name in [tables] if isinstance(tables, str) else tables:
        (_, header), *rows = read_csv(study_file.parent / name, "the names of the columns")
        for _, cells in rows:
            row = dict(zip(header, cells, strict=False))
            if any(cells):
                found[row["model"]] = row
    return found


@dataclass(frozen=True)
class OwnFiles:
    """The files of a study that its author wrote.

    Parameters
    ----------
    config : dict
        The config, with the names that the files have in the archive.
    entries : mapping of str to Entry
        The files by their places beside the config file.
    """

    config: dict[str, Any]
    entries: Mapping[str, Entry]


def own_files(study: Study, config: Mapping[str, Any], folder: Path) -> OwnFiles:
    """Find the files that a study names: model tables, code, matrices and lists, but neither images nor checkpoints.

    A file below the study's folder keeps its name. Any other gets its last part as its name.

    Parameters
    ----------
    study : Study
    config : mapping
        The merged config that the study was made from.
    folder : Path
        Folder of its first config file.

    Raises
    ------
    SatError
        If two files would have the same name.
    """
    entries: dict[str, Entry] = {}

    def place(value: str, contents: Mapping[str, Path | bytes]) -> str:
        given = PurePosixPath(value)
        home = PurePosixPath(given.name) if given.is_absolute() or {"..", "~"} & set(given.parts) else given
        for name, content in contents.items():
            path = str(home.parent / name)
            if entries.setdefault(path, Entry(content)).content != content:
                raise SatError(f"{value}: two files of the study would be called {path} in the archive; rename one.")
        return value if home == given else str(home)

    def table(value: str) -> str:
        return place(value, {Path(value).name: locate(folder, value)})

    def code(value: str) -> str:
        return place(value, study.code[Path(value).stem].contents)

    def file(value: str, key: str) -> str:
        path = study.files[key]
        # Another study is named by the folder of its results, and its matrix is what is read.
        inner = "/similarity/sat.csv" if path.parts[-2:] == ("similarity", "sat.csv") and value[-4:] != ".csv" else ""
        return place(value, {f"{Path(value).name}{inner}": path})

    changed = dict(config)
    for key, move in (("models", table), ("code", code)):
        named = config.get(key, [])
        if named:
            changed[key] = move(named) if isinstance(named, str) else [move(name) for name in named]
    for key in study.files:
        section, dot, name = key.rpartition(".")
        if key in study.model or key == "images.root":
            continue
        if not dot:
            changed[key] = file(config[key], key)
        elif name in config[section]:
            changed[section] = {**changed[section], name: file(config[section][name], key)}
    return OwnFiles(changed, entries)
