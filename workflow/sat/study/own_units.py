"""Units of a study's own: attacks, measures and analyses that its code files declare, one each.

Their declarations are needed to read the study, and a file is not imported for that. One process, started with the
user's consent, imports the copies of all files that are new (`sat.study.declaring`), and writes the declarations to
results/<study>/units.json, by the digests of the files. Everything else reads that file, which is data.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from sat.errors import SatError
from sat.store.files import replacing
from sat.study.attack import own_fields
from sat.study.code import CONSENT, COPIES, FOLDER, KEY, CodeFile, keep_code
from sat.study.config import Config
from sat.study.lock import pipeline
from sat.study.section import check_name, explain
from sat.units import PACKAGE, SINGULAR, Units, names, ours
from sat.units.declared import Declared

DECLARED = "units.json"
"""File of the declarations, in the folder of the study's results."""
SECONDS = 600
"""Longest time that the import of all code files may take."""
COLUMNS = ("sat", "affinity", "model_a", "model_b")
"""Columns of the table of measures, which no measure may be called."""


def read_units(code: Mapping[str, CodeFile], results: Path, may_run: bool) -> Units:
    """Read the declarations of a study's own units, beside ours.

    Parameters
    ----------
    code : mapping of str to CodeFile
        The study's code files by the names of their modules.
    results : Path
        Folder of the study's results.
    may_run : bool
        Whether a process may be started that imports the files which have not been imported yet.

    Returns
    -------
    Units

    Raises
    ------
    SatError
        If a name or a key is taken, a file cannot be imported, or a declaration is missing or not valid.
    """
    own = {f"{file.kind}/{file.module}": file for file in code.values() if file.kind}
    for entry, file in own.items():
        _check_name(entry, f"key 'code': {file.path}")
    check_name(results.name)
    known = _read(results / DECLARED)
    new = [
        file
        for entry, file in own.items()
        if file.digest not in known or (may_run and _fault(entry, known[file.digest]))
    ]
    if new and not may_run:
        raise SatError(_unknown(new))
    if new:
        found = _declare(new, results)
        known = {**_read(results / DECLARED), **found}
        with replacing(results / DECLARED) as temporary:
            temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    for entry, file in own.items():
        if fault := _fault(entry, known[file.digest]):
            raise SatError(
                f"{results / DECLARED}: the declaration of {file.path} is not valid: {fault}. A command with --config "
                f"{KEY}=true writes it again."
            )
    written = {entry: known[file.digest] for entry, file in own.items()}
    units = _make(written, {entry: file.digest for entry, file in own.items()})
    for entry, file in own.items():
        _check_together(units, entry, f"key 'code': {file.path}")
    return units


def recorded_units(written: Mapping[str, Any]) -> Units:
    """Make the units of a study from what its study.json records, beside ours.

    Parameters
    ----------
    written : mapping
        Declarations by kind and name.

    Raises
    ------
    SatError
        If one is not valid.
    """
    for entry, one in written.items():
        _check_name(entry, entry)
        if fault := _fault(entry, one):
            raise SatError(f"declared.{entry}: {fault}.")
    units = _make(written, dict.fromkeys(written, ""))
    for entry in written:
        _check_together(units, entry, f"declared.{entry}")
    return units


def _make(written: Mapping[str, Any], code: Mapping[str, str]) -> Units:
    made: dict[str, dict[str, Any]] = {kind: {**getattr(ours(), kind)} for kind in SINGULAR}
    for entry, one in written.items():
        kind, name = entry.split("/")
        made[kind][name] = Declared.validate_json(json.dumps(one)).make()
    return Units(**made, code=code, written=written)


