"""Tables and matrices on disk."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from operator import is_not
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from sat.store.artefact import Job
from sat.store.columns import MATRICES, texts_of
from sat.store.files import replacing


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a CSV or Parquet table. Numbers are exact to the last bit, and the columns of `texts_of` stay text."""
    path = Path(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return _read_csv(path, dtype=dict.fromkeys(texts_of(path.stem), str))


def read_matrix(path: Path | str) -> pd.DataFrame:
    """Read a square matrix, whose header and first column are model names."""
    table = _read_csv(path, converters={0: str})
    return table.set_index(table.columns[0]).rename_axis(None)


def read_result(path: Path) -> pd.DataFrame:
    """Read a matrix or another table of a study, by the name of its file."""
    return read_matrix(path) if path.stem in MATRICES else read_table(path)


def _read_csv(path: Path | str, **types: Any) -> pd.DataFrame:
    return _change_texts(pd.read_csv(path, keep_default_na=False, na_values=[""], **types), _unguard)


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of the same columns one below the other, with their names in a first column `of`."""
    return pd.concat(dict(tables), names=["of"]).reset_index("of").reset_index(drop=True)


def write_csv(table: pd.DataFrame, file: Path) -> None:
    """Write a CSV file that spreadsheets can open without running anything; `read_table` reads the original.

    Texts that a spreadsheet would take for a formula get an apostrophe in front (OWASP, "CSV Injection"). So does a
    text that starts with an apostrophe and then like a formula. Numbers stay, and so do texts that are numbers.
    """
    guarded = _change_texts(table, _guard)
    text = guarded.to_csv(index=False)
    if "\r" in text:
        # Names of images may hold it. It ends a row, unless texts are quoted.
        text = guarded.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC)
    file.write_text(text, encoding="utf-8", newline="")


def as_written(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table as `read_table` would read it from the file of this name that `write_csv` writes."""
    with TemporaryDirectory(prefix="sat-table-") as folder:
        write_csv(table, path := Path(folder) / f"{name}.csv")
        return read_table(path)


_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20].", re.DOTALL)
"""Start of a formula, after any apostrophes. The last four are full-width =, +, - and @."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def _guard(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _unguard(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _change_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """A table with other texts in header and cells. Columns in which nothing changes are not touched."""
    result = table.rename(columns=lambda name: change(name) if isinstance(name, str) else name)
    for place, (_, column) in enumerate(table.items()):
        if not pd.api.types.is_numeric_dtype(column):
            old = column.tolist()
            new = [change(cell) if isinstance(cell, str) else cell for cell in old]
            if any(map(is_not, new, old)):
                result.isetitem(place, pd.Series(new, table.index, object))
    return result


def write_tables(job: Job, tables: Mapping[str, pd.DataFrame], **facts: Any) -> None:
    """Write tables as CSV, or as Parquet if the path says so, each with its sidecar.

    Parameters
    ----------
    job : Job
    tables : mapping of path to DataFrame
        Tables by path; the index is not written.
    **facts
        See `Job.finish`.
    """
    for path, table in tables.items():
        with replacing(path) as temporary:
            if Path(path).suffix == ".parquet":
                table.to_parquet(temporary, index=False)
            else:
                write_csv(table, temporary)
        job.finish(path, **facts)
