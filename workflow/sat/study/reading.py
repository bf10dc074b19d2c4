"""Text files of the user's: read with messages that say what to do about a file that is not what it should be."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sat.errors import SatError

SEPARATORS = {";": "semicolons", "\t": "tabs"}
"""What spreadsheets write between cells instead of commas."""
CODE = "__use_yte__"
"""With this key at its top, Snakemake runs a YAML file through YTE, which evaluates Python code in it."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(file: Path, what: str) -> str:
    """Text of a file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    file : Path
    what : str
        What the file is, for messages.

    Raises
    ------
    SatError
        If it cannot be read or is in another encoding; with row and byte.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise SatError(f"{file}: {what} cannot be read ({error.strerror}).") from None
    remedy = "save the file as UTF-8 (in a spreadsheet: 'CSV UTF-8')"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SatError(f"{file}: {what} is in UTF-16; {remedy}.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        row, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        byte = raw[error.start]
        raise SatError(
            f"{file}, row {row}: byte {column} is 0x{byte:02x} ({chr(byte)!r} in Latin-1) and not UTF-8; {remedy}."
        ) from None


def read_config(file: Path, has_run: bool = False) -> dict[str, Any]:
    """Content of a config file. Nothing in it is executed.

    Parameters
    ----------
    file : Path
        JSON is tried before YAML, as Snakemake does.
    has_run : bool
        Whether Snakemake has read the file already. Then code in it has run.

    Returns
    -------
    dict

    Raises
    ------
    SatError
        If the file cannot be read, is neither JSON nor YAML, or holds code.
    """
    text = read_text(file, "the config file")
    try:
        content = json.loads(text)
    except ValueError:
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SatError(f"{file}: is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise SatError(f"{file}: holds no 'key: value' lines; see config.yaml for an example.")
    if CODE in content:
        raise SatError(
            f"{file}: holds the key {CODE!r}, which makes Snakemake run Python code in the file. "
            + (
                "Snakemake reads the file first, so this code HAS RUN. If you did not write it, read the file to find "
                "out what it did. From now on, call 'sat check' before Snakemake."
                if has_run
                else "Nothing has run. Do not give this file to Snakemake; a study needs no code, so write values "
                "in place of it."
            )
        )
    return content


def read_csv(file: Path, first_row: str) -> list[tuple[int, list[str]]]:
    """Rows of a CSV file with the numbers of their lines, the header first.

    Parameters
    ----------
    file : Path
    first_row : str
        What the first row should hold, for messages.

    Returns
    -------
    list of tuple of int and list of str
        Cells without the spaces around them.

    Raises
    ------
    SatError
        If the file cannot be read, is empty, or its cells are not separated by commas; or if a cell has a character
        that does not print.
    """
    text = read_text(file, "the table")
    try:
        reader = csv.reader(io.StringIO(text, newline=""))
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise SatError(f"{file}: the table cannot be read ({error}).") from None
    if not any(any(cells) for _, cells in rows):
        raise SatError(f"{file}: is empty; its first row should hold {first_row}.")
    if not any(rows[0][1]):
        raise SatError(f"{file}, row 1: is empty; the first row should hold {first_row}.")
    line = text.split("\n", 1)[0]
    for separator, word in SEPARATORS.items():
        # Commas within names are fewer than the separators between them.
        if line.count(separator) >= len(rows[0][1]):
            raise SatError(
                f"{file}, row 1: cells are separated by {word}; save the table with commas between its cells."
            )
    for number, cells in rows:
        if not all(map(str.isprintable, cells)):
            _check_printable(f"{file}, row {number}", cells)
    return rows


def _check_printable(place: str, cells: list[str]) -> None:
    """Accept cells without control characters and the like, which break figures and make two texts look the same."""
    for column, cell in enumerate(cells, 1):
        for character in cell:
            # Spaces of other kinds are harmless.
            if not character.isprintable() and unicodedata.category(character) != "Zs":
                what = unicodedata.name(character, "control character").lower()
                raise SatError(
                    f"{place}, column {column}: {cell!r} has a character that does not print (U+{ord(character):04X}, "
                    f"{what}); remove it."
                )


def check_keys_stand_once(file: Path) -> None:
    """Accept a YAML file in which no section has a key twice. YAML itself keeps the last and drops the others.

    Parameters
    ----------
    file : Path
        A file that cannot be read, or is no YAML, is left to whoever reads its content.

    Raises
    ------
    SatError
        With the key and the lines where it stands.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    for key, first, second in _twice(root, ""):
        raise SatError(
            f"{file}, lines {first} and {second}: key '{key}' appears twice, and the first would be lost; write it "
            "once."
        )


def _twice(node: Any, path: str, seen: frozenset[int] = frozenset()) -> Iterator[tuple[str, int, int]]:
    """Keys that stand twice, with both lines."""
    # An anchor may stand for a node that holds it.
    if id(node) in seen:
        return
    seen |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _twice(item, path, seen)
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name = f"{path}{key.value}" if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            # Each merge key counts.
            if name and key.value != "<<" and name in lines:
                yield name, lines[name], line
            lines[name] = line
            yield from _twice(value, f"{name}.", seen)
