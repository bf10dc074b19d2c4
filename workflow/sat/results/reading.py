"""Read a study's files, and refuse what their sidecars do not vouch for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sat.errors import SatError
from sat.status.upgrade import Change, earlier_in_words, earlier_versions, only_versions
from sat.store.artefact import accounts, check_content, read_sidecar, sidecar_path
from sat.store.lineage import difference
from sat.study.plan import Plan
from sat.study.study import Study

if TYPE_CHECKING:
    import h5py
    import pandas as pd


class Missing(SatError, KeyError):
    """A result that is not there; also a KeyError, as mappings raise it."""

    def __str__(self) -> str:
        # KeyError would print the message in quotes.
        return str(self.args[0])


class Folder:
    """The folder of a study's results.

    Parameters
    ----------
    path : Path
    study : Study
        The study that the results are of.
    asked : Plan, optional
        What the study's config file asks for now. Without it, nothing but the files themselves is known.
    """

    def __init__(self, path: Path, study: Study, asked: Plan | None = None) -> None:
        self.path = path
        self.study = study
        self.asked = asked
        self.plan = asked or Plan(study)
        """Says which artefacts the study has. Without `asked`, its recipes mean nothing."""
        self._sidecars: dict[Path, tuple[int, dict[str, Any]]] = {}
        self._examined: set[Path] = set()
        self._told: set[Change] = set()

    def __contains__(self, name: str) -> bool:
        """Whether a file is there, by its path below the folder."""
        return (self.path / name).is_file()

    def sidecar(self, name: str) -> dict[str, Any]:
        """Read the sidecar of a file, by the file's path below the folder.

        Raises
        ------
        Missing
            If the file is not there. The message says how to make it.
        SatError
            If the sidecar has been edited.
        """
        path = self.path / name
        if name not in self:
            raise Missing(f"{path}: is not there; {self.remedy(name)}")
        place = sidecar_path(path)
        written = place.stat().st_mtime_ns if place.is_file() else 0
        if self._sidecars.get(place, (0,))[0] != written or not written:
            self._sidecars[place] = written, read_sidecar(path)
        return self._sidecars[place][1]

    def remedy(self, name: str) -> str:
        """Say how a file that is missing is made."""
        if name in self.plan.artefacts():
            return "the study has not been run to its end. Run snakemake with its config file."
        return f"study {self.study.name!r} does not ask for it."

    def check(self, name: str) -> dict[str, Any]:
        """Accept a file, and return its sidecar.

        A table or weights are hashed. Of an HDF5 file, the digest of its content that stands in it is compared, which
        takes no time; ``sat verify --full`` hashes it. What the file was made from must be what lies there now.

        Raises
        ------
        SatError
            If the file is missing, changed, or made by another step or from other files. If only versions differ, the
            file is read, with a warning.
        """
        sidecar, path = self.sidecar(name), self.path / name
        artefact = self.asked.artefacts().get(name) if self.asked else None
        if artefact and artefact.step.recipe != sidecar["recipe"] and not only_versions(artefact, self._known):
            raise SatError(
                f"{path}: was made by another step than this study asks for (other settings, version or inputs). "
                "'sat verify' names what is stale and prints the command that repairs it."
            )
        for account in accounts(sidecar):
            made_from = self.below(account["path"])
            if made_from and made_from in self and (reason := difference(account, self.sidecar(made_from))):
                raise SatError(
                    f"{path}: was made from another {made_from} than the one that is there now{reason}. "
                    "Run snakemake again; 'sat verify' names everything that is stale."
                )
        check_content(path, sidecar)
        self._say_earlier(path)
        return sidecar

    def _known(self, name: str) -> dict[str, Any] | None:
        """Sidecar of a file; None if there is no valid one."""
        try:
            return self.sidecar(name)
        except SatError:
            return None

    def _say_earlier(self, path: Path) -> None:
        """Warn once of every version that has changed since a file, or what it was made from, was made."""
        if path in self._examined:
            return
        self._examined.add(path)
        found = [change for change in earlier_versions(path) if change not in self._told]
        self._told.update(found)
        if found:
            warnings.warn(f"{path}: {earlier_in_words(found)}.", stacklevel=4)

    def below(self, recorded: str) -> str | None:
        """Path below this folder of a file that a sidecar names; None for a file of another study.

        Sidecars name files as Snakemake did, from the folder that held results/. This folder may have moved since.
        """
        before, found, after = recorded.rpartition(f"results/{self.study.name}/")
        return after if found and not before.strip("./") else None

    def table(self, name: str) -> pd.DataFrame:
        """Read a table or matrix.

        Raises
        ------
        SatError
            See `check`.
        """
        from sat.store.tables import read_result

        self.check(name)
        return read_result(self.path / name)

    @contextmanager
    def hdf5(self, name: str) -> Iterator[h5py.File]:
        """Open an HDF5 file for reading.

        Raises
        ------
        SatError
            See `check`.
        """
        from sat.store.hdf5 import reading

        self.check(name)
        with reading(self.path / name) as file:
            yield file
