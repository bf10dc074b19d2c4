"""Declarations of a study's own units as JSON.

A process of its own imports a code file and writes the declaration (`describe`). All others
read it (`Declared.validate_json`), without running anything of the study's. So it may hold
nothing but texts, numbers and lists of them.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, create_model, model_validator
from pydantic.fields import FieldInfo

from sat.study.code import KINDS
from sat.study.section import Name, Section
from sat.units.analysis import Analysis, Shown
from sat.units.attack import ANY, Attack, Norm, Selection
from sat.units.measure import Interval, Measure, Needs

TYPES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (bool, int, float, str)},
    **{f"list[{kind.__name__}]": list[kind] for kind in (bool, int, float, str)},  # type: ignore[valid-type]
    "None": type(None),
}
"""Types that a setting may have."""
ALLOWED = f"{', '.join(TYPES)}, unions of these, and Literal"
Bound = Literal["gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"]
Scalar: TypeAlias = bool | int | float | str | None


def _line(text: str) -> str:
    if not text.isprintable() or re.search(r"[<>{}`|]", text) or len(text) > 200:
        raise ValueError("a text of one line is needed, of at most 200 letters and without < > { } ` |")
    return text


def _lines(text: str) -> str:
    for line in text.split("\n"):
        _line(line)
    return text


def _prose(text: str) -> str:
    if not all(one.isprintable() or one == "\n" for one in text) or len(text) > 5000:
        raise ValueError("a text of at most 5,000 printable letters is needed")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression ({error})") from None
    return text


def _path(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_{}][A-Za-z0-9_{}./-]*", text) or ".." in text:
        raise ValueError(f"{text!r} is not the path of a result; write one such as similarity/sat.csv")
    return text


def _word(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", text) or text.startswith("model_"):
        raise ValueError(f"{text!r} is not a key's name: use letters, digits and _, and do not start with model_")
    return text


Line = Annotated[str, AfterValidator(_line)]
Lines = Annotated[str, AfterValidator(_lines)]
Prose = Annotated[str, AfterValidator(_prose)]
Path = Annotated[str, AfterValidator(_path)]
Word = Annotated[str, AfterValidator(_word)]
Megabytes = Annotated[int, pydantic.Field(ge=1, le=10**7)]
Minutes = Annotated[int, pydantic.Field(ge=1, le=10**6)]


class Written(BaseModel):
    """Base of all that is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Setting(Written):
    """A key of a unit's settings."""

    types: list[str] = []
    choices: list[Scalar] = []
    bounds: dict[Bound, int | float] = {}
    default: Scalar | list[Scalar]
    doc: Prose | None = None

    @model_validator(mode="after")
    def _check(self) -> Setting:
        if bool(self.types) == bool(self.choices) or not set(self.types) <= set(TYPES):
            raise ValueError(f"a setting has types of {ALLOWED}")
        return self

    def field(self) -> tuple[Any, FieldInfo]:
        """The key in the form of pydantic's `create_model`."""
        kind = Literal[tuple(self.choices)] if self.choices else Union[tuple(TYPES[name] for name in self.types)]  # noqa: UP007
        bounds: dict[str, Any] = {**self.bounds}  # type: ignore[dict-item]
        return kind, pydantic.Field(self.default, description=self.doc, **bounds)


Settings = dict[Word, Setting]


def _section(settings: Settings) -> type[Section]:
    """Make the class again that declared these settings."""
    try:
        made = create_model("Settings", __base__=Section, **{name: one.field() for name, one in settings.items()})  # type: ignore[call-overload]
        made.model_validate({name: one.default for name, one in settings.items()})
    except (TypeError, NameError, pydantic.PydanticUserError, pydantic.ValidationError) as error:
        raise ValueError(f"the settings make no section: {str(error).splitlines()[0]}") from None
    return made  # type: ignore[no-any-return]


class WrittenAttack(Written):
    """Declaration of an attack."""

    kind: Literal["attacks"]
    summary: Line
    norm: Norm
    nets: Annotated[str, AfterValidator(_pattern), pydantic.Field(max_length=500)] = ANY
    package: Annotated[str, pydantic.Field(pattern=r"^[\w.-]*(==[\w.]+)?$")] = ""
    settings: Settings = {}
    selection: Selection = "last_iterate"
    seeded: bool = False
    independent: bool = False
    lattice: bool = True
    cost: Annotated[int, pydantic.Field(ge=0)] | Word

    def make(self) -> Attack:
        """The declaration.

        Raises
        ------
        ValueError
            If the settings make no section, or `cost` is none of them.
        """
        if (
            isinstance(self.cost, str)
            and "int" not in self.settings.get(self.cost, Setting(types=["str"], default="")).types
        ):
            raise ValueError(f"cost is {self.cost!r}, which is not a setting with a whole number")
        return Attack(**{**_fields(self), "settings": _section(self.settings)})


class WrittenMeasure(Written):
    """Declaration of a measure."""

    kind: Literal["measures"]
    needs: Needs
    labelled: bool = False
    least: Annotated[int, pydantic.Field(ge=1)] = 1
    interval: Interval = "jackknife"
    title: Lines

    def make(self) -> Measure:
        """The declaration."""
        return Measure(**_fields(self))


class WrittenShown(Written):
    """Place in the report."""

    section: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z][A-Za-z0-9 -]{0,59}$")]
    title: Line


