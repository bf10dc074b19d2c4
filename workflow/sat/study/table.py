"""Model tables: CSV files with a row a model."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sat.errors import SatError
from sat.study.components import COMPONENTS, check_component
from sat.study.section import check_name, explain
from sat.study.training import Training

REQUIRED = ("model", "architecture", "weights", "family")
TRAINING = "training."
RELEASED = "released."
NUMBERS = {"cohort": int, "input_size": int, "n_parameters": int, "gmacs": float, "published_top1": float}
CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin")
"""Files of weights: safetensors, or what torch.load reads with weights_only."""


class Model(BaseModel):
    """A row of a model table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """Unique name."""
    architecture: str
    """Name of a timm architecture, with its tag where weights come from the hub."""
    weights: str
    """`train`; `hub`, or `hub@REVISION` to pin a commit of the repository; or the path of a checkpoint, relative to
    the table."""
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
    published_top1: float | None = Field(None, gt=0, le=100)
    """Top-1 accuracy that the weights' authors state at the model's own input size, in per cent."""
    mean: tuple[float, ...] | None = None
    """Of each channel, in units of [0, 1], where it differs from that of the architecture."""
    std: tuple[float, ...] | None = None
    """Of each channel, in units of [0, 1], where it differs from that of the architecture."""
    components: dict[str, str] = Field(default_factory=dict)
    """Columns of the paper's components (see sat.study.components); input_size is one of them."""
    released: dict[str, str] = Field(default_factory=dict)
    """Components that the paper's authors released with another value: columns named `released.<component>`."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of the study's `training` that differ for this model: columns named `training.<key>`."""
    groups: dict[str, str] = Field(default_factory=dict)
    """All other columns of the table: any grouping that a user wants to compare."""

    @property
    def source(self) -> str:
        """Where the weights come from, which is the name of the rule that makes them: train, hub or checkpoint."""
        kind, at, _ = self.weights.partition("@")
        return kind if self.weights == "train" or (kind == "hub" and (at or self.weights == kind)) else "checkpoint"

    @property
    def revision(self) -> str | None:
        """Commit of the hub's repository; the newest where it is not pinned."""
        return self.weights.partition("@")[2] or None if self.source == "hub" else None

    def component_values(self, which: str) -> dict[str, str]:
        """Values of the components.

        Parameters
        ----------
        which : {'inferred', 'released'}
            `released` takes the released values where they differ.
        """
        size = {"input_size": str(self.input_size)} if self.input_size else {}
        return {**self.components, **size, **(self.released if which == "released" else {})}


def read_tables(files: Iterable[Path]) -> tuple[tuple[Model, ...], dict[str, Path]]:
    """Read model tables into one tuple of rows.

    Parameters
    ----------
    files : iterable of Path

    Returns
    -------
    models : tuple of Model
        In the order of the files; nothing downstream depends on it.
    checkpoints : dict of str to Path
        File of every model whose weights are a local checkpoint.

    Raises
    ------
    SatError
        With file, row and column, if anything is wrong.
    """
    rows: list[Model] = []
    checkpoints: dict[str, Path] = {}
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
            if row.source == "checkpoint":
                checkpoints[row.model] = file.parent / Path(row.weights).expanduser()
                if row.use and not checkpoints[row.model].is_file():
                    raise SatError(
                        f"{place}, column 'weights': there is no file {checkpoints[row.model]}; a checkpoint's path is "
                        "relative to the table."
                    )
    return tuple(rows), checkpoints


def read_matrix_models(matrix: Path, components: Path | None) -> tuple[Model, ...]:
    """Rows for the models of a matrix that is there already.

    Parameters
    ----------
    matrix : Path
        CSV file; the header names the models.
    components : Path, optional
        CSV file with a row a model: its name first, then any columns. The
        first of them serves as the family.

    Returns
    -------
    tuple of Model
        In the order of the matrix; weights are `matrix`, columns are groups.

    Raises
    ------
    SatError
        If a file cannot be read, or a model of the matrix has no row.
    """
    names = [name for name in _read_csv(matrix)[0][1][1:] if name]
    rows: dict[str, dict[str, str]] = {name: {} for name in names}
    if components:
        (_, header), *lines = _read_csv(components)
        rows = {cells[0]: dict(zip(header[1:], cells[1:], strict=False)) for _, cells in lines if any(cells)}
        if missing := [name for name in names if name not in rows]:
            raise SatError(
                f"{components}: has no row for {len(missing)} of the {len(names)} models of {matrix}: "
                f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}. The first column holds their names."
            )
    cells: list[dict[str, Any]] = [
        {
            "model": name,
            "architecture": name,
            "weights": "matrix",
            "family": next(iter(rows[name].values()), "") or "unknown",
            "groups": rows[name],
        }
        for name in dict.fromkeys(names)
    ]
    return tuple(Model(**fields) for fields in cells)


