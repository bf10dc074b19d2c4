"""Artefacts and their sidecars.

An artefact is written under a temporary name in its own folder, flushed, and renamed.
Its sidecar is written last. The sidecar is the record that counts, and Snakemake's
metadata is only a cache. The sidecar says which step made the artefact, from which
inputs, and what the hash of its bytes is. It also holds a digest of itself. Readers
refuse an artefact that another step has made, or whose bytes are not those that its
sidecar vouches for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.environment import environment
from sat.store.files import file_digest, replacing
from sat.store.step import Step, group_recipe

CRATE = "ro-crate-metadata.json"
"""Name of the file of an RO-Crate. Its format is not ours, so it has a sidecar beside it."""


def sidecar_path(path: Path | str) -> Path:
    """Path of an artefact's sidecar; a .json file of ours is its own sidecar."""
    path = Path(path)
    own = path.suffix == ".json" and path.name != CRATE
    return path if own else path.with_name(path.name + ".json")


FORMAT = 2
"""Format of the sidecars that are written. Those of format 1 have no digest of themselves."""
SEAL = "sidecar_sha256"


def read_sidecar(path: Path | str) -> dict[str, Any]:
    """Read an artefact's sidecar.

    Raises
    ------
    SatError
        If it is missing or truncated, or has been edited since it was written.
    """
    sidecar = sidecar_path(path)
    try:
        content: dict[str, Any] = json.loads(sidecar.read_text(encoding="utf-8"))
        whole = isinstance(content["recipe"], str) and all(
            isinstance(content[key], dict) for key in ("inputs", "facts")
        )
    except OSError as error:
        raise SatError(f"{sidecar}: the sidecar cannot be read ({error.strerror}); {_REMAKE}") from None
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise SatError(f"{sidecar}: is not a sidecar; delete it. {_REMAKE}") from None
    if format_of(content) > 1 and content.get(SEAL) != _seal(content):
        raise SatError(f"{sidecar}: the sidecar has been edited since it was written. {_REMAKE}")
    return content


def format_of(sidecar: Mapping[str, Any]) -> int:
    """Format of a sidecar, or of what a consumer recorded of an input."""
    found = sidecar.get("format", 1)
    return found if isinstance(found, int) else 1


def _seal(content: Mapping[str, Any]) -> str:
    """Digest of a sidecar without its digest; order and layout do not count."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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
    _accepted: dict[str, tuple[dict[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    """By path: what is recorded of an input, and the facts of its sidecar."""
    _checks: list[Future[None]] = field(default_factory=list)
    # One thread, since several would compete for one disk. It hashes while the stage imports torch and loads models.
    _hashing: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "hash"))

    def input(self, name: str, path: Path | str) -> Path:
        """Accept an input if it is the one that the step asks for, and begin to hash its bytes.

        What was read may be used for a result only after `ready`.

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
            If another step has made it, or its sidecar has been edited.
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
        accounts = [account_of(path, sidecar) for path, sidecar in zip(paths, sidecars, strict=True)]
        for path, account, sidecar in zip(paths, accounts, sidecars, strict=True):
            self._accepted[str(Path(path))] = account, sidecar["facts"]
            self._checks.append(self._hashing.submit(check_content, path, sidecar, True))
        self.inputs[name] = accounts[0] if single else accounts
        return [Path(path) for path in paths]

    def facts(self, path: Path | str, *names: str) -> dict[str, Any]:
        """Read facts from the sidecar of an input that was accepted, and record them.

        Parameters
        ----------
        path : path
        *names : str
            Names of the facts; all of them by default.

        Returns
        -------
        dict
            The facts by name.
        """
        account, facts = self._accepted[str(Path(path))]
        used = {name: facts.get(name) for name in names or facts}
        account.setdefault("facts", {}).update(used)
        return used

    def ready(self) -> None:
        """Wait until all inputs that were accepted are hashed.

        Raises
        ------
        SatError
            If the bytes of an input are not those that its sidecar vouches for.
        """
        while self._checks:
            self._checks.pop(0).result()

    def finish(self, path: Path | str, **facts: Any) -> None:
        """Write the sidecar of an artefact that has just been written; a .json artefact is its own sidecar.

        Parameters
        ----------
        path : path
            The artefact.
        **facts
            What the stage found: counts, accuracies, warnings.

        Raises
        ------
        SatError
            See `ready`, or if the sidecar of an input has lost its digest since this artefact was made last.
            No sidecar is written then.
        """
        self.ready()
        self._compare_formats(path)
        ended = datetime.now(UTC)
        sidecar = sidecar_path(path)
        record = {
            "format": FORMAT,
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
        write_sidecar(sidecar, record)

    def _compare_formats(self, path: Path | str) -> None:
        """Refuse an input whose sidecar had a digest of itself when this artefact was made before, and has none now."""
        try:
            recorded = {entry["path"]: format_of(entry) for entry in accounts(read_sidecar(path))}
        except SatError:
            return  # It is made for the first time, or nothing can be said about the time before.
        for entry in accounts({"inputs": self.inputs}):
            if format_of(entry) < recorded.get(entry["path"], 0):
                raise SatError(
                    f"{sidecar_path(entry['path'])}: the sidecar has lost the digest of itself since {path} was made. "
                    f"{_REMAKE}"
                )


def accounts(sidecar: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a sidecar records of its inputs."""
    groups = sidecar["inputs"].values()
    return [entry for given in groups for entry in (given if isinstance(given, list) else [given])]


def write_sidecar(sidecar: Path | str, record: Mapping[str, Any]) -> None:
    """Write a sidecar with a digest of itself."""
    # Tuples become lists and keys become text before the digest is computed, as they are when it is read.
    plain = json.loads(json.dumps(record))
    with replacing(sidecar) as temporary:
        temporary.write_text(json.dumps({**plain, SEAL: _seal(plain)}, indent=1) + "\n", encoding="utf-8")


def account_of(path: Path | str, sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """What a consumer records of an input."""
    digests = {key: sidecar[key] for key in ("sha256", "content_sha256") if key in sidecar}
    return {"path": str(path), "recipe": sidecar["recipe"], "format": format_of(sidecar), **digests}


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
        Whether to hash an HDF5 file whole, as every job does with its inputs. Without it,
        only the digest that is stored in the file is compared, which tells files apart but
        does not find bit rot.

    Raises
    ------
    SatError
        If they differ, or the artefact cannot be read.
    """
    path = Path(path)
    if sidecar_path(path) == path:
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
        raise SatError(
            f"{path}: its content is not what its sidecar {sidecar_path(path).name} says. 'sat verify --full' says how "
            "to make it again."
        )
