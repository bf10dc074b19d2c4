"""Code files of a study: Python files beside it that define nets of the user's own, or each a unit.

Here a file is only read: its functions are found in its syntax tree, and its digest covers all that it imports from its
own folder. What runs is a copy in results/<study>/code/<digest>/, only with the user's consent, and only in jobs and
in the process that writes the declarations of units (`sat.study.copies`, `sat.study.own_units`).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sat.errors import SatError
from sat.study.spelling import did_you_mean

KINDS = {"Attack": "attacks", "Measure": "measures", "Analysis": "analyses"}
"""Kinds of units by the names of their declarations."""
CONSENT = "SAT_TRUST_CODE"
"""Variable that says, if it is 1, that code files may run."""
KEY = "trust_code"
"""The same among the words of a command: --config trust_code=true."""
FOLDER = "code"
"""Folder of the copies, in the folder of the study's results."""
COPIES = "SAT_CODE"
"""Variable with the path of that folder, for commands that Snakemake calls."""


@dataclass(frozen=True)
class CodeFile:
    """A code file and what it imports from its own folder."""

    path: Path
    contents: Mapping[str, bytes]
    """Content of each file by its name, relative to the folder; the code file itself comes first."""
    names: frozenset[str]
    """Names that the file defines or imports at its top level."""
    kind: str = ""
    """`attacks`, `measures` or `analyses` if the file declares a unit; otherwise empty."""

    @property
    def module(self) -> str:
        """Name by which the model table calls the file."""
        return self.path.stem

    @property
    def digest(self) -> str:
        """SHA-256 of the names and contents of the files."""
        return digest_of(self.contents)

    def check(self, architecture: str) -> None:
        """Accept the name of a function in this file.

        Parameters
        ----------
        architecture : str
            As in the model table, such as `my_nets:resnet20`.

        Raises
        ------
        ValueError
            If the file has no such name.
        """
        function = architecture.partition(":")[2]
        if function not in self.names:
            those = f"it has {', '.join(sorted(self.names)[:10]) or 'none'}"
            raise ValueError(f"{self.path} has no function {function!r}; {did_you_mean(function, self.names, those)}")


def digest_of(contents: Mapping[str, bytes]) -> str:
    """Digest of a code file: SHA-256 of the names and contents of its files, by name."""
    listed = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def read_code(paths: Iterable[Path]) -> dict[str, CodeFile]:
    """Read the code files of a study, without running them.

    Parameters
    ----------
    paths : iterable of Path

    Returns
    -------
    dict of str to CodeFile
        The files by the names of their modules.

    Raises
    ------
    SatError
        If a file is not Python, or two files would be confused.
    """
    found: dict[str, CodeFile] = {}
    modules: dict[str, tuple[Path, bytes]] = {}
    for path in paths:
        if path.suffix != ".py" or not path.stem.isidentifier():
            raise SatError(
                f"{path}: key 'code': a code file is a Python file whose name is a Python name, such as my_nets.py."
            )
        trees = dict(_with_imports(path))
        contents = {name: content for name, (content, _) in trees.items()}
        for name, content in contents.items():
            earlier = modules.setdefault(name, (path, content))
            if earlier[1] != content or (name == path.name and path.stem in found):
                raise SatError(
                    f"key 'code': {earlier[0]} and {path} bring two different files {name}, and Python would import "
                    "one of them for both; rename one."
                )
        names = frozenset(_names(path.name, trees))
        found[path.stem] = CodeFile(path, contents, names, _kind(path, trees[path.name][1], names))
    return found


def keep_code(code: Iterable[CodeFile], results: Path) -> None:
    """Copy code files into the results, where jobs import them.

    Parameters
    ----------
    code : iterable of CodeFile
    results : Path
        Folder of the study's results.
    """
    for file in code:
        folder = results / FOLDER / file.digest
        if folder.exists() and digest_of(read_copy(folder)) == file.digest:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        for name, content in file.contents.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_bytes(content)
        temporary.rename(folder)