def _check_name(entry: str, where: str) -> None:
    """Accept a kind, and the name of a unit that is not taken."""
    kind, _, name = entry.partition("/")
    if kind not in SINGULAR or not name.isidentifier() or not name.isascii():
        raise SatError(f"{where}: a unit has a name of letters, digits and _, and {name!r} is none.")
    taken = {unit: f"our {SINGULAR[known]}" for known in SINGULAR for unit in names(known)}
    taken |= dict.fromkeys((*pipeline(), "all", "analysis"), "a rule of ours")
    if kind == "measures":
        taken |= dict.fromkeys(COLUMNS, "a column of the table of measures")
    if name in taken:
        raise SatError(f"{where}: this {SINGULAR[kind]} and {taken[name]} have one name, {name!r}; rename the file.")


def _read(path: Path) -> dict[str, Any]:
    """The declarations that have been written, by digest; none if the file is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _fault(entry: str, written: object) -> str:
    """What is wrong with a declaration; empty if nothing is."""
    try:
        found = Declared.validate_json(json.dumps(written))
        found.make()
    except ValidationError as error:
        return explain(error).removesuffix(".")
    except (ValueError, RecursionError) as error:
        return str(error)
    kind = entry.partition("/")[0]
    return "" if found.kind == kind else f"it is one of {found.kind}, and the file is one of {kind}"


def _unknown(files: Sequence[CodeFile]) -> str:
    listed = "; ".join(
        f"{file.path} (digest {file.digest[:12]}, with {len(file.contents) - 1} other file(s) that it imports) "
        f"declares the {SINGULAR[file.kind]} {file.module}"
        for file in files
    )
    return (
        f"key 'code': {listed}. To learn the settings, each file has to be imported once, in a process of its own, "
        "which runs it with all your rights. Read it. If you trust it, add to this command: --config "
        f"{KEY}=true"
    )


def _declare(files: Sequence[CodeFile], results: Path) -> dict[str, Any]:
    """Import the copies of code files in a process of its own, and return their declarations by digest."""
    keep_code(files, results)
    with TemporaryDirectory(prefix="sat-units-") as folder:
        answer = Path(folder) / "units.json"
        words = [f"{file.kind}/{file.module}={file.digest}" for file in files]
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        safe = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", CONSENT: "1", COPIES: str((results / FOLDER).absolute())}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "sat.study.declaring", str(answer), *words],
                env={**os.environ, **safe},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise SatError(
                f"key 'code': {', '.join(str(file.path) for file in files)}: the import was stopped after {SECONDS} s. "
                "Let the file do its work in functions."
            ) from None
        found = _read(answer)
    if "fault" in found:
        raise SatError(f"key 'code': {found['fault']}")
    if done.returncode or set(found) != {file.digest for file in files}:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SatError(
            f"key 'code': {', '.join(str(file.path) for file in files)}: the process that imports it ended with status "
            f"{done.returncode}: {last}"
        )
    return found


def _check_together(units: Units, entry: str, where: str) -> None:
    """Check that a unit of the study's own takes no key and no file of another one."""
    kind, name = entry.split("/")
    if kind == "attacks":
        earlier = {other: one for other, one in units.attacks.items() if other != name}
        try:
            own_fields({**earlier, name: units.attacks[name]})
        except TypeError as error:
            raise SatError(f"{where}: {error}.") from None
    if kind != "analyses":
        return
    own = units.analyses[name]
    others = [unit for other, unit in units.analyses.items() if other != name]
    keys = {key for unit in others if unit.settings for key in unit.settings.model_fields}
    for key in own.settings.model_fields if own.settings else ():
        if key in keys or key in Config.model_fields or hasattr(Config, key):
            raise SatError(f"{where}: setting {key!r} is a key of the config file already; rename it.")
    outputs = {output for unit in others for output in unit.outputs}
    if twice := [output for output in own.outputs if output in outputs]:
        raise SatError(f"{where}: {twice[0]} is a file of another analysis already; rename it.")
    if unknown := own.optional - set(own.inputs):
        raise SatError(f"{where}: optional names {sorted(unknown)[0]!r}, but no input has this name.")
