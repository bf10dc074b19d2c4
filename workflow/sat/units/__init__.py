"""Units: attacks, measures and analyses. Each is one module that declares itself.

A unit is a module (or package) of ``sat.attacks``, ``sat.measures`` or
``sat.analyses`` with two names: ``UNIT``, its declaration, and ``run``, its
function. The name of the module is the name of the unit. Units are found by listing
their folders, so no list of their names is kept anywhere. Config, schema, plan, rules,
report, status, verify and the contract tests follow from the declarations.

The Snakefile imports every declaration in every job. So a unit's module imports
nothing heavy (no torch, no pandas) at its top. ``run`` imports what it needs.

A code file of a study may declare a unit in the same way. `Units` are those of one
study: ours, and its own, whose declarations come from JSON (`sat.study.own_units`).
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sat.units.analysis import Analysis
    from sat.units.attack import Attack
    from sat.units.measure import Measure

PACKAGE = Path(__file__).resolve().parents[1]
SINGULAR = {"attacks": "attack", "measures": "measure", "analyses": "analysis"}
"""Singular of the name of each kind."""
_brought: dict[str, ModuleType] = {}
"""Units of the study's own that this job uses, by kind and name: `attacks/mine`."""


@dataclass(frozen=True)
class Units:
    """Declarations of the units of one study, by kind and name."""

    attacks: Mapping[str, Attack]
    measures: Mapping[str, Measure]
    analyses: Mapping[str, Analysis]
    code: Mapping[str, str] = field(default_factory=dict)
    """Digest of the code file of each unit that is the study's own, by kind and name: `attacks/mine`."""
    written: Mapping[str, Any] = field(default_factory=dict)
    """Declarations of the same units as JSON."""


@cache
def ours() -> Units:
    """Import the declarations of the project's own units."""
    return Units(declarations("attacks"), declarations("measures"), declarations("analyses"))


def bring(code: Mapping[str, str]) -> None:
    """Import units of a study's own, so that `module` finds them. Only jobs do this.

    Parameters
    ----------
    code : mapping of str to str
        Digest of each one's code file, by kind and name, such as `attacks/mine`.

    Raises
    ------
    SatError
        If the user does not consent, or a file cannot be imported.
    """
    from sat.study.copies import import_copy

    for entry, digest in code.items():
        kind, name = entry.split("/")
        _brought[entry] = import_copy(name, digest, f"{SINGULAR[kind]} {name!r}")


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


def check_known(kind: str, name: str, known: Iterable[str] | None = None) -> str:
    """Check that a unit of this name exists, without importing it.

    Parameters
    ----------
    kind : {'attacks', 'measures', 'analyses'}
    name : str
    known : iterable of str, optional
        Names that there are; by default ours, and those that the job has brought.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ValueError
        If there is no such unit. The message names similar units, and all units.
    """
    brought = (entry.partition("/")[2] for entry in _brought if entry.startswith(f"{kind}/"))
    known = (*names(kind), *brought) if known is None else tuple(known)
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
        One of `names`, or of a unit that the job has brought.
    """
    return _brought.get(f"{kind}/{name}") or importlib.import_module(f"sat.{kind}.{name}")


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
