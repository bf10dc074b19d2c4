"""Units: attacks, measures and analyses. Each is one module that declares itself.

A unit is a module (or package) of ``sat.attacks``, ``sat.measures`` or
``sat.analyses`` with two names: ``UNIT``, its declaration, and ``run``, its
function. The name of the module is the name of the unit. Units are found by listing
their folders, so no list of their names is kept anywhere. Config, schema, plan, rules,
report, status, verify and the contract tests follow from the declarations.

The Snakefile imports every declaration in every job. So a unit's module imports
nothing heavy (no torch, no pandas) at its top. ``run`` imports what it needs.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
SINGULAR = {"attacks": "attack", "measures": "measure", "analyses": "analysis"}
"""Singular of the name of each kind."""


@cache
def names(kind: str) -> tuple[str, ...]:
    """List the names of the units of a kind, sorted, without importing them.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}

    Returns
    -------
    tuple of str
    """
    return find(PACKAGE / kind)


def find(folder: Path) -> tuple[str, ...]:
    """List the names of the units in a folder, sorted.

    Parameters
    ----------
    folder : Path
        The folder of a kind, such as that of ``sat.attacks``.

    Returns
    -------
    tuple of str
    """
    files = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    units = [path for path in files if re.search(r"^UNIT\b", path.read_text(encoding="utf-8"), re.MULTILINE)]
    return tuple(sorted(path.parent.name if path.name == "__init__.py" else path.stem for path in units))


def check_known(kind: str, name: str) -> str:
    """Check that a unit of this name exists, without importing it.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}
    name : str

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        If there is no such unit. The message names similar units, and all units.
    """
    known = names(kind)
    if name not in known:
        near = get_close_matches(name, known, 3)
        advice = f"did you mean {' or '.join(near)}? There are" if near else "there are"
        raise ValueError(f"unknown {SINGULAR[kind]} {name!r}; {advice} {', '.join(known)}")
    return name


def module(kind: str, name: str) -> ModuleType:
    """Import the module of a unit, with its declaration `UNIT` and its function `run`.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}
    name : str
        One of `names`.
    """
    return importlib.import_module(f"sat.{kind}.{name}")


@cache
def declarations(kind: str) -> Mapping[str, Any]:
    """Import the declarations of all units of a kind, by name, sorted.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}

    Returns
    -------
    mapping of str to Attack, Measure or Analysis
    """
    return MappingProxyType({name: module(kind, name).UNIT for name in names(kind)})
