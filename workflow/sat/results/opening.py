"""Find a study's results and read what study they are of."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sat.errors import SatError
from sat.results.reading import Folder
from sat.results.study import StudyResults
from sat.store.artefact import read_sidecar
from sat.store.user_files import register
from sat.study.places import places_of_results
from sat.study.plan import Plan
from sat.study.study import Study, load_study


def open_study(study: Path | str, *, config: Mapping[str, Any] | None = None, trust_code: bool = False) -> StudyResults:
    """Open the results of a study.

    Nothing is read yet but the study itself. Every property of the result reads the
    files that it needs, and compares them with their sidecars.

    Parameters
    ----------
    study : path
        The folder of the results, such as ``results/digits``, or the study's config file. The results of a config
        file are looked for in the current folder, then in the folders above it, and then beside the file. With a config
        file, every artefact must also have been made with the settings that the file has now. Results that earlier
        versions of the stages have made are read, with a warning that names the versions.
    config : mapping, optional
        Settings that override those of the file, as ``--config`` does.
    trust_code : bool
        Whether nets from the study's own code files may run. Read the files first: they run with all your rights.

    Returns
    -------
    StudyResults

    Raises
    ------
    SatError
        If there are no such results.

    Examples
    --------
    >>> import sat
    >>> r = sat.open_study("results/tiny")
    >>> r.matrix.shape
    (3, 3)
    >>> sorted(r.tables)[:3]
    ['caveats', 'choose_k', 'clusters']
    """
    path = Path(study).expanduser()
    if path.name == "study.json":
        path = path.parent
    if path.is_dir():
        if config:
            raise SatError(f"{path}: is a folder of results, and 'config' changes a config file; name the file.")
        return StudyResults(Folder(path, recorded_study(path)), trust_code=trust_code)
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise SatError(
            f"{path}: is neither a folder of results (such as results/digits) nor a study's config file (.yaml). "
            f"{_nearby(path)}"
        )
    read = load_study([path], config)
    results = _results_of(read, path)
    asked = Plan(read, register(read.files, results, write=False))
    return StudyResults(Folder(results, read, asked), trust_code=trust_code)


def recorded_study(results: Path) -> Study:
    """Read the study that a folder of results records.

    Keys of the config that this version does not know any more are left out, with a warning, since they say nothing of
    what lies there.

    Raises
    ------
    SatError
        If there is none, or this version cannot understand it.
    """
    if not (results / "study.json").is_file():
        raise SatError(f"{results}: holds no study.json, so it cannot be the results of a study. {_nearby(results)}")
    recorded = read_sidecar(results / "study.json")["params"]
    try:
        return Study.model_validate_json(json.dumps(recorded))
    except ValidationError as error:
        unknown = [fault["loc"] for fault in error.errors(include_url=False) if fault["type"] == "extra_forbidden"]
        if len(unknown) == error.error_count():
            for place in unknown:
                _drop(recorded, place)
            names = ", ".join(".".join(map(str, place)) for place in unknown)
            warnings.warn(
                f"{results / 'study.json'}: was written by another version of sat; these keys are left out: {names}.",
                stacklevel=2,
            )
            return Study.model_validate_json(json.dumps(recorded))
        raise SatError(
            f"{results / 'study.json'}: was written by a version of sat with other settings "
            f"({error.errors(include_url=False)[0]['msg']}). Run snakemake again, which writes it anew."
        ) from None


def _drop(content: Any, place: Sequence[int | str]) -> None:
    for key in place[:-1]:
        content = content[key]
    del content[place[-1]]


def _results_of(study: Study, file: Path) -> Path:
    """The folder of a study's results, in the current folder, above it, or near the config file."""
    if places := places_of_results(study.name, file):
        return places[0] / "results" / study.name
    raise SatError(
        f"{file}: study {study.name!r} has no results yet: no folder results/{study.name} is in {Path.cwd()}, above "
        f"it, or near the file. Run: snakemake -c2 --configfile {file}"
    )


def _nearby(path: Path) -> str:
    """Folders of results near a path, for messages."""
    places = (path / "results", path, path.parent, Path("results"))
    found = sorted({str(each.parent) for place in places for each in place.glob("*/study.json")})
    return f"There are {', '.join(found[:5])}." if found else "'snakemake' makes results where it is called."
