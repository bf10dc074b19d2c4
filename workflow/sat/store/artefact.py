"""Artefacts and their sidecars.

An artefact is written under a temporary name in its own folder, flushed, and renamed.
Its sidecar is written last. The sidecar is the record that counts, and Snakemake's
metadata is only a cache. The sidecar says which step made the artefact, from which
inputs, and what the hash of its bytes is. Readers refuse an artefact that another step
has made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.environment import environment
from sat.store.files import file_digest, replacing
from sat.store.step import Step, group_recipe


def sidecar_path(path: Path | str) -> Path:
    """Path of an artefact's sidecar; a .json file is its own sidecar."""
    path = Path(path)
    return path if path.suffix == ".json" else path.with_name(path.name + ".json")


def read_sidecar(path: Path | str) -> dict[str, Any]:
    """Read an artefact's sidecar.

    Raises
    ------
    SatError
        If it is missing or truncated.
    """
    sidecar = sidecar_path(path)
    try:
        content: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
        content["recipe"]
    except OSError as error:
        raise SatError(f"{sidecar}: the sidecar cannot be read ({error.strerror}); {_REMAKE}") from None
    except (ValueError, KeyError, TypeError):
        raise SatError(f"{sidecar}: is no sidecar; delete it. {_REMAKE}") from None
    return content


def is_made(path: Path | str, step: Step) -> bool:
    """Say whether an artefact exists, and its sidecar says that this step made it."""
    try:
        return Path(path).exists() and bool(read_sidecar(path)["recipe"] == step.recipe)
    except SatError:
        return False


_REMAKE = "'sat verify' says how to make it again."


@dataclass
class Job:
    """One run of a stage: it reads inputs, writes artefacts, and keeps account of both.

    Parameters
    ----------
    step : Step
        The step of the artefacts.
    run : mapping
        How the job runs (device, threads, batch size), for the sidecars.
    """

    step: Step
    run: Mapping[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def input(self, name: str, path: Path | str) -> Path:
        """Accept an input if it is the one that the step asks for.

        Parameters
        ----------
        name : str
            Name of the input in the step.
        path : path
            The artefact.

        Returns
        -------
        Path
            The artefact's path.

        Raises
        ------
        SatError
            If another step has made it, or its bytes do not agree with its sidecar.
        """
        return self.input_group(name, [path], single=True)[0]

    def input_group(self, name: str, paths: Sequence[Path | str], single: bool = False) -> list[Path]:
        """Accept a list of inputs, in the order of the plan; see `input`."""
        sidecars = [read_sidecar(path) for path in paths]
        recipes = [sidecar["recipe"] for sidecar in sidecars]
        recipe = recipes[0] if single else group_recipe(recipes)
        if recipe != self.step.inputs[name]:
            which = str(paths[0]) if len(paths) == 1 else f"one of the {len(paths)} inputs '{name}' ({paths[0]}, ...)"
            raise SatError(
                f"{which}: was made by another step than this study asks for (other settings, version or inputs). "
                "'sat verify' names what is stale and prints the command that repairs it."
            )
        for path, sidecar in zip(paths, sidecars, strict=True):
            check_content(path, sidecar)
        accounts = [
            {"path": str(path), "sha256": sidecar["sha256"], "recipe": sidecar["recipe"]}
            for path, sidecar in zip(paths, sidecars, strict=True)
        ]
        self.inputs[name] = accounts[0] if single else accounts
        return [Path(path) for path in paths]

    def finish(self, path: Path | str, **facts: Any) -> None:
        """Write the sidecar of an artefact that has just been written; a .json artefact is its own sidecar.

        Parameters
        ----------
        path : path
            The artefact.
        **facts
            What the stage found: counts, accuracies, warnings.
        """
        ended = datetime.now(UTC)
        sidecar = sidecar_path(path)
        record = {
            "stage": self.step.stage,
            "stage_version": self.step.version,
            "params": self.step.params,
            "recipe": self.step.recipe,
            "inputs": self.inputs,
            **({} if sidecar == Path(path) else content_account(path)),
            "facts": facts,
            "run": dict(self.run),
            **environment(),
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round((ended - self.started).total_seconds(), 3),
        }
        with replacing(sidecar) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def content_account(path: Path | str) -> dict[str, str]:
    """Digests of an artefact for its sidecar: that of the file and, for an HDF5 file, that of its arrays."""
    account = {"sha256": file_digest(path)}
    if Path(path).suffix == ".h5":
        from sat.store.hdf5 import stored_digest

        account["content_sha256"] = stored_digest(path)
    return account


def check_content(path: Path | str, sidecar: Mapping[str, Any], full: bool = False) -> None:
    """Compare an artefact with its sidecar.

    Parameters
    ----------
    path : path
    sidecar : mapping
    full : bool
        Whether to hash an HDF5 file whole. By default only the digest that is stored
        in the file is compared, which tells files apart but does not find bit rot.

    Raises
    ------
    SatError
        If they differ, or the artefact cannot be read.
    """
    path = Path(path)
    if path.suffix == ".json":
        return
    if path.suffix == ".h5" and not full:
        from sat.store.hdf5 import stored_digest

        same = stored_digest(path) == sidecar.get("content_sha256")
    else:
        try:
            same = file_digest(path) == sidecar.get("sha256")
        except OSError as error:
            raise SatError(f"{path}: cannot be read ({error.strerror}). {_REMAKE}") from None
    if not same:
        raise SatError(f"{path}: its content is not what its sidecar {sidecar_path(path).name} says. {_REMAKE}")
