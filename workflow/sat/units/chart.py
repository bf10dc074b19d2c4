"""How an analysis's tables are drawn on report/atlas.html, where readers point at, select and filter what they see.

A chart is one view or several, between which the reader chooses. A view is drawn from one table, or from the pairs that
the page holds anyway. It is a declaration of texts and numbers; `sat.report.atlas.charts` says what draws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Column:
    """A column of numbers, with what belongs to it."""

    name: str
    title: str = ""
    """What an axis or a legend calls it; its name if empty."""
    low: str = ""
    """Columns with the ends of its interval."""
    high: str = ""
    p: str = ""
    """Column with its p-value: where that is large, or missing, the mark is hollow."""
    share: bool = False
    """Whether it is a share, which is written in per cent."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What all views share."""

    title: str = ""
    """What the reader chooses it by, where there are several."""
    table: str = ""
    """Table that it is drawn from; that of the chart's own name if empty."""
    by: tuple[str, ...] = ()
    """Columns of which one value is drawn at a time; the reader chooses it."""
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of columns; all other rows are left out."""


@dataclass(frozen=True, kw_only=True)
class Rows(View):
    """A row for each row of the table, with a dot and an interval for each number. It follows the table's order."""

    label: tuple[str, ...]
    values: tuple[Column, ...]
    axis: str = ""
    """What the axis is called, where there are several numbers; that of the number if empty."""
    marks: tuple[float, ...] = ()
    """Numbers that the axis reaches, with a dashed line at each."""


@dataclass(frozen=True, kw_only=True)
class Points(View):
    """A point for each row of the table."""

    name: tuple[str, ...]
    """Columns with the models that a point stands for."""
    x: Column
    y: Column
    colour: str = ""
    """Column of the table, or of the page's models, by which points are coloured."""
    diagonal: bool = False
    """Whether a line shows where both numbers are the same."""
    same_scale: bool = False
    """Whether both axes have the same scale, as on a map."""


@dataclass(frozen=True, kw_only=True)
class Pairs(View):
    """A point for each pair of models, from what the page's matrix shows; the reader may choose other axes."""

    x: str
    y: str


@dataclass(frozen=True, kw_only=True)
class Lines(View):
    """A line for each value of a column, with its band."""

    x: Column
    values: tuple[Column, ...]
    group: str = ""
    """Column that has one value for each line."""
    log: bool = False
    """Whether the axis below is one of logarithms."""


@dataclass(frozen=True, kw_only=True)
class Heat(View):
    """A heat map: of a measure that the page's matrix shows, or of a table with a row for each cell."""

    measure: str = ""
    row: str = ""
    column: str = ""
    value: Column = Column("")
    symmetric: bool = False
    """Whether a row of the table stands for two cells."""


@dataclass(frozen=True, kw_only=True)
class Tree(View):
    """The dendrogram of SAT."""


Chart: TypeAlias = tuple[View, ...]


def as_json(chart: Chart) -> list[dict[str, Any]]:
    """Write a chart as JSON values: a list of views, each with its `kind`, without what is empty."""
    return [{"kind": type(view).__name__.lower(), **_filled(asdict(view))} for view in chart]


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        parts = {key: _filled(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in ("", False, {}, [])}
    return [_filled(part) for part in value] if isinstance(value, tuple | list) else value
