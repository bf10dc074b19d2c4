"""Model tables: CSV files with a row a model.

A column is declared once, as a field of `Model`: its type and bounds, its docstring, and how the text of a cell is
read. Parsing, the known columns, the messages and docs/columns.md follow from that.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from sat.errors import Faults, SatError
from sat.study.code import CodeFile
from sat.study.components import COMPONENTS, check_component
from sat.study.names import check_architecture
from sat.study.reading import read_csv
from sat.study.section import check_name, check_printed_name, reason
from sat.study.spelling import closest, did_you_mean
from sat.study.training import Training

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin", ".th", ".ckpt", ".tar", ".t7")
"""Files of weights: safetensors, or what torch.save writes. Nothing in them is executed."""
EMA = "#ema"
"""What follows the name of a checkpoint whose averaged weights are meant."""
OF_REFERENCE = ("released_name", "same_as", "checkpoint")
"""Columns without a field of their own that the comparison with a reference reads."""
NOTHING = "none"
"""What the column `retired` holds of a model of which there was nothing to keep."""
CLOSE = 0.8
"""Likeness to a known column, from which on an unknown one is taken for a slip."""


@dataclass(frozen=True)
class Cell:
    """How the text of a cell becomes the value of a field."""

    read: Callable[[str], Any] = str
    """What makes a value of a text that is not empty; a ValueError says what is wrong. Type and bounds of the field
    are checked afterwards."""
    right: str = ""
    """What a cell should hold, for the message about one that cannot be read or is out of bounds. Without it, the
    ValueError speaks for itself."""


@dataclass(frozen=True)
class Cells:
    """How several columns become one field, which holds their cells by the columns' names."""

    names: Collection[str]
    read: Callable[[str, str], Any]
    """What makes a value of a column's name and a text that is not empty; a ValueError says what is wrong."""
    kind: str
    """What one of them is, for messages."""
    prefix: str = ""
    """What stands before the names in the header."""
    listed: bool = True
    """Whether the documentation has a line for each."""

    def of(self, column: str) -> bool:
        """Whether a column, which is not known by name, belongs here: without names, every one with the prefix does."""
        return bool(self.prefix) and not self.names and column.startswith(self.prefix) and column != self.prefix


def _name(text: str) -> str:
    return check_name(text)


def _weights(text: str) -> str:
    file = text.removesuffix(EMA)
    if text in ("train", "hub", "code") or file.endswith(CHECKPOINTS) or (text.startswith("hub@") and text != "hub@"):
        return text
    raise ValueError(
        f"{text!r} is neither train, nor hub (or hub@REVISION), nor code, nor the path of a checkpoint "
        f"({', '.join(CHECKPOINTS)})"
    )


def _use(text: str) -> bool:
    if text.lower() not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text.lower() == "yes"


def _retired(text: str) -> tuple[str, ...]:
    """Recipes of adversarial sets, with spaces between, or a word for none."""
    recipes = tuple(text.split())
    if recipes != (NOTHING,) and not all(re.fullmatch("[0-9a-f]{16}", recipe) for recipe in recipes):
        raise ValueError(f"{text!r} is not what 'sat retire' writes; empty this cell and call 'sat retire'")
    return recipes


def _channels(text: str) -> tuple[float, ...]:
    """One number for all channels, or three with spaces between."""
    values = tuple(float(word) for word in text.split())
    if len(values) not in (1, 3):
        raise ValueError(f"{len(values)} numbers")
    return values * 3 if len(values) == 1 else values


def _component(name: str, text: str) -> str:
    check_component(name, text)
    return text


def _option(name: str, text: str) -> Any:
    """An argument of a net's function, read as a config file would."""
    if not name.isidentifier():
        raise ValueError(f"{name!r} is not a valid argument name")
    return _plain(text)


