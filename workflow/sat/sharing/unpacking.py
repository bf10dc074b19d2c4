"""Make an archive a study again, beside others, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.sharing.archive_crate import ROOT_CRATE
from sat.sharing.contents import ABOUT, FORMAT, IMPORTED, KEPT, files_of, own_files, part_of, study_folder
from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.bag import Bag
from sat.store.files import TEMPORARY
from sat.store.user_files import REGISTRY, register
from sat.study.code import keep_code
from sat.study.plan import Artefact, Plan
from sat.study.section import check_name
from sat.study.study import load_study, merged_config


@dataclass(frozen=True)
class Unpacked:
    """An archive in a temporary folder, after every check.

    Parameters
    ----------
    folder : Path
        The temporary folder. It holds studies/ and results/, as the folder of the import will.
    plan : Plan
        The study's plan, as this version of the code makes it.
    missing : list of Artefact
        Artefacts that are not in the archive. Their sidecars are.
    sidecars : dict of str to dict
        Sidecars by the paths of their artefacts.
    origin : dict
        What is recorded of the archive.
    """

    folder: Path
    plan: Plan
    missing: list[Artefact]
    sidecars: dict[str, dict[str, Any]]
    origin: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.plan.study.name

    @property
    def results(self) -> Path:
        """Folder of the results."""
        return self.folder / "results" / self.name

    @property
    def study_file(self) -> Path:
        """The config file."""
        return self.folder / study_folder(self.name) / "study.yaml"

    @property
    def renamed(self) -> bool:
        """Whether the study names its files otherwise than where it was made."""
        return bool(self.sidecars["study.json"]["recipe"] != self.plan.describe().step.recipe)

    def sidecar(self, artefact: Artefact) -> dict[str, Any]:
        """The sidecar of an artefact, whether its file is in the archive or not."""
        return self.sidecars[artefact.path]


@contextmanager
def unpacked(path: Path, into: Path) -> Iterator[Unpacked]:
    """Unpack an archive into a temporary folder, which is removed at the end of the block.

    Parameters
    ----------
    path : Path
        The archive.
    into : Path
        Folder in which the temporary folder is made.

    Raises
    ------
    SatError
        If the archive is damaged, holds what no study has, or was made by other versions of stages.
    """
    bag = Bag(path)
    about = _about(bag)
    name = about["study"]
    temporary = into.absolute() / f".{name}.{os.getpid()}{TEMPORARY}"
    own, results = f"{study_folder(name)}/", f"results/{name}/"
    try:
        temporary.mkdir(parents=True)
        bag.unpack(temporary, lambda file: file.startswith((own, results)) or file == ROOT_CRATE)
        # Paths of a study start where it lies, and results are looked for in the working folder.
        with chdir(temporary):
            file = Path(own) / "study.yaml"
            if not file.is_file():
                raise SatError(f"{path}: is not an archive of 'sat export': it has no {file}.")
            study = load_study([file])
            if study.name != name:
                raise SatError(f"{path}: says that it holds study {name}, and {file} is study {study.name}.")
            plan = Plan(study, register(study.files, Path(results), write=False))
            files = files_of(plan)
            known = {f"{own}{entry}" for entry in own_files(study, merged_config([file]), file.parent).entries}
            known |= {f"{results}{entry}" for entry in (*files, *KEPT, REGISTRY)} | {str(file), ROOT_CRATE}
            if odd := sorted(set(bag.digests) - known):
                raise SatError(f"{path}: holds {odd[0]}, which is not a file of its study; nothing was imported.")
            sidecars = {each: read_sidecar(f"{results}{each}") for each in plan.artefacts()}
            missing = _compare(path, bag, plan, results, sidecars)
        origin = {"archive": path.name, "manifest_sha256": bag.digest, "sat": about["sat"], "with": about["with"]}
        yield Unpacked(temporary, plan, missing, sidecars, origin)
    except OSError as error:
        raise SatError(f"{into}: cannot be written ({error.strerror}); nothing was imported.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_into(path: Path, into: Path) -> None:
    """Accept an archive for a folder, before anything is unpacked; see `check_free`."""
    check_free(into, _about(Bag(path))["study"])


NAMING = ("study", "atlas", "crate")
"""Stages that record the names of the study's files. They take seconds, and no other result follows from them."""


