"""What every part of a config file is made of: typed sections, names, and errors that name the key."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


def check_name(name: str) -> str:
    """Accept a name that is safe as a file name on every system.

    Raises
    ------
    ValueError
        If it is not: it would escape its folder, or hide.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(
            f"{name!r} is no usable name: it becomes a file name, so use letters, digits, '.', '_' and '-' alone, "
            "and start with a letter or digit"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """Base of every part of a config: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def explain(error: ValidationError, section: str = "") -> str:
    """All faults of a pydantic error as one paragraph, each with its key.

    Parameters
    ----------
    error : pydantic.ValidationError
    section : str
        Key of what was validated; the whole file by default.

    Returns
    -------
    str
    """
    faults = []
    for fault in error.errors(include_url=False):
        # Branches of a union end the path with the branch's own name; a reader wants the key alone.
        path = [
            str(part) for part in fault["loc"] if re.fullmatch(r"[A-Za-z0-9_]+", str(part)) and part not in _BRANCHES
        ]
        key = ".".join([section, *path] if section else path) or "the whole file"
        match fault["type"]:
            case "extra_forbidden":
                message = f"unknown key '{key}'; remove it or correct its spelling"
            case "missing":
                message = f"key '{key}' is missing"
            case "value_error":
                message = f"key '{key}': {fault['ctx']['error']}"
            case _:
                message = f"key '{key}': {fault['msg'][0].lower()}{fault['msg'][1:]}, not {fault['input']!r}"
        if message not in faults:
            faults.append(message)
    return "; ".join(faults) + "."


_BRANCHES = {"str", "float", "int", "constrained-int"}