def read_copy(folder: Path) -> dict[str, bytes]:
    """Read the files of a copy, by their names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def give_consent(config: dict[str, object], words: Sequence[str] | None) -> None:
    """Take the key `trust_code` out of a config; where the command says so, let code files run.

    Parameters
    ----------
    config : dict
        The merged config. It loses the key.
    words : sequence of str or None
        Words of the command. None if the config holds nothing but what the command said.

    Raises
    ------
    SatError
        If the key stands anywhere but among the command's words, or is neither true nor false.
    """
    if KEY not in config:
        return
    value = config.pop(KEY)
    if str(value).lower() not in ("true", "false"):
        raise SatError(f"{KEY}: {value!r} is neither true nor false.")
    if words is not None and not any(word.lower().startswith(f"{KEY}=") for word in _config_words(words)):
        raise SatError(
            f"{KEY}: stands in a config file or a profile. Only the person who runs a study can say that its code may "
            f"run, in the command itself: --config {KEY}=true, or {CONSENT}=1 in the environment. Remove it there."
        )
    if str(value).lower() == "true":
        os.environ[CONSENT] = "1"


def consents() -> bool:
    """Whether code files may run in this process and those that it starts."""
    return os.environ.get(CONSENT) == "1"


def check_consent(users: Mapping[str, Sequence[str]], code: Mapping[str, CodeFile]) -> None:
    """Stop before code files run without consent.

    Parameters
    ----------
    users : mapping of str to sequence of str
        What is made by each module: models and units, in words.
    code : mapping of str to CodeFile

    Raises
    ------
    SatError
        With file, digest, and what it would do.
    """
    if not users or consents():
        return
    files = "; ".join(
        f"{code[module].path} (digest {code[module].digest[:12]}, with {len(code[module].contents) - 1} other file(s) "
        f"that it imports) in the jobs of {', '.join(made)}"
        for module, made in users.items()
    )
    raise SatError(
        f"key 'code': this study runs Python code that came with it, with all your rights: {files}. Read it. If you "
        f"trust it, add to this command: --config {KEY}=true"
    )


def _config_words(words: Sequence[str]) -> Iterator[str]:
    """The words of a command that set keys of the config: those after --config or -C."""
    within = False
    for word in words:
        if word.startswith("-"):
            within = word.startswith(("--config=", "-C")) or word == "--config"
            if within and word not in ("--config", "-C"):
                yield word.removeprefix("--config=").removeprefix("-C")
        elif within:
            yield word


def _with_imports(path: Path) -> Iterator[tuple[str, tuple[bytes, ast.Module]]]:
    """The file and all that it imports from its folder, with their syntax trees, by name relative to the folder."""
    folder, left, seen = path.parent, [path.name], set()
    while left:
        name = left.pop(0)
        if name in seen:
            continue
        seen.add(name)
        content, tree = _parsed(folder / name)
        yield name, (content, tree)
        left += sorted(other for other in _imported(name, tree) if (folder / other).is_file())


def _parsed(path: Path) -> tuple[bytes, ast.Module]:
    try:
        content = path.read_bytes()
        return content, ast.parse(content, str(path))
    except OSError as error:
        raise SatError(f"key 'code': {path}: cannot be read ({error.strerror}).") from None
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise SatError(f"key 'code': {path}{line}: is not Python ({str(error).splitlines()[0]}).") from None


def _imported(name: str, tree: ast.Module) -> Iterator[str]:
    """Files that a file may import, relative to the folder, whether they are there or not."""
    package = name.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _places(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from _places(base)
            for alias in node.names:
                yield from _places([*base, alias.name])


def _places(parts: Sequence[str]) -> Iterator[str]:
    """A module's file, its package's, and those of the packages that hold it."""
    for count in range(1, len(parts) + 1):
        place = "/".join(parts[:count])
        yield f"{place}.py"
        yield f"{place}/__init__.py"


def _kind(path: Path, tree: ast.Module, names: frozenset[str]) -> str:
    """Kind of the unit that a file declares, by its syntax tree."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="UNIT")], value=value)
                | ast.AnnAssign(target=ast.Name(id="UNIT"), value=value)
            ):
                called = value.func if isinstance(value, ast.Call) else None
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name not in KINDS or "run" not in names:
                    raise SatError(
                        f"key 'code': {path}, line {node.lineno}: a unit is declared as UNIT = {'(...), '.join(KINDS)}"
                        "(...), by these very names, and has a function 'run' at the file's top level."
                    )
                return KINDS[name]
    return ""


def _names(name: str, trees: Mapping[str, tuple[bytes, ast.Module]]) -> Iterator[str]:
    """Names that a file binds at its top level, also by `from x import *` of a file beside it."""
    for node in trees[name][1].body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name != "*":
                    yield alias.asname or alias.name
                elif node.module and (other := f"{node.module.replace('.', '/')}.py") in trees and other != name:
                    yield from (found for found in _names(other, trees) if not found.startswith("_"))