def _about(bag: Bag) -> dict[str, Any]:
    """What the archive says of itself."""
    try:
        about: dict[str, Any] = json.loads(bag.text(ABOUT))
        version = int(about["format"])
        check_name(about["study"])
    except (ValueError, KeyError, TypeError):
        raise SatError(f"{bag.path}: is not an archive of 'sat export': its {ABOUT} cannot be read.") from None
    if version > FORMAT:
        raise SatError(
            f"{bag.path}: was packed by sat {about.get('sat')} in format {version}, and this version reads up to "
            f"format {FORMAT}. Update your clone."
        )
    return about


def _compare(path: Path, bag: Bag, plan: Plan, results: str, sidecars: dict[str, dict[str, Any]]) -> list[Artefact]:
    """Compare every sidecar with the plan and with the file beside it; return the artefacts without a file."""
    missing, versions, others = [], {}, []
    for artefact in plan.artefacts().values():
        sidecar = sidecars[artefact.path]
        if sidecar["recipe"] != artefact.step.recipe:
            # Files that lay outside of the study's folder have other names in its file now. Only these tell.
            others += [artefact.path] if artefact.step.stage not in NAMING else []
            if sidecar.get("stage_version") != artefact.step.version:
                versions[artefact.step.stage] = (sidecar.get("stage_version"), artefact.step.version)
        if str(sidecar_path(artefact.path)) == artefact.path:
            continue
        digest = bag.digests.get(f"{results}{artefact.path}")
        if digest is None and not part_of(artefact.step.stage):
            raise SatError(f"{path}: has no {results}{artefact.path}, which every archive holds; nothing was imported.")
        if digest is None:
            missing.append(artefact)
        elif digest != sidecar.get("sha256"):
            raise SatError(f"{path}: {results}{artefact.path} is not what its sidecar says; nothing was imported.")
    if versions:
        said = ", ".join(f"{stage} {theirs} (here {ours})" for stage, (theirs, ours) in sorted(versions.items()))
        commit = sidecars["study.json"]["git"]["commit"]
        which = f" (commit {commit[:12]})" if commit else ""
        raise SatError(
            f"{path}: was made with other versions of stages: {said}. Here its results would be made again, so "
            f"nothing was imported. Use a clone with those versions{which}, or ask for an archive of this version."
        )
    if others:
        raise SatError(
            f"{path}: {len(others)} of its sidecars, that of {others[0]} among them, are of other settings than its "
            "study file asks for; nothing was imported."
        )
    return missing


def place(found: Unpacked, into: Path) -> None:
    """Move an unpacked study to where it is used, whole or not at all.

    Raises
    ------
    SatError
        If there is a study of this name.
    """
    moves = [(found.results, into / "results" / found.name), (found.study_file.parent, into / study_folder(found.name))]
    check_free(into, found.name)
    record(found, found.results / IMPORTED)
    # Jobs import code files from there. A run copies them too, but 'sat reproduce' and others need no run before.
    keep_code(found.plan.study.code.values(), found.results)
    level_times(found.folder)
    done = []
    try:
        for source, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            done.append(target)
    except BaseException:
        for target in done:
            shutil.rmtree(target, ignore_errors=True)
        raise


def record(found: Unpacked, path: Path) -> None:
    """Write where a study has come from."""
    content = {**found.origin, "imported": datetime.now(UTC).isoformat(timespec="seconds")}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_free(into: Path, name: str) -> None:
    """Accept a name that no study in a folder has.

    Raises
    ------
    SatError
        If one has it.
    """
    for there in (into / "results" / name, into / study_folder(name)):
        if os.path.lexists(there):
            raise SatError(
                f"{there}: is there already, so nothing was imported. A study keeps its name, which its results "
                "record: import it into another folder with --into FOLDER."
            )


def level_times(folder: Path) -> None:
    """Give all files one time, since Snakemake makes again what is older than what it was made from."""
    now = time.time_ns()
    for path in folder.rglob("*"):
        os.utime(path, ns=(now, now))
