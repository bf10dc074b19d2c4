"""What every part of a config file is made of: typed sections, names, and errors that name the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sat.study.spelling import did_you_mean

LONGEST = 120
"""Most bytes of a name. File systems hold 255. `.NAME.safetensors.json.HOST.PROCESS.tmp` adds up to 95 of them, and the
SLURM logs of a variant have two names in one: `variants_VARIANT__MODEL`."""


def check_name(name: str) -> str:
    """Accept a name that is safe as a file name on every system.

    Raises
    ------
    ValueError
        If it is not: it would escape its folder, or hide, or be too long.
    """
    _check_length(name)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} is not a usable name: it becomes a file name, so use letters, digits, '.', '_' and '-' alone, "
            "and start with a letter or digit"
        )
    return name


def check_printed_name(name: str) -> str:
    """Accept a model's name that becomes no file name: it stands in tables, in figures and in the report.

    Raises
    ------
    ValueError
        If it has characters of markup or wildcards, or a start that spreadsheets or legends take for something else.
    """
    _check_length(name)
    if not name[:1].isalnum() or re.search("[<>{}]", name) or not name.isprintable():
        raise ValueError(
            f"{name!r} cannot be the name of a model: start with a letter or digit, and use neither <, >, {{ and }} "
            "nor characters that do not print"
        )
    return name


def _check_length(name: str) -> None:
    if (length := len(name.encode())) > LONGEST:
        raise ValueError(f"{name[:20]!r}... is a name of {length} bytes; write one of at most {LONGEST}")


Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Precision = Literal["float32", "tf32", "bfloat16"]


class Section(BaseModel):
    """Base of every part of a config: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def explain(error: ValidationError, section: str = "", kind: type[BaseModel] | None = None, raw: object = None) -> str:
    """All faults of a pydantic error as one paragraph, each with its key.

    Parameters
    ----------
    error : pydantic.ValidationError
    section : str
        Key of what was validated; the whole file by default.
    kind : type, optional
        What it was validated as. Its keys are what an unknown key is compared with.
    raw : object, optional
        What was validated. It tells keys of any spelling from pydantic's own names for the branches of a union.

    Returns
    -------
    str
    """
    faults = []
    for fault in error.errors(include_url=False):
        path = _path(fault, raw)
        key = ".".join([section, *path] if section else path) or "the whole file"
        match fault["type"]:
            case "extra_forbidden":
                advice = _advice(path, fault["input"], kind) or "remove it or correct its spelling"
                message = f"unknown key '{key}'; {advice}"
            case "missing":
                message = f"key '{key}' is missing"
            case _:
                message = f"key '{key}': {reason(fault)}"
        if message not in faults:
            faults.append(message)
    text = "; ".join(faults)
    return text if text.endswith("?") else f"{text}."


def reason(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, without its key.

    Parameters
    ----------
    fault : mapping
        One of the errors of a `pydantic.ValidationError`.
    """
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return f"{fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"


_BRANCHES = {"str", "float", "int", "constrained-int"}


def _path(fault: Mapping[str, Any], raw: object) -> list[str]:
    """Keys that lead to a fault. Pydantic's path also names branches of unions, which no reader has written."""
    parts: Sequence[str | int] = fault["loc"]
    ends_with_key = fault["type"] in ("extra_forbidden", "missing")
    if raw is None:
        inner = parts[:-1] if ends_with_key else parts
        path = [str(part) for part in inner if re.fullmatch(r"[A-Za-z0-9_]+", str(part)) and part not in _BRANCHES]
        return [*path, *(str(part) for part in parts[len(inner) :])]
    path = []
    place = raw
    for number, part in enumerate(parts):
        known: Any = dict(enumerate(place)) if isinstance(place, list) else place
        if isinstance(known, Mapping) and part in known:
            place = known[part]
        elif not (ends_with_key and number == len(parts) - 1):
            continue
        path.append(str(part))
    return path


def _advice(path: Sequence[str], value: object, kind: type[BaseModel] | None) -> str:
    """What to write in place of an unknown key; empty where nothing is known."""
    *outer, name = path
    section = next(_sections(_annotation(kind, outer)), None)
    if section is None:
        return ""
    fields = section.model_fields
    first, *inner = (part.replace("-", "_") for part in name.split("."))
    if inner:
        # A dot is how our messages write a key of a section; in the file it is nested.
        if first not in fields:
            return did_you_mean(first, fields)
        known = _keys(fields[first].annotation)
        if known and ".".join(inner) not in known:
            near = did_you_mean(inner[0], known)
            return f"write {first}: {{KEY: {_flow(value)}}}; " + (near or f"its keys are {', '.join(known)}")
        return f"write {first}: {{{': {'.join(inner)}: {_flow(value)}{'}' * len(inner)}"
    if first in fields:
        return f"write {first}"
    if homes := [home for home, field in fields.items() if first in _keys(field.annotation)]:
        return f"{first} is a key of {homes[0]}: write {homes[0]}: {{{first}: {_flow(value)}}}"
    return did_you_mean(first, fields)


def _annotation(annotation: Any, path: Iterable[str]) -> Any:
    """Type that is declared for a key, or None."""
    for part in path:
        below = None
        for member in _members(annotation):
            if isinstance(member, type) and issubclass(member, BaseModel) and part in member.model_fields:
                below = member.model_fields[part].annotation
            elif get_origin(member) in (dict, list, tuple):
                below = get_args(member)[1 if get_origin(member) is dict else 0]
        annotation = below
    return annotation


def _members(annotation: Any) -> Iterator[Any]:
    """Members of a union, or of a type that is annotated; otherwise the type itself."""
    origin, members = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _members(members[0])
    elif members and origin not in (dict, list, tuple):
        for member in members:
            yield from _members(member)
    else:
        yield annotation


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    for member in _members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member


def _keys(annotation: Any) -> list[str]:
    return [name for section in _sections(annotation) for name in section.model_fields]


def _flow(value: object) -> str:
    """A value as it is written within braces, shortened where it is long."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | str) and str(value) else "..."
