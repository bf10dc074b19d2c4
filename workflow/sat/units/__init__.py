"""Units: attacks, measures and analyses, each one module that declares itself.

A unit is a module (or package) of ``sat.attacks``, ``sat.measures`` or
``sat.analyses`` with two names: ``UNIT``, its declaration, and ``run``, its
function. The module's name is the unit's. Units are found by looking, so no
list of their names is kept anywhere: config, schema, plan, rules, report,
status, verify and the contract tests follow from the declarations.

The Snakefile imports every declaration in every job. So a unit's module imports
nothing heavy at its top (no torch, no pandas); ``run`` does.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of the units of a kind, sorted; nothing is imported.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}

    Returns
    -------
    tuple of str
    """
    found = [*(PACKAGE / kind).glob("*.py"), *(PACKAGE / kind).glob("*/__init__.py")]
    units = [path for path in found if re.search(r"^UNIT\b", path.read_text(encoding="utf-8"), re.MULTILINE)]
    return tuple(sorted(path.parent.name if path.name == "__init__.py" else path.stem for path in units))


def module(kind: str, name: str) -> ModuleType:
    """Module of a unit: its declaration `UNIT`, and its function `run`.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}
    name : str
        One of `names`.
    """
    return importlib.import_module(f"sat.{kind}.{name}")


@cache
def declarations(kind: str) -> Mapping[str, Any]:
    """Declarations of the units of a kind, by name, sorted.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}

    Returns
    -------
    mapping of str to Attack, Measure or Analysis
    """
    return MappingProxyType({name: module(kind, name).UNIT for name in names(kind)})
