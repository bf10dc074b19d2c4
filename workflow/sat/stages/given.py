"""The inputs that the function of an analysis gets; they are checked before they are opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sat.errors import SatError
from sat.store.artefact import Job
from sat.units.analysis import Analysis, wildcards_of

if TYPE_CHECKING:
    import h5py
    import pandas as pd


@dataclass(frozen=True)
class Other:
    """A matrix of another study, or of the user."""

    path: str
    matrix: pd.DataFrame
    """SAT matrix, shape (n, n)."""
    differences: list[str] | None
    """Settings in which it differs from this study; None if its settings are not known."""


class Files(Mapping[Any, "h5py.File"]):
    """HDF5 files of a group, by model or another wildcard. Each is opened when it is asked for.

    Parameters
    ----------
    paths : mapping to Path
    stack : ExitStack
        Stack that closes the files.
    """

    def __init__(self, paths: Mapping[Any, Path], stack: ExitStack) -> None:
        self.paths = paths
        self._stack = stack
        self._open: dict[Any, h5py.File] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.paths)

    def __getitem__(self, key: Any) -> h5py.File:
        from sat.store.hdf5 import reading

        if key not in self._open:
            self._open[key] = self._stack.enter_context(reading(self.paths[key]))
        return self._open[key]

    def one_by_one(self) -> Iterator[h5py.File]:
        """Open each file, and close it before the next, since only a limited number of files may be open at once."""
        from sat.store.hdf5 import one_by_one

        return one_by_one(self.paths.values())


class Given:
    """Inputs of an analysis by name, open within a ``with`` block.

    ``given["sat"]`` is a data frame for a table or matrix, an open HDF5 file, or `Files`
    for a group of HDF5 files. A group of tables is a dict of data frames. The keys of a
    group are the values of the wildcard (tuples if there are several wildcards), in the
    order of the plan.

    Parameters
    ----------
    unit : Analysis
    job : Job
        The job; its step names the inputs. Each input is accepted before it is opened.
    paths : sequence of path
        Paths of all inputs, in any order of their names.
    files : mapping of str to str
        The user's own files, by config key. A path is empty if the study names no file.

    Raises
    ------
    SatError
        If an input is missing, or is not what the step asks for.
    """

    def __init__(
        self, unit: Analysis, job: Job, paths: Sequence[Path | str], files: Mapping[str, str] | None = None
    ) -> None:
        self._unit, self._files = unit, files or {}
        self._job = job
        self._stack = ExitStack()
        self._paths: dict[str, dict[Any, Path]] = {}
        for name, pattern in unit.inputs.items():
            found = [(values, path) for path in paths if (values := wildcards_of(pattern, str(path))) is not None]
            if name not in job.step.inputs:
                continue
            if not found:
                raise SatError(f"analysis {job.step.stage!r}: no input is called {pattern}.")
            if "{" in pattern:
                accepted = job.input_group(name, [path for _, path in found])
            else:
                accepted = [job.input(name, found[0][1])]
            keys = [values[0] if len(values) == 1 else values for values, _ in found]
            self._paths[name] = dict(zip(keys, accepted, strict=True))
        job.ready()

    def __enter__(self) -> Given:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __contains__(self, name: str) -> bool:
        """Whether the study has an optional input."""
        return name in self._paths

    def get(self, name: str) -> Any:
        """Input of this name; None for an optional input that the study does not have."""
        return self[name] if name in self._paths else None

    def __getitem__(self, name: str) -> Any:
        from sat.store.tables import read_result

        paths = self._paths[name]
        grouped = "{" in self._unit.inputs[name]
        if self._unit.inputs[name].endswith(".h5"):
            files = Files(paths, self._stack)
            return files if grouped else files[next(iter(paths))]
        tables = {key: read_result(path) for key, path in paths.items()}
        return tables if grouped else next(iter(tables.values()))

    def path(self, name: str) -> Path:
        """Path of an input, for messages."""
        return next(iter(self._paths[name].values()))

    def facts(self, name: str, *names: str) -> Any:
        """Facts of these names in the sidecar of an input; for a group, by key. The answer's sidecar records them."""
        found = {key: self._job.facts(path, *names) for key, path in self._paths[name].items()}
        return found if "{" in self._unit.inputs[name] else next(iter(found.values()))

    def other(self, key: str, digest: str | None) -> Other | None:
        """Read the matrix that a config key names, and say how it was measured.

        Parameters
        ----------
        key : str
            One of the declaration's `files`.
        digest : str
            SHA-256 that the file had when Snakemake started.

        Returns
        -------
        Other or None
            None if the study names no matrix there.

        Raises
        ------
        SatError
            If the file has changed, or is not a SAT matrix.
        """
        from sat.similarity.user_matrix import read_user_matrix
        from sat.store.provenance import differences, read_settings

        if not (path := self._files.get(key, "")):
            return None
        matrix = read_user_matrix(path, digest)
        ours, theirs = read_settings(self.path("sat")), read_settings(path)
        return Other(path, matrix, differences(ours, theirs) if ours and theirs else None)
