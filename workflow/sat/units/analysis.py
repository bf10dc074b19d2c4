"""The declaration of an analysis, and what its function gets and returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sat.study.section import Section

if TYPE_CHECKING:
    import pandas as pd

    from sat.study.plan import Plan
    from sat.study.study import Study


SIMILARITIES = {"sat": "SAT", "affinity": "affinity"}
"""What the column `of` of a table may hold, and its name in words."""


@dataclass(frozen=True)
class Shown:
    """Where a table or figure stands in the report."""

    section: str
    """Heading."""
    title: str
    """What the table or figure shows, in a few words."""


def _always(study: Study) -> bool:
    return True


def _no_fault(study: Study) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """Declaration of an analysis, which makes tables and figures from artefacts of a study.

    Its module has this declaration as ``UNIT`` and a function ``run(given: Given, **params) -> Answer``, which opens no
    file. If it declares figures, it also has ``draw(given: Given, answer: Answer, **params) -> dict[str, Figure]``. It
    gets the tables as they were written, so ``sat figure`` can draw anew without computing anything.
    """

    inputs: Mapping[str, str]
    """Paths of artefacts below results/<study>/, such as ``similarity/sat.csv``, by the names that `run` uses. A path
    with wildcards, such as ``clean/{model}.h5``, stands for one artefact of each model in use. A study that lacks an
    input does not have the analysis."""
    optional: frozenset[str] = frozenset()
    """Names of inputs that the analysis can do without."""
    tables: Mapping[str, Shown | None] = field(default_factory=dict)
    """Tables analysis/<name>.csv that it makes. None keeps a table out of the report."""
    figures: Mapping[str, Shown] = field(default_factory=dict)
    """Figures figures/<name>.svg that it draws."""
    drawn_from: frozenset[str] = frozenset()
    """Names of the inputs that `draw` uses beside the answer."""
    settings: type[Section] | None = None
    """A class whose fields are keys of the config file, with types, defaults and docstrings."""
    files: tuple[str, ...] = ()
    """Keys of the config file that name another study's results or a matrix of the user; see `Given.other`."""
    params: Callable[[Plan], Mapping[str, Any]] | tuple[str, ...] = ()
    """Everything else that changes the result; `run` gets it as keywords. Names of keys of the config file and of
    `sat.study.plan.FACTS`, beside the keys of `settings`, which it always gets then; or a function that gives JSON
    values."""
    wanted: Callable[[Study], bool] = _always
    """Function that says whether a study wants the analysis."""
    fault: Callable[[Study], str] = _no_fault
    """Function that says what is wrong with the study's settings for it, with the key; empty if nothing is wrong."""
    caption: str = ""
    """Text below its tables and figures in the report. Ours have a file in workflow/report instead."""
    estimates: bool = False
    """Whether it may use SAT and affinity that are estimated. If not, a study with landmarks does not have it."""
    mem_mb: int = 2000
    """Memory that its job asks for, in MB."""
    minutes: int = 30
    """Time limit of its job, in minutes."""

    @property
    def folder(self) -> str:
        """Folder of its log and benchmark, below logs/ and benchmarks/."""
        return "analysis" if self.tables else "report"

    @property
    def outputs(self) -> dict[str, Shown | None]:
        """Paths of all its files below results/<study>/, with their places in the report."""
        tables = {f"analysis/{name}.csv": shown for name, shown in self.tables.items()}
        return tables | {f"figures/{name}.svg": shown for name, shown in self.figures.items()}


@dataclass(frozen=True)
class Answer:
    """The results of an analysis."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Tables by the names in the declaration; the index is not written."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Counts, warnings and the like for the sidecars, as JSON values."""


def wildcards_of(pattern: str, path: str) -> tuple[str, ...] | None:
    """Find the values of the wildcards in a path.

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
        One value per wildcard; None if the path does not match the pattern.
    """
    parts = re.split(r"({\w+})", pattern)
    kinds = {"{variant}": "((?:variants/[^/]+/)?)"}
    body = "".join(kinds.get(part, "([^/]+)") if part.startswith("{") else re.escape(part) for part in parts)
    found = re.fullmatch(rf"(?:.*/)?results/[^/]+/{body}", path)
    return found.groups() if found else None