def _read_table(file: Path) -> Iterable[tuple[str, Model]]:
    (_, header), *lines = _read_csv(file)
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
    for column in header:
        if column.startswith(RELEASED) and column.removeprefix(RELEASED) not in COMPONENTS:
            raise SatError(f"{file}, row 1: column '{column}': no such component; they are {', '.join(COMPONENTS)}.")
    for number, cells in lines:
        if not any(cells):
            continue
        place = f"{file}, row {number}"
        if len(cells) != len(header):
            raise SatError(f"{place}: {len(cells)} cells under {len(header)} columns; quote cells that hold a comma.")
        yield place, _row(dict(zip(header, cells, strict=True)), place)


def _read_csv(file: Path) -> list[tuple[int, list[str]]]:
    """Lines of a CSV file with their numbers, the header first, cells stripped."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SatError(f"{file}: the table cannot be read ({reason}).") from None
    return lines or [(1, [])]


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
    _check_weights(cells, place)
    numbers: dict[str, Any] = {}
    for name, kind in NUMBERS.items():
        if cells.get(name):
            numbers[name] = _number(cells[name], kind)
            if numbers[name] is None or (name == "published_top1" and numbers[name] > 100):
                right = "whole number from 1 on" if kind is int else "number above 0"
                right = "percentage" if name == "published_top1" else right
                raise SatError(f"{place}, column '{name}': {cells[name]!r} is not a {right}.")
    training = {name: yaml.safe_load(text) for name, text in cells.items() if name.startswith(TRAINING) and text}
    try:
        Training.model_validate({name.removeprefix(TRAINING): value for name, value in training.items()})
    except (ValidationError, yaml.YAMLError) as error:
        reason = explain(error) if isinstance(error, ValidationError) else f"{error}."
        raise SatError(f"{place}, columns '{TRAINING}...': {reason}") from None
    components: dict[str, str] = {}
    released: dict[str, str] = {}
    for column, cell in cells.items():
        name = column.removeprefix(RELEASED)
        if name in COMPONENTS and column not in NUMBERS and cell:
            try:
                check_component(name, cell)
            except ValueError as error:
                raise SatError(f"{place}, column '{column}': {error}.") from None
            (components if name == column else released)[name] = cell
    known = {*REQUIRED, *NUMBERS, *COMPONENTS, "use", "mean", "std"}
    required: dict[str, Any] = {name: cells[name] for name in REQUIRED}
    return Model(
        **required,
        **numbers,
        use=use == "yes",
        mean=_channels(cells, "mean", place),
        std=_channels(cells, "std", place),
        components=components,
        released=released,
        training={name.removeprefix(TRAINING): value for name, value in training.items()},
        groups={
            name: cell
            for name, cell in cells.items()
            if name not in known and not name.startswith((TRAINING, RELEASED))
        },
    )


def _check_weights(cells: dict[str, str], place: str) -> None:
    weights, architecture = cells["weights"], cells["architecture"]
    if weights == "train" or weights.endswith(CHECKPOINTS):
        return
    if weights != "hub" and not (weights.startswith("hub@") and len(weights) > len("hub@")):
        raise SatError(
            f"{place}, column 'weights': {weights!r} is neither train, nor hub (or hub@REVISION), nor the path of a "
            f"checkpoint ({', '.join(CHECKPOINTS)})."
        )
    if "." not in architecture:
        raise SatError(
            f"{place}, column 'architecture': {architecture!r} has no tag. With weights from the hub a bare name means "
            f"other weights in another version of timm; 'python -m sat describe {architecture}' prints the name with "
            "its tag."
        )


def _channels(cells: dict[str, str], column: str, place: str) -> tuple[float, ...] | None:
    """Mean or standard deviation: one number, or three with spaces between."""
    words = cells.get(column, "").split()
    if not words:
        return None
    try:
        values = tuple(float(word) for word in words)
        # A number of grey levels would blind the model without an error.
        if (
            len(values) not in (1, 3)
            or not all(0 <= value <= 1 for value in values)
            or (column == "std" and 0 in values)
        ):
            raise ValueError
    except ValueError:
        raise SatError(
            f"{place}, column '{column}': {cells[column]!r} is not one number or three, in units of [0, 1], such as "
            "0.485 0.456 0.406."
        ) from None
    return values * 3 if len(values) == 1 else values


def _number(text: str, kind: type[int] | type[float]) -> float | None:
    try:
        value = kind(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
