"""The page of all keys of a study's config file, docs/config.md, from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

HEAD = """# Keys of a study's config file

Generated from the schema (`sat schema --markdown`), with which every config file is checked.
[config.yaml](../config.yaml) is an example with comments, and [columns.md](columns.md) says what the model table
holds. Paths are relative to the config file. A key that is left out has its default.
"""
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def document(schema: Mapping[str, Any]) -> str:
    """Write the page: the keys of the top level in one table, and those of each section in another.

    Parameters
    ----------
    schema : mapping
        From `sat.study.config.config_schema`.

    Returns
    -------
    str
        Markdown.
    """
    sections = {key: name for key, field in schema["properties"].items() if (name := _section(field))}
    top = {key: field for key, field in schema["properties"].items() if key not in sections}
    lines = [HEAD, *_table(top)]
    for key, name in sections.items():
        about = _words(schema["properties"][key].get("description") or schema["$defs"][name].get("description", ""))
        lines += ["", f"## {key}", "", *([about, ""] if about else [])]
        if schema["properties"][key].get("type") == "object":
            lines += [f"Each name under `{key}` is a section with these keys:", ""]
        lines += _table(schema["$defs"][name]["properties"])
    return "\n".join(lines) + "\n"


def _section(field: Mapping[str, Any]) -> str:
    """Name of the section that a key holds; empty if it holds none."""
    inner = [field, field.get("additionalProperties"), *field.get("anyOf", [])]
    found = (one["$ref"] for one in inner if isinstance(one, Mapping) and "$ref" in one)
    return str(next(found, "")).rpartition("/")[2]


def _table(fields: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| key | values | default | |", "|---|---|---|---|")
    for key, field in fields.items():
        default = f"`{json.dumps(field['default'], ensure_ascii=False)}`" if "default" in field else "required"
        cells = (f"`{key}`", _values(field), default, _words(field.get("description", "")))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _values(field: Mapping[str, Any]) -> str:
    """Say which values a key may have."""
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_values(one) for one in field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        # Each item of a list of fixed length has its own type; none of ours has.
        return f"list of {_values(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object":
        return "mapping"
    bounds = " and ".join(f"{sign} {field[name]:g}" for name, sign in BOUNDS.items() if name in field)
    return f"{PLAIN[field['type']]} {bounds}".strip()


def _words(text: str) -> str:
    """Put a description on one line. Outside of code, an angle bracket would begin a tag."""
    parts = " ".join(text.split()).split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))
