"""Stages, their versions, and the lock that shows when a stage's code has changed.

Snakemake does not see changes in imported modules. So every stage has a version, on
which its jobs depend, and a digest of the code that it runs. When the digest changes, a
test fails until a developer says whether the stage's output still means the same
(``python -m sat stages same STAGE``) or not (``python -m sat stages bump STAGE``). The
latter reruns exactly the stage and what follows from it.

An attack or a measure is loaded by name, so it is not part of the code of the stages
that run it. Each has a version and a digest of its own, under a name such as
``attacks/pgd_linf``. A job that uses it depends on its version.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sat.errors import SatError
from sat.units import find

PACKAGE = Path(__file__).resolve().parents[1]
LOCK = PACKAGE / "stages.lock.json"

RUNNER = "analysis"
"""The command that runs all analyses. Each analysis is a stage, but this command is not."""
KINDS = ("attacks", "measures")
"""Kinds of units that have versions of their own."""


def pipeline() -> tuple[str, ...]:
    """List the stages that have a rule and a command of their own, sorted."""
    files = sorted((PACKAGE / "stages").glob("*.py"))
    commands = [path.stem for path in files if re.search(r"^def run\(", path.read_text(encoding="utf-8"), re.MULTILINE)]
    return tuple(name for name in commands if name != RUNNER)


def stages() -> tuple[str, ...]:
    """List all stages: those of the pipeline and then the analyses, each sorted."""
    return (*pipeline(), *find(PACKAGE / "analyses"))


def entries() -> tuple[str, ...]:
    """List the names of all entries of the lock: the stages, and then the attacks and measures."""
    return (*stages(), *(f"{kind}/{name}" for kind in KINDS for name in find(PACKAGE / kind)))


def read_lock() -> dict[str, dict[str, str | int]]:
    """Read the committed lock.

    Returns
    -------
    dict
        The ``version`` (int) and the ``code`` (hexadecimal digest) of each of `entries`.

    Raises
    ------
    SatError
        If it cannot be read, with the line. It is a developer's file, and a merge may leave its marks there.
    """
    repair = "'git checkout HEAD -- stages.lock.json' in its folder restores the committed file"
    try:
        text = LOCK.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
                raise SatError(
                    f"{LOCK}, line {number}: holds marks of a merge conflict; delete the marks, keep the entry with "
                    "the larger version of every two, and run 'sat stages'."
                )
        lock: dict[str, dict[str, str | int]] = json.loads(text)
    except json.JSONDecodeError as error:
        raise SatError(f"{LOCK}, line {error.lineno}: is not valid JSON ({error.msg}); {repair}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SatError(f"{LOCK}: cannot be read ({error}); {repair}.") from None
    if not isinstance(lock, dict):
        raise SatError(f"{LOCK}: holds no entries; {repair}.")
    for name, entry in lock.items():
        if not (isinstance(entry, dict) and type(entry.get("version")) is int and isinstance(entry.get("code"), str)):
            number = text[: text.index(json.dumps(name))].count("\n") + 1
            raise SatError(
                f"{LOCK}, line {number}: entry {name!r} needs a whole number 'version' and a text 'code'; {repair}."
            )
    return lock


def versions() -> dict[str, int]:
    """Read the version of every stage, attack and measure.

    Returns
    -------
    dict of str to int
        Versions by the names of `entries`. A unit that is not in the lock yet is missing.
    """
    return {name: int(entry["version"]) for name, entry in read_lock().items()}


def raised(versions: Mapping[str, int], kind: str, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Select the versions of units that become part of a step's params.

    Parameters
    ----------
    versions : mapping of str to int
        From `versions`.
    kind : {'attacks', 'measures'}
    names : iterable of str
        Names of the units that the step uses.

    Returns
    -------
    dict
        The key ``versions``, with the versions above 1 by name of the unit. The dict is empty if no version is above
        1. So a step's recipe changes when the version of one of its units is raised, and not before.
    """
    found = {name: version for name in names if (version := versions.get(f"{kind}/{name}", 1)) > 1}
    return {"versions": found} if found else {}


def drifted() -> list[str]:
    """Find the stages and units whose code differs from the lock.

    Returns
    -------
    list of str
        Names in the order of `entries`.
    """
    lock = read_lock()
    return [name for name in entries() if lock.get(name, {}).get("code") != code_digest(name)]


def settle(names: Iterable[str], bump: bool) -> None:
    """Write the present code of stages and units to the lock.

    Parameters
    ----------
    names : iterable of str
        Some of `entries`.
    bump : bool
        Whether the output's meaning has changed. If it has, the version is raised by one.
    """
    lock = read_lock()
    for name in names:
        version = int(lock.get(name, {"version": 0 if bump else 1})["version"]) + bump
        lock[name] = {"version": version, "code": code_digest(name)}
    LOCK.write_text(json.dumps({name: lock[name] for name in entries() if name in lock}, indent=2) + "\n")


def code_digest(name: str) -> str:
    """Compute the digest of the syntax trees of all modules that a stage or a unit imports, directly or indirectly.

    Comments, docstrings and layout do not count. What a module shows in a browser (page.html beside page.py) counts,
    byte for byte.

    Parameters
    ----------
    name : str
        One of `entries`.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for module, tree in sorted(_imported(_modules(name)).items()):
        digest.update(f"{module}\n{_canonical(tree)}\n".encode())
        for file in _page_files(module):
            digest.update(f"{module} {file.name}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _modules(name: str) -> list[str]:
    """Names of the modules from which the search for the code of a stage or a unit starts."""
    if "/" in name:
        return [f"sat.{name.replace('/', '.')}"]
    return [f"sat.stages.{name}"] if name in pipeline() else [f"sat.analyses.{name}", f"sat.stages.{RUNNER}"]


def _imported(entries: Iterable[str]) -> dict[str, ast.Module]:
    found: dict[str, ast.Module] = {}
    waiting = [*entries]
    while waiting:
        module = waiting.pop()
        file = _file(module)
        if module in found or file is None:
            continue
        found[module] = tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in _run(tree):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = _source(node, module, file)
                waiting += [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return found


def _source(node: ast.ImportFrom, module: str, file: Path) -> str:
    """Full name of the module that a module imports from. A relative name starts at the module's own package."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    parts = package[: len(package) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those that only a type checker reads. The other branch of such a condition does run."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _run(child)


def _page_files(module: str) -> list[Path]:
    """Parts of a web page that lie beside a module, and have its name."""
    file = _file(module)
    beside = [file.with_suffix(suffix) for suffix in (".css", ".html", ".js")] if file else []
    return [path for path in beside if path.is_file()]


def _file(module: str) -> Path | None:
    if module.split(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _canonical(node: object) -> str:
    """Write a syntax tree as text. ast.dump is not used, since versions of Python differ in what it leaves out."""
    if isinstance(node, list):
        # Bare strings are docstrings, also those of attributes.
        kept = [item for item in node if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
        return f"[{', '.join(map(_canonical, kept))}]"
    if isinstance(node, ast.AST):
        fields = [f"{name}={_canonical(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(fields)})"
    return repr(node)