class WrittenAnalysis(Written):
    """Declaration of an analysis."""

    kind: Literal["analyses"]
    inputs: dict[Word, Path]
    optional: list[Word] = []
    tables: dict[Name, WrittenShown | None] = {}
    figures: dict[Name, WrittenShown] = {}
    settings: Settings = {}
    params: list[Word] = []
    caption: Prose = ""
    mem_mb: Megabytes = 2000
    minutes: Minutes = 30

    @model_validator(mode="after")
    def _check(self) -> WrittenAnalysis:
        if not (self.tables or self.figures):
            raise ValueError("an analysis makes a table or a figure")
        if len(set(self.inputs.values())) < len(self.inputs):
            raise ValueError("inputs are told apart by their paths, and two have the same one")
        return self

    def make(self) -> Analysis:
        """The declaration.

        Raises
        ------
        ValueError
            If the settings make no section.
        """
        shown = {
            what: {name: place and Shown(place.section, place.title) for name, place in getattr(self, what).items()}
            for what in ("tables", "figures")
        }
        made = {**_fields(self), **shown, "optional": frozenset(self.optional), "params": tuple(self.params)}
        return Analysis(**{**made, "settings": _section(self.settings) if self.settings else None})


def _fields(written: Written) -> dict[str, Any]:
    return {name: getattr(written, name) for name in type(written).model_fields if name != "kind"}


Declared: TypeAdapter[WrittenAttack | WrittenMeasure | WrittenAnalysis] = TypeAdapter(
    Annotated[WrittenAttack | WrittenMeasure | WrittenAnalysis, pydantic.Field(discriminator="kind")]
)
"""A declaration as it is written."""
WRITTEN: dict[type, type[Written]] = {Attack: WrittenAttack, Measure: WrittenMeasure, Analysis: WrittenAnalysis}
"""How each declaration is written."""


def describe(unit: Attack | Measure | Analysis) -> dict[str, Any]:
    """Write a declaration as JSON values.

    Parameters
    ----------
    unit : Attack, Measure or Analysis

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If something in it cannot be written, with the field.
    """
    written: dict[str, Any] = {"kind": KINDS[type(unit).__name__]}
    known = WRITTEN[type(unit)].model_fields
    for one in fields(unit):
        value = getattr(unit, one.name)
        if value == _default(one):
            continue
        if callable(value) and not isinstance(value, type):
            can = "a number, or the name of a setting" if one.name == "cost" else "names of keys of the config file"
            here = f"; write {can}" if one.name in ("cost", "params") else ", and it has to be left out"
            raise ValueError(f"field {one.name!r}: is a function, which a unit of a study's own cannot have{here}")
        if one.name not in known:
            raise ValueError(f"field {one.name!r}: is for the project's own units, and has to be left out")
        written[one.name] = _plain(one.name, value)
    try:
        Declared.validate_json(json.dumps(written, allow_nan=False)).make()
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise ValueError(f"field {place!r}: {first['msg'].removeprefix('Value error, ')}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None
    return written


def _default(one: Field[Any]) -> object:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def _plain(name: str, value: object) -> object:
    """A field's value as JSON."""
    if name == "settings":
        return _settings(value)
    if isinstance(value, Shown):
        return {"section": value.section, "title": value.title}
    if isinstance(value, Mapping):
        return {key: _plain("", item) for key, item in value.items()}
    return sorted(value) if isinstance(value, frozenset | set) else value


def _settings(kind: object) -> dict[str, Any]:
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        raise ValueError("field 'settings': is not a class made from sat.study.section.Section")
    decorators = kind.__pydantic_decorators__
    if any(
        getattr(decorators, name) for name in ("validators", "field_validators", "root_validators", "model_validators")
    ):
        raise ValueError(
            "field 'settings': has validators, and these are functions, which a unit of a study's own cannot have; "
            "write bounds, or raise sat.errors.SatError in run"
        )
    return {name: _setting(name, found) for name, found in kind.model_fields.items()}


def _setting(name: str, found: FieldInfo) -> dict[str, Any]:
    """A key of settings as JSON."""
    where = f"field 'settings': key {name!r}"
    if found.is_required():
        raise ValueError(f"{where} has no default; a config need not name it, so give it one")
    kinds = (
        get_args(found.annotation) if get_origin(found.annotation) in (Union, types.UnionType) else [found.annotation]
    )
    words = {str(kind): word for word, kind in TYPES.items()}
    written: dict[str, Any] = {"default": found.default, "doc": found.description}
    if get_origin(found.annotation) is Literal:
        written["choices"] = list(get_args(found.annotation))
    elif all(str(kind) in words for kind in kinds):
        written["types"] = [words[str(kind)] for kind in kinds]
    else:
        raise ValueError(f"{where} is of type {found.annotation}; a unit of a study's own can have {ALLOWED}")
    names = get_args(Bound)
    bounds = {bound: getattr(item, bound) for item in found.metadata for bound in names if hasattr(item, bound)}
    written |= {"bounds": bounds} if bounds else {}
    try:
        kind, again = Setting.model_validate(written).field()
        made = create_model("Again", **{name: (kind, again)}).model_fields[name]  # type: ignore[call-overload]
    except (TypeError, pydantic.ValidationError, pydantic.PydanticUserError) as error:
        raise ValueError(f"{where}: {str(error).splitlines()[0]}") from None
    if repr(made) != repr(found):
        raise ValueError(
            f"{where} is declared with more than a type, a default, bounds ({', '.join(names)}) and a docstring: "
            f"{found}"
        )
    return written
