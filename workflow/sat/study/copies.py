"""Import code files from their copies in a study's results. The only place where code that came with a study runs."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from sat.errors import SatError
from sat.study.code import CONSENT, COPIES, FOLDER, KEY, consents, digest_of, read_copy


def import_copy(name: str, code: str, what: str) -> ModuleType:
    """Import a code file from its copy.

    Parameters
    ----------
    name : str
        Name of the module.
    code : str
        Digest of the code file.
    what : str
        What it defines, for messages.

    Raises
    ------
    SatError
        If the user does not consent, the copy is missing or another one, or the import fails.
    """
    folder = find_copy(name, code, what)
    with importable(folder):
        try:
            found = importlib.import_module(name)
            check_modules(folder)
        except SatError:
            raise
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise SatError(
                f"{what}: cannot be imported ({place_in(folder, error)}: {type(error).__name__}: {error})."
            ) from None
    return found


def place_in(folder: Path, error: BaseException) -> str:
    """Say on which line an error arose: of the user's own code if it has part in it, and else of a library."""
    frames = traceback.extract_tb(error.__traceback__)
    # The last line of the user's own says more than one deep inside a library. The file is named as the user knows it,
    # and not the copy, which may be a temporary one.
    place = next((frame for frame in reversed(frames) if frame.filename.startswith(f"{folder}/")), frames[-1])
    return f"{place.filename.removeprefix(f'{folder}/')}, line {place.lineno}"


def find_copy(module: str, code: str, what: str, near: Path | str | None = None) -> Path:
    """Find the copy of a code file, and check that it may run.

    Parameters
    ----------
    module : str
        Name of the code file's module.
    code : str
        Digest of the code file.
    what : str
        What it defines, for messages.
    near : path, optional
        A file of the study's results, from which the copy is found.

    Returns
    -------
    Path
        Folder of the copy.

    Raises
    ------
    SatError
        If the user does not consent, or the copy is missing or another one.
    """
    places = [Path(os.environ[COPIES])] if COPIES in os.environ else []
    places += [parent / FOLDER for parent in Path(near).resolve().parents] if near else []
    folder = next((place / code for place in places if (place / code).is_dir()), None)
    if folder is None:
        raise SatError(
            f"{what}: the copy of its code (results/<study>/{FOLDER}/{code[:12]}...) is not there. If the code file "
            "has changed since Snakemake started, run it again."
        )
    if not consents():
        raise SatError(
            f"{what}: is made by code that came with the study, {folder / module}.py, and runs with all your rights. "
            f"Read it. If you trust it, set {CONSENT}=1, or give Snakemake --config {KEY}=true."
        )
    if digest_of(read_copy(folder)) != code:
        raise SatError(f"{folder}: does not hold the code of its name; delete the folder and run Snakemake again.")
    return folder.absolute()


def check_modules(folder: Path) -> None:
    """Refuse modules that were imported from elsewhere under the names of the copy's files."""
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        module = sys.modules.get(name)
        if module and not Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            raise SatError(
                f"{path}: another module {name!r} is loaded already ({module.__file__}). Rename the code file if it is "
                "an installed package; otherwise read this version of the code in a process of its own."
            )


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let Python import from a folder. Compiled files are neither read there nor written."""
    # The folder stays in the path, and nothing is compiled any more, since code may import more when it runs. The
    # files of a study have different names.
    sys.dont_write_bytecode = True
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    prefix, sys.pycache_prefix = sys.pycache_prefix, str(folder.parent / ".none")
    try:
        yield
    finally:
        sys.pycache_prefix = prefix
