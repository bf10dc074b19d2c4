"""The user's own model tables: rows are added and cells changed, and all else stays as the user wrote it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from sat.errors import SatError
from sat.store.files import replacing


def append_rows(file: Path, rows: Sequence[Mapping[str, str]], check: Callable[[], object]) -> list[str]:
    """Append rows to a model table; the existing rows stay as they are.

    Parameters
    ----------
    file : Path
    rows : sequence of mapping
        Cells by column.
    check : callable
        Function that is called after the rows are written. If it raises a SatError,
        the table is restored.

    Returns
    -------
    list of str
        Columns that the table did not have before.

    Raises
    ------
    SatError
        If the table with the new rows is not valid, or the file cannot be written.
    """
    table = _Table(file)
    added = table.widen(name for row in rows for name in row)
    output = io.StringIO()
    writer = csv.writer(output, lineterminator=table.ending)
    writer.writerows([row.get(name, "") for name in table.columns] for row in rows)
    text = table.text
    rewrite({file: (text if text.endswith("\n") else text + table.ending) + output.getvalue()}, check)
    return added


def set_cells(files: Iterable[Path], cells: Mapping[str, Mapping[str, str]], check: Callable[[], object]) -> list[Path]:
    """Change cells of models in the tables of a study; all else stays as it is, to the last quotation mark.

    Parameters
    ----------
    files : iterable of Path
        The tables; those without one of the models are not written.
    cells : mapping of str to mapping
        New text by column, for each model. A column that a table does not have is added.
    check, Raises
        As for `append_rows`.

    Returns
    -------
    list of Path
        The tables that were changed.
    """
    texts = {}
    for file in files:
        table = _Table(file)
        place = table.columns.index("model")
        rows = [(record, cells[name]) for record in table.rows if (name := _value(record[place])) in cells]
        if not rows:
            continue
        table.widen(name for _, changes in rows for name in changes)
        for record, changes in rows:
            for column, text in changes.items():
                number = table.columns.index(column)
                record[number] = _like(record[number], text)
        texts[file] = table.text
    rewrite(texts, check)
    return list(texts)


# A cell as it stands, and what follows it. A quotation mark means something at the beginning of a cell only.
_CELL = re.compile(r'("(?:[^"]|"")*(?:"[^,\r\n]*|\Z)|[^,\r\n]*)(,|\r\n|\n|\r|\Z)')


class _Table:
    """A CSV file as lists of its cells, each as it stands in the file."""

    def __init__(self, file: Path) -> None:
        with file.open(encoding="utf-8", newline="") as stream:
            text = stream.read()
        self.ending = "\r\n" if "\r\n" in text else "\n"
        self.lines: list[tuple[list[str], str]] = []
        cells: list[str] = []
        for cell, end in _CELL.findall(text):
            cells.append(cell)
            if end != ",":
                self.lines.append((cells, end))
                cells = []

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [_value(cell) for cell in self.lines[0][0]]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of every row below the header that is not empty. Changing them changes the table."""
        return [cells for cells, _ in self.lines[1:] if any(map(_value, cells))]

    @property
    def text(self) -> str:
        """Content of the file."""
        return "".join(",".join(cells) + end for cells, end in self.lines)

    def widen(self, names: Iterable[str]) -> list[str]:
        """Add the columns that are not there yet, empty, and return their names."""
        added = [name for name in dict.fromkeys(names) if name not in self.columns]
        header, rows = self.lines[0][0], self.rows
        header += [_like(header[-1], name) for name in added]
        for cells in rows:
            cells += [""] * len(added)
        return added


def _value(cell: str) -> str:
    """What a cell holds."""
    return next(csv.reader(io.StringIO(cell.removeprefix("\ufeff"), newline="")), [""])[0].strip()


def _like(cell: str, text: str) -> str:
    """Write a text with quotation marks if it needs them, or if a cell has them."""
    quoted = cell.startswith('"') or any(mark in text for mark in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if quoted else text


def rewrite(texts: Mapping[Path, str], check: Callable[[], object]) -> None:
    """Write files, and restore them all if the check fails."""
    for file in texts:
        # The superuser may write to any file, and renaming a new file over one needs no right to write to it.
        if not (file.stat().st_mode & 0o222 and os.access(file, os.W_OK) and os.access(file.resolve().parent, os.W_OK)):
            raise SatError(f"{file}: is read-only, or its folder is; make both writable and call this again.")
    before = {file: file.read_bytes() for file in texts}
    try:
        for file, text in texts.items():
            _write(file, text.encode())
        check()
    except BaseException:
        for file, content in before.items():
            _write(file, content)
        raise


def _write(file: Path, content: bytes) -> None:
    # A link to a table stays a link.
    with replacing(file.resolve()) as temporary:
        temporary.write_bytes(content)
