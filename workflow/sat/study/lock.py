"""Stages, their versions, and the lock that notices when a stage's code has changed.

Snakemake sees no change in an imported module. So every stage has a version,
which is part of what its jobs depend on, and a digest of the code that it
runs. When the digest drifts, a test fails until somebody says whether the
stage's output means the same (``python -m sat stages same STAGE``) or not
(``python -m sat stages bump STAGE``), which reruns exactly the stage and what
follows from it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sat import units

PACKAGE = Path(__file__).resolve().parents[1]
LOCK = PACKAGE / "stages.lock.json"

RUNNER = "analysis"
"""The command that runs all analyses; each of these is a stage, and the command is none."""
PIPELINE = tuple(
    path.stem
    for path in sorted((PACKAGE / "stages").glob("*.py"))
    if path.stem != RUNNER and re.search(r"^def run\(", path.read_text(encoding="utf-8"), re.MULTILINE)
)
"""Stages with a rule and a command of their own."""
STAGES = (*PIPELINE, *units.names("analyses"))


def modules_of(stage: str) -> list[str]:
    """Names of the modules where a stage's code begins."""
    return [f"sat.stages.{stage}"] if stage in PIPELINE else [f"sat.analyses.{stage}", f"sat.stages.{RUNNER}"]


def read_lock() -> dict[str, dict[str, str | int]]:
    """Read the committed lock.

    Returns
    -------
    dict
        For each stage its ``version`` (int) and ``code`` (hexadecimal digest).
    """
    lock: dict[str, dict[str, str | int]] = json.loads(LOCK.read_text())
    return lock


def stage_versions() -> dict[str, int]:
    """Version of every stage.

    Returns
    -------
    dict of str to int
    """
    return {stage: int(entry["version"]) for stage, entry in read_lock().items()}


def drifted() -> list[str]:
    """Stages whose code is not what the lock says.

    Returns
    -------
    list of str
        Sorted, the pipeline's first.
    """
    lock = read_lock()
    return [stage for stage in STAGES if lock.get(stage, {}).get("code") != code_digest(stage)]


def settle(stages: Iterable[str], bump: bool) -> None:
    """Write the present code of stages to the lock.

    Parameters
    ----------
    stages : iterable of str
    bump : bool
        Whether the output's meaning has changed: raises the version by one.
    """
    lock = read_lock()
    for stage in stages:
        version = int(lock.get(stage, {"version": 0 if bump else 1})["version"]) + bump
        lock[stage] = {"version": version, "code": code_digest(stage)}
    LOCK.write_text(json.dumps({stage: lock[stage] for stage in STAGES if stage in lock}, indent=2) + "\n")


def code_digest(stage: str) -> str:
    """Digest of the syntax trees of the modules that a stage imports, transitively.

    Comments, docstrings and layout do not count.

    Parameters
    ----------
    stage : str

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for module, tree in sorted(_imported(modules_of(stage)).items()):
        digest.update(f"{module}\n{_canonical(tree)}\n".encode())
    return digest.hexdigest()[:16]


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
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
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
