"""What an analysis declares, and what its function is given and returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sat.study.section import Section

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.study.plan import Plan
    from sat.study.study import Study


@dataclass(frozen=True)
class Shown:
    """Where a table or figure stands in the report."""

    section: str
    """Heading."""
    title: str
    """What it shows, in a few words."""


def _no_params(plan: Plan) -> Mapping[str, Any]:
    return {}


def _always(study: Study) -> bool:
    return True


def _no_fault(study: Study) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """An analysis: from artefacts of a study to tables and figures.

    Its module has this declaration as ``UNIT`` and a function
    ``run(given: Given, **params) -> Answer``, which opens no file.
    """

    inputs: Mapping[str, str]
    """Artefacts by the names that `run` knows them by: paths below results/<study>/, such as ``similarity/sat.csv``;
    with wildcards, such as ``clean/{model}.h5``, one of each model in use. A study that lacks one of them does not have
    the analysis."""
    optional: frozenset[str] = frozenset()
    """Names of inputs that the analysis can do without."""
    tables: Mapping[str, Shown | None] = field(default_factory=dict)
    """Tables that it makes, analysis/<name>.csv; None keeps one out of the report."""
    figures: Mapping[str, Shown] = field(default_factory=dict)
    """Figures that it draws, figures/<name>.svg."""
    settings: type[Section] | None = None
    """A class whose fields are keys of the config file, with types, defaults and docstrings."""
    files: tuple[str, ...] = ()
    """Keys of the config file that name another study's results or a matrix of the user's; see `Given.other`."""
    params: Callable[[Plan], Mapping[str, Any]] = _no_params
    """All else that changes the result, as JSON values; `run` gets them as keywords."""
    wanted: Callable[[Study], bool] = _always
    """Whether a study has the analysis."""
    fault: Callable[[Study], str] = _no_fault
    """What is wrong with the study's settings of it, with the key; empty where nothing is."""
    mem_mb: int = 2000
    """Memory that its job asks for."""
    minutes: int = 30
    """Time limit of its job."""

    @property
    def folder(self) -> str:
        """Where its log and benchmark lie, below logs/ and benchmarks/."""
        return "analysis" if self.tables else "report"

    @property
    def outputs(self) -> dict[str, Shown | None]:
        """Paths of all that it makes, below results/<study>/, with their places in the report."""
        tables = {f"analysis/{name}.csv": shown for name, shown in self.tables.items()}
        return tables | {f"figures/{name}.svg": shown for name, shown in self.figures.items()}


@dataclass(frozen=True)
class Answer:
    """What an analysis found."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """By the names that the declaration gives; the index is not written."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By the names that the declaration gives."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Counts, warnings and the like for the sidecars, as JSON values."""


def wildcards_of(pattern: str, path: str) -> tuple[str, ...] | None:
    """Read the wildcards' values off a path.

    Parameters
    ----------
    pattern : str
        A path below results/<study>/, with wildcards such as ``{model}``. The
        wildcard ``{variant}`` stands for the folder of a variant, or for nothing.
    path : str
        Path of an artefact.

    Returns
    -------
    tuple of str, or None
        One value a wildcard; None where the path is not of this pattern.
    """
    parts = re.split(r"({\w+})", pattern)
    kinds = {"{variant}": "((?:variants/[^/]+/)?)"}
    body = "".join(kinds.get(part, "([^/]+)") if part.startswith("{") else re.escape(part) for part in parts)
    found = re.fullmatch(rf"(?:.*/)?results/[^/]+/{body}", path)
    return found.groups() if found else None