def _plain(text: str) -> Any:
    """What a config file would read."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _setting(name: str, text: str) -> Any:
    """A setting of `training`, read as a config file would."""
    value = _plain(text)
    try:
        Training.model_validate({name: value})
    except ValidationError as error:
        raise ValueError(reason(error.errors(include_url=False)[0])) from None
    return value


_WHOLE = Cell(int, "a whole number from 1 on")
_CLASSES = Cell(int, "a whole number from 2 on")
_POSITIVE = Cell(float, "a number above 0")
# A number of grey levels would blind the model without an error.
_CHANNELS = Cell(_channels, "one number or three, in units of [0, 1], such as 0.485 0.456 0.406")
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """A row of a model table."""

    # Pydantic could read the docstrings too, but in every import, and so in every job of a cluster.
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Cell(_name)]
    """Unique name of the model in the study. It becomes a file name."""
    architecture: Annotated[str, Cell()]
    """Name of a timm architecture, with its tag where weights come from the hub; or a function of a code file, such as
    `my_nets:resnet20`."""
    weights: Annotated[str, Cell(_weights)]
    """`train`; `hub`, or `hub@REVISION` to pin a commit of the repository; the path of a checkpoint, relative to the
    table, with `#ema` after it for the averaged weights in it; or `code`, where the function of a code file returns a
    trained net. Then it takes an argument `pretrained`, which is False when the net is built around weights that are
    stored already."""
    family: Annotated[str, Cell()]
    """What the model is expected to be like, written before anything is measured."""
    cohort: Annotated[int, Field(ge=1, le=999_999), Cell(int, "a whole number from 1 to 999999")] = 1
    """Number of the group of models that were added together. A new cohort touches no file of an old one."""
    landmark: Annotated[int | None, Field(ge=1, le=999_999), Cell(int, "a whole number from 1 to 999999")] = None
    """Number of the draw that made this model a landmark; empty for any other model. Where a study has landmarks, only
    pairs with a landmark are measured, and SAT and affinity of the others are estimated. `sat landmarks` writes it."""
    use: Annotated[bool, Cell(_use)] = True
    """`yes` or `no`. `no` retires the model: it is left out of every result, and its files stay. Where `no` was typed
    by hand, the model's tiles still hold it, so it is attacked again when the attack changes; `sat retire` spares
    that."""
    retired: Annotated[tuple[str, ...], Cell(_retired)] = ()
    """Written by `sat retire`: the recipes of the model's adversarial sets, or `none`. The model's tiles hold it while
    the study's recipe is one of them, and leave it out afterwards. Where `use` is `yes`, this is ignored."""
    input_size: Annotated[int | None, Field(ge=1), _WHOLE] = None
    """Side in pixels of the model's own input. Where it is empty, models trained here take the canvas, and others the
    size of their architecture."""
    n_parameters: Annotated[int | None, Field(ge=1), _WHOLE] = None
    """Number of parameters, for the estimate of memory."""
    gmacs: Annotated[Positive | None, _POSITIVE] = None
    """Billions of multiply-accumulates an image, for the estimate of run time."""
    published_top1: Annotated[Annotated[Positive, Field(le=100)] | None, Cell(float, "a percentage")] = None
    """Top-1 accuracy that the weights' authors state at the model's own input size, in per cent."""
    mean: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...] | None, _CHANNELS] = None
    """Mean of each channel that training subtracted. Where it is empty, that of the architecture."""
    std: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...] | None, _CHANNELS] = None
    """Standard deviation that training divided each channel by. Where it is empty, that of the architecture."""
    # The dump of a row keeps input_size out of the components: it has a field of its own.
    classes: Annotated[int | None, Field(ge=2), _CLASSES] = None
    """Number of outputs of a net from a code file. Where it is empty, the study's number of classes."""
    features: Annotated[str, Cell()] = ""
    """Layer of a net from a code file whose input counts as features, such as `fc`. A net with `forward_head` needs
    none; another without one is left out of measures of features."""
    options: Annotated[dict[str, Any], Cells((), _option, "argument of a net", prefix="option.", listed=False)] = Field(
        default_factory=dict
    )
    """Argument of the function of a code file, such as `option.depth`."""
    components: Annotated[
        dict[str, str], Cells([name for name in COMPONENTS if name != "input_size"], _component, "component")
    ] = Field(default_factory=dict)
    """Value of one of the paper's components; `input_size` is one of them. See sat.study.components."""
    released: Annotated[
        dict[str, str], Cells(COMPONENTS, _component, "component", prefix="released.", listed=False)
    ] = Field(default_factory=dict)
    """Value of a component that the paper's authors released, where it is another one than the table's own."""
    training: Annotated[
        dict[str, Any],
        Cells(Training.model_fields, _setting, "setting of training", prefix="training.", listed=False),
    ] = Field(default_factory=dict)
    """Setting of the study's `training` that differs for this model."""
    groups: dict[str, str] = Field(default_factory=dict)
    """Any other column is a grouping that can be compared; name it in the config's key `groups`."""

    @property
    def source(self) -> str:
        """Where the weights come from, which is the name of the rule that makes them.

        It is train, hub, code or checkpoint.
        """
        kind, at, _ = self.weights.partition("@")
        named = self.weights in ("train", "code") or (kind == "hub" and (at or self.weights == kind))
        return kind if named else "checkpoint"

    @property
    def ema(self) -> bool:
        """Whether the averaged weights of a checkpoint are meant."""
        return self.source == "checkpoint" and self.weights.endswith(EMA)

    @property
    def module(self) -> str:
        """Name of the code file that defines the net; empty for a net of timm."""
        return self.architecture.partition(":")[0] if ":" in self.architecture else ""

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

    def cell(self, column: str, which: str = "inferred") -> str:
        """Text of any column of the table; empty where there is none.

        Parameters
        ----------
        column : str
        which : {'inferred', 'released'}
            Which values of a component are meant.
        """
        if column in self.groups:
            return self.groups[column]
        if column in COMPONENTS:
            return self.component_values(which).get(column, "")
        name, key, _ = _place(column)
        value = getattr(self, name)
        if isinstance(value, dict):
            value = value.get(key)
        if isinstance(value, tuple):
            return " ".join(map(str, value))
        if isinstance(value, bool):
            # `use` is yes or no; a setting is written as in a config file.
            return ("yes" if value else "no") if name == "use" else str(value).lower()
        return "" if value is None else str(value)


