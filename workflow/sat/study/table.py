"""Model tables: CSV files with a row a model."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sat.errors import SatError
from sat.study.config import Training, check_name, explain

REQUIRED = ("model", "architecture", "weights", "family")
TRAINING = "training."
NUMBERS = ("input_size", "n_parameters", "gmacs")


class Model(BaseModel):
    """A row of a model table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """Unique name."""
    architecture: str
    """Name of a timm architecture, with its tag where weights come from the hub."""
    weights: str
    """`train`, `hub`, or the path of a checkpoint, relative to the table."""
    family: str
    """What the model is expected to be like; written before anything is measured."""
    cohort: int = Field(1, ge=1)
    """Models added together."""
    use: bool = True
    """`no` retires the model: it is left out of every result, and its files stay."""
    input_size: int | None = Field(None, ge=1)
    """Side in pixels of the model's own input; the canvas for trained models where empty."""
    n_parameters: int | None = Field(None, ge=1)
    """Parameters, for memory estimates."""
    gmacs: float | None = Field(None, gt=0)
    """Billion multiply-accumulates an image, for run-time estimates."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of the study's `training` that differ for this model: columns named `training.<key>`."""
    groups: dict[str, str] = Field(default_factory=dict)
    """All other columns of the table: any grouping that a user wants to compare."""


def read_tables(files: Iterable[Path]) -> tuple[Model, ...]:
    """Read model tables into one tuple of rows.

    Parameters
    ----------
    files : iterable of Path

    Returns
    -------
    tuple of Model
        In the order of the files; nothing downstream depends on it.

    Raises
    ------
    SatError
        With file, row and column, if anything is wrong.
    """
    rows: list[Model] = []
    seen: dict[str, str] = {}
    for file in files:
        for place, row in _read_table(file):
            # Names that differ by case alone would share a file on some systems.
            earlier = seen.setdefault(row.model.casefold(), place)
            if earlier != place:
                raise SatError(
                    f"{place}, column 'model': {row.model!r} stands already in {earlier}; "
                    "give each model a name of its own."
                )
            rows.append(row)
    return tuple(rows)


def _read_table(file: Path) -> Iterable[tuple[str, Model]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SatError(
            f"{file}: the model table cannot be read ({reason}); the study's key 'models' names it."
        ) from None
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise SatError(
            f"{file}, row 1: missing column(s) {', '.join(missing)}; a model table needs {', '.join(REQUIRED)}."
        )
    twice = {name for name in header if header.count(name) > 1 or not name}
    if twice:
        raise SatError(
            f"{file}, row 1: column names must differ and not be empty; these do not: "
            f"{', '.join(map(repr, sorted(twice)))}."
        )
    for number, cells in lines:
        if not any(cells):
            continue
        place = f"{file}, row {number}"
        if len(cells) != len(header):
            raise SatError(f"{place}: {len(cells)} cells under {len(header)} columns; quote cells that hold a comma.")
        yield place, _row(dict(zip(header, cells, strict=True)), place)


def _row(cells: dict[str, str], place: str) -> Model:
    for name in REQUIRED:
        if not cells[name]:
            raise SatError(f"{place}, column '{name}': is empty; every model needs one.")
    try:
        check_name(cells["model"])
    except ValueError as error:
        raise SatError(f"{place}, column 'model': {error}.") from None
    use = cells.get("use", "").lower() or "yes"
    if use not in ("yes", "no"):
        raise SatError(f"{place}, column 'use': {cells['use']!r} is neither yes nor no.")
    numbers: dict[str, Any] = {}
    for name in ("cohort", *NUMBERS):
        if cells.get(name):
            numbers[name] = _number(cells[name], float if name == "gmacs" else int)
            if numbers[name] is None:
                kind = "number above 0" if name == "gmacs" else "whole number from 1 on"
                raise SatError(f"{place}, column '{name}': {cells[name]!r} is not a {kind}.")
    training = {name: yaml.safe_load(text) for name, text in cells.items() if name.startswith(TRAINING) and text}
    try:
        Training.model_validate({name.removeprefix(TRAINING): value for name, value in training.items()})
    except (ValidationError, yaml.YAMLError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else f"{error}."
        raise SatError(f"{place}, columns '{TRAINING}...': {reason}") from None
    known = {*REQUIRED, *NUMBERS, "cohort", "use"}
    required: dict[str, Any] = {name: cells[name] for name in REQUIRED}
    return Model(
        **required,
        **numbers,
        use=use == "yes",
        training={name.removeprefix(TRAINING): value for name, value in training.items()},
        groups={name: cell for name, cell in cells.items() if name not in known and not name.startswith(TRAINING)},
    )


def _number(text: str, kind: type[int] | type[float]) -> float | None:
    try:
        value = kind(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
