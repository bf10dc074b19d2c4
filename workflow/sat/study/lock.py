"""Stages, their versions, and the lock that notices when a stage's code has changed.

Snakemake sees no change in an imported module. So every stage has a version,
which is part of what its jobs depend on, and a digest of the code that it
runs. When the digest drifts, a test fails until somebody says whether the
stage's output means the same (``python -m sat stages same STAGE``) or not
(``python -m sat stages bump STAGE``), which reruns exactly the stage and what
follows from it.

An attack or a measure is loaded by name, so it is not part of the code of the
stages that run it. Each has a version and a digest of its own, under a name
such as ``attacks/pgd_linf``. Its version is part of what a job depends on where
the job uses it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sat.units import find

PACKAGE = Path(__file__).resolve().parents[1]
LOCK = PACKAGE / "stages.lock.json"

RUNNER = "analysis"
"""The command that runs all analyses; each of these is a stage, and the command is none."""
KINDS = ("attacks", "measures")
"""Kinds of units that have versions of their own."""


def pipeline() -> tuple[str, ...]:
    """Stages with a rule and a command of their own, sorted."""
    files = sorted((PACKAGE / "stages").glob("*.py"))
    commands = [path.stem for path in files if re.search(r"^def run\(", path.read_text(encoding="utf-8"), re.MULTILINE)]
    return tuple(name for name in commands if name != RUNNER)


def stages() -> tuple[str, ...]:
    """All stages: those of the pipeline, then the analyses, each sorted."""
    return (*pipeline(), *find(PACKAGE / "analyses"))


def entries() -> tuple[str, ...]:
    """Names of all that the lock holds: the stages, then the attacks and measures."""
    return (*stages(), *(f"{kind}/{name}" for kind in KINDS for name in find(PACKAGE / kind)))


def read_lock() -> dict[str, dict[str, str | int]]:
    """Read the committed lock.

    Returns
    -------
    dict
        For each of `entries` its ``version`` (int) and ``code`` (hexadecimal digest).
    """
    lock: dict[str, dict[str, str | int]] = json.loads(LOCK.read_text())
    return lock


def versions() -> dict[str, int]:
    """Version of every stage, and of every attack and measure.

    Returns
    -------
    dict of str to int
        By the names of `entries`. A unit that nobody has settled yet is missing.
    """
    return {name: int(entry["version"]) for name, entry in read_lock().items()}


def raised(versions: Mapping[str, int], kind: str, names: Iterable[str]) -> dict[str, dict[str, int]]:
    """Versions of units, as a step's params hold them.

    Parameters
    ----------
    versions : mapping of str to int
        From `versions`.
    kind : {'attacks', 'measures'}
    names : iterable of str
        Of the units that the step uses.

    Returns
    -------
    dict
        The key ``versions``, with those units whose version is above 1 by name; empty where there is none. So a
        step's recipe changes when the version of one of its units is raised, and not before.
    """
    found = {name: version for name in names if (version := versions.get(f"{kind}/{name}", 1)) > 1}
    return {"versions": found} if found else {}


def drifted() -> list[str]:
    """Stages and units whose code is not what the lock says.

    Returns
    -------
    list of str
        In the order of `entries`.
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
        Whether the output's meaning has changed: raises the version by one.
    """
    lock = read_lock()
    for name in names:
        version = int(lock.get(name, {"version": 0 if bump else 1})["version"]) + bump
        lock[name] = {"version": version, "code": code_digest(name)}
    LOCK.write_text(json.dumps({name: lock[name] for name in entries() if name in lock}, indent=2) + "\n")


def code_digest(name: str) -> str:
    """Digest of the syntax trees of the modules that a stage or a unit imports, transitively.

    Comments, docstrings and layout do not count.

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
    return digest.hexdigest()[:16]


def _modules(name: str) -> list[str]:
    """Names of the modules where the code of a stage, or of a unit, begins."""
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
    """Full name of the module that a module imports from; a relative one starts at the module's own package."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    parts = package[: len(package) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads: the other branch of such a condition does run."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _run(child)


def _file(module: str) -> Path | None:
    if module.split(".")[0] != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _canonical(node: object) -> str:
    """Text of a syntax tree; ast.dump differs between versions of Python, in what it leaves out."""
    if isinstance(node, list):
        # Bare strings are docstrings, of attributes too.
        kept = [item for item in node if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
        return f"[{', '.join(map(_canonical, kept))}]"
    if isinstance(node, ast.AST):
        fields = [f"{name}={_canonical(value)}" for name, value in ast.iter_fields(node) if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(fields)})"
    return repr(node)
