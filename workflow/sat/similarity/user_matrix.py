"""Reading and checking a SAT matrix of the user."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.errors import SatError
from sat.store.artefact import check_content, read_sidecar, sidecar_path
from sat.store.files import file_digest
from sat.store.tables import read_matrix

Bools = NDArray[np.bool_]
LISTED = 10
"""Largest number of cells or names in a message."""


def read_user_matrix(path: str, digest: str | None, names: Collection[str] | None = None) -> pd.DataFrame:
    """Read a SAT matrix of the user, and check it.

    Parameters
    ----------
    path : str
        CSV file with model names as header and first column. If its sidecar says
        that another study made it, it may have pairs without SAT.
    digest : str
        SHA-256 that the file had when Snakemake started.
    names : collection of str, optional
        Models that the matrix must have.

    Returns
    -------
    DataFrame, shape (n, n)

    Raises
    ------
    SatError
        If the file has changed, does not agree with its sidecar, or is not a SAT matrix. The message names the cells.
    """
    if file_digest(path) != digest:
        raise SatError(f"{path}: has changed since Snakemake started; run it again.")
    matrix = read_matrix(path)
    if sidecar_path(path).is_file():
        check_content(path, read_sidecar(path))
    elif faults := check_matrix(matrix, names):
        raise SatError(f"{path}: is not a SAT matrix: {'; '.join(faults)}.")
    return matrix


def check_matrix(frame: pd.DataFrame, names: Collection[str] | None = None) -> list[str]:
    """Say what is wrong with a similarity matrix of the user.

    Parameters
    ----------
    frame : DataFrame
        The matrix as it was read, with model names as index and header.
    names : collection of str, optional
        Models of the table of components that belongs to it.

    Returns
    -------
    list of str
        One message per kind of mistake, each with at most ten cells or names. The
        list is empty if the matrix is valid.
    """
    rows, columns = [str(name) for name in frame.index], [str(name) for name in frame.columns]
    messages = []
    if len(rows) != len(columns):
        messages.append(f"not square: {len(rows)} rows, {len(columns)} columns")
    for what, found in (("rows", rows), ("columns", columns)):
        if twice := [name for name in dict.fromkeys(found) if found.count(name) > 1]:
            messages.append(f"more than one of the {what} is named {_listed(twice)}")
    for what, here, there in (("rows", rows, columns), ("columns", columns, rows)):
        if alone := [name for name in dict.fromkeys(here) if name not in set(there)]:
            messages.append(f"only among the {what}: {_listed(alone)}")
    if names is not None and (absent := [name for name in dict.fromkeys([*rows, *columns]) if name not in set(names)]):
        messages.append(f"not in the table of components: {_listed(absent)}")

    values = frame.apply(pd.to_numeric, errors="coerce").to_numpy(float)

    def cells(bad: Bools, show: Callable[[int, int], str] = lambda i, j: "") -> str:
        return _listed([f"[{rows[i]}, {columns[j]}]{show(i, j)}" for i, j in np.argwhere(bad)])

    words = np.isnan(values) & frame.notna().to_numpy()
    if words.any():
        messages.append(f"not a number: {cells(words, lambda i, j: f' is {frame.iloc[i, j]!r}')}")
    if np.isinf(values).any():
        messages.append(f"infinite: {cells(np.isinf(values))}")
    own = np.array(rows, object)[:, None] == np.array(columns, object)
    holes = np.isnan(values) & ~words
    if (holes & own).any():
        messages.append(f"no value on the diagonal: {cells(holes & own)}")
    if (holes & ~own).any():
        messages.append(f"NaN: {cells(holes & ~own)}")
    # Mirrored cells can be compared only if each name stands for one row and one column.
    if len(set(rows)) == len(rows) and len(set(columns)) == len(columns) and set(rows) == set(columns):
        place = [columns.index(name) for name in rows]
        square = values[:, place]
        with np.errstate(invalid="ignore"):
            uneven = np.abs(square - square.T) > 1e-6
        if uneven.any():
            twisted = [
                f"[{rows[i]}, {rows[j]}] is {square[i, j]:.9g}, mirrored {square[j, i]:.9g}"
                for i, j in np.argwhere(np.triu(uneven, 1))
            ]
            messages.append(f"not symmetric: {_listed(twisted)}")
        if place != sorted(place):
            messages.append("rows and columns are in different orders")
    return messages


def _listed(words: list[str]) -> str:
    rest = len(words) - LISTED
    return "; ".join(islice(words, LISTED)) + (f"; and {rest} more" if rest > 0 else "")