@cache
def known_columns() -> dict[str, tuple[str, str]]:
    """Field of `Model` and key within it, by column of a model table. Groupings, which may have any name, are not here.

    Returns
    -------
    dict of str to tuple of str and str
        The key is the column's name where the field holds nothing else.
    """
    found = {}
    for name, field in Model.model_fields.items():
        match _reader(field):
            case Cell():
                found[name] = (name, name)
            case Cells() as cells:
                found |= {f"{cells.prefix}{key}": (name, key) for key in cells.names}
    return found


def document() -> str:
    """Content of docs/columns.md."""
    lines = [
        "# Columns of a model table",
        "",
        "Written from the declarations in workflow/sat/study/table.py by:",
        "",
        "    PYTHONPATH=workflow python -m sat.study.table > docs/columns.md",
        "",
        "| column | must be filled | what it holds |",
        "|---|---|---|",
    ]
    body = next(node for node in ast.parse(inspect.getsource(Model)).body if isinstance(node, ast.ClassDef)).body
    texts = {
        field.target.id: inspect.cleandoc(text.value.value).replace("\n", " ")
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
    for name, field in Model.model_fields.items():
        reader, text = _reader(field), texts[name]
        required = "yes" if field.is_required() else ""
        if isinstance(reader, Cells) and reader.listed:
            lines += [
                f"| `{reader.prefix}{key}` | | A component: {COMPONENTS[key].description}. Values: "
                f"{COMPONENTS[key].allowed}. |"
                for key in reader.names
            ]
        elif isinstance(reader, Cells):
            lines.append(f"| `{reader.prefix}<{reader.kind.split()[0]}>` | | {text} |")
        else:
            column = f"`{name}`" if reader else "any other"
            right = f" Write {reader.right}." if isinstance(reader, Cell) and reader.right else ""
            lines.append(f"| {column} | {required} | {text}{right} |")
    return "\n".join(lines) + "\n"


def _reader(field: FieldInfo) -> Cell | Cells | None:
    return next((entry for entry in field.metadata if isinstance(entry, Cell | Cells)), None)


def read_tables(
    files: Iterable[Path],
    groupings: Collection[str] = (),
    faults: Faults | None = None,
    code: Mapping[str, CodeFile] | None = None,
    not_here: Collection[str] = (),
) -> tuple[tuple[Model, ...], dict[str, Path]]:
    """Read model tables into one tuple of rows.

    Parameters
    ----------
    files : iterable of Path
    groupings : collection of str, optional
        Columns that the study names itself. They are not typing mistakes, however they are spelled.
    faults : Faults, optional
        What to do with a mistake; by default, the first is raised.
    code : mapping of str to CodeFile, optional
        The study's code files by the names of their modules.
    not_here : collection of str, optional
        Models whose checkpoints need not be there.

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
    faults = faults or Faults()
    rows: list[Model] = []
    checkpoints: dict[str, Path] = {}
    seen: dict[str, str] = {}
    for file in files:
        with faults:
            for place, row in _read_table(file, groupings, faults):
                # Names that differ by case alone would share a file on some systems.
                earlier = seen.setdefault(row.model.casefold(), place)
                with faults:
                    if earlier != place:
                        raise SatError(
                            f"{place}, column 'model': {row.model!r} is already in {earlier}; "
                            "give each model a name of its own."
                        )
                    _check_net(row, place, code or {})
                    rows.append(row)
                if earlier == place and row.source == "checkpoint":
                    checkpoints[row.model] = file.parent / Path(row.weights.removesuffix(EMA)).expanduser()
                    with faults:
                        if row.use and row.model not in not_here and not checkpoints[row.model].is_file():
                            raise SatError(
                                f"{place}, column 'weights': there is no file {checkpoints[row.model]}; a checkpoint's "
                                "path is relative to the table."
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
        If a file cannot be read, a model's name is not usable, or a model of the matrix has no row.
    """
    names = []
    for column, name in enumerate(read_csv(matrix, "an empty cell and the names of the models")[0][1], 1):
        if column > 1 and name:
            try:
                names.append(check_printed_name(name))
            except ValueError as error:
                raise SatError(f"{matrix}, row 1, column {column}: {error}.") from None
    rows: dict[str, dict[str, str]] = {name: {} for name in names}
    if components:
        (_, header), *lines = read_csv(components, "a column of the models' names and the names of the components")
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


def _read_table(file: Path, groupings: Collection[str], faults: Faults) -> Iterator[tuple[str, Model]]:
    required = [name for name, field in Model.model_fields.items() if field.is_required()]
    (_, header), *lines = read_csv(file, f"the names of the columns, among them {', '.join(required)}")
    _check_header(file, header, required, groupings)
    for number, cells in lines:
        if not any(cells):
            continue
        place = f"{file}, row {number}"
        with faults:
            if len(cells) != len(header):
                raise SatError(
                    f"{place}: {len(cells)} cells under {len(header)} columns; quote cells that hold a comma."
                )
            yield place, _row(dict(zip(header, cells, strict=True)), place)


def _check_header(file: Path, header: list[str], required: list[str], groupings: Collection[str]) -> None:
    """Columns that are missing, stand twice, or are spelled like a known one."""
    known = known_columns()
    if missing := [name for name in required if name not in header]:
        spelled = [(other[0], name) for name in missing if (other := closest(name, set(header) - set(known), CLOSE))]
        hint = f" {' and '.join(f'{other!r} should be {name}' for other, name in spelled)}." if spelled else ""
        raise SatError(
            f"{file}, row 1: missing column(s) {', '.join(missing)}; a model table needs {', '.join(required)}.{hint}"
        )
    if twice := {name for name in header if header.count(name) > 1 or not name}:
        raise SatError(
            f"{file}, row 1: column names must differ and not be empty; these do not: "
            f"{', '.join(map(repr, sorted(twice)))}."
        )
    for column in header:
        if column in known or _place(column)[0] != "groups":
            continue
        for field in Model.model_fields.values():
            cells = _reader(field)
            if isinstance(cells, Cells) and cells.prefix and cells.names and column.startswith(cells.prefix):
                those = f"they are {', '.join(cells.names)}."
                advice = did_you_mean(column, [f"{cells.prefix}{name}" for name in cells.names], those, CLOSE)
                raise SatError(f"{file}, row 1: column '{column}': no such {cells.kind}; {advice}")
        if column in groupings or column in OF_REFERENCE:
            continue
        if near := closest(column, [*known, *OF_REFERENCE], CLOSE):
            raise SatError(
                f"{file}, row 1: column '{column}' is not known; did you mean {near[0]}? If it is a grouping, "
                "list it in the config's key 'groups', or give it another name."
            )


@cache
def _place(column: str) -> tuple[str, str, Cell | Cells | None]:
    """Field that a column belongs to, key within it, and how its cells are read."""
    if column not in known_columns():
        for name, field in Model.model_fields.items():
            reader = _reader(field)
            if isinstance(reader, Cells) and reader.of(column):
                return name, column.removeprefix(reader.prefix), reader
    name, key = known_columns().get(column, ("groups", column))
    return name, key, _reader(Model.model_fields[name])


def _row(cells: dict[str, str], place: str) -> Model:
    values: dict[str, Any] = {}
    for column, text in cells.items():
        name, key, reader = _place(column)
        try:
            if reader is None:
                values.setdefault(name, {})[key] = text
            elif not text:
                if Model.model_fields[name].is_required():
                    raise ValueError("is empty; every model needs one")
            elif isinstance(reader, Cells):
                values.setdefault(name, {})[key] = reader.read(key, text)
            else:
                values[name] = reader.read(text)
        except ValueError as error:
            right = reader.right if text and isinstance(reader, Cell) else ""
            fault = f"{text!r} is not {right}" if right else str(error)
            raise SatError(_sentence(f"{place}, column '{column}': {fault}")) from None
    try:
        row = Model.model_validate(values)
    except ValidationError as error:
        # Pydantic's path starts with the field, which has one column of its name.
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        reader = _place(name)[2]
        right = reader.right if isinstance(reader, Cell) else ""
        said = f"{cells[name]!r} is not {right}" if right else reason(first)
        raise SatError(_sentence(f"{place}, column '{name}': {said}")) from None
    return row


def _check_net(row: Model, place: str, code: Mapping[str, CodeFile]) -> None:
    """A net that timm or a code file has."""
    if row.module in code:
        _check_own(row, place, code[row.module])
        return
    if row.source == "hub" and "." not in row.architecture:
        raise SatError(
            f"{place}, column 'architecture': {row.architecture!r} has no tag. With weights from the hub a bare name "
            f"means other weights in another version of timm; 'python -m sat describe {row.architecture}' prints the "
            "name with its tag."
        )
    if row.use:
        try:
            check_architecture(row.architecture, row.source == "hub")
        except ValueError as error:
            raise SatError(_sentence(f"{place}, column 'architecture': {error}")) from None
    own = next((name for name in ("classes", "features", "options") if getattr(row, name)), "")
    if own or row.source == "code":
        column = "weights" if row.source == "code" else {"options": "option..."}.get(own, own)
        raise SatError(
            f"{place}, column '{column}': is for nets from a code file, and {row.architecture!r} is none; empty the "
            "cell, or name a net as file:function and the file in the config's key 'code'."
        )


def _check_own(row: Model, place: str, code: CodeFile) -> None:
    """A net of a code file."""
    if row.source == "hub":
        raise SatError(
            f"{place}, column 'weights': the hub of timm has no weights of {row.architecture!r}; write train, code, or "
            "the path of a checkpoint."
        )
    try:
        code.check(row.architecture)
    except ValueError as error:
        raise SatError(_sentence(f"{place}, column 'architecture': {error}")) from None


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


if __name__ == "__main__":
    print(document(), end="")
