"""What a study's config names must be there: columns, files, class folders. Faults are found before any job starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from sat.errors import SatError
from sat.study.spelling import did_you_mean

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def check_file(file: Path, key: str, where: str) -> None:
    """Accept a file that is there.

    Parameters
    ----------
    file : Path
    key : str
        Key of the config that names it, for messages.
    where : str
        Config file, for messages.

    Raises
    ------
    SatError
        With what is there instead.
    """
    if file.is_file():
        return
    place = file
    while not place.parent.exists():
        place = place.parent
    try:
        near = did_you_mean(place.name, [entry.name for entry in os.scandir(place.parent)], cutoff=0.8)
    except OSError:
        near = ""
    # Another study is named by the folder of its results, which may be empty so far.
    if file.parts[-2:] == ("similarity", "sat.csv") and file.parents[1].is_dir():
        near = "run that study first"
    advice = f"; {near}" if near else ""
    raise SatError(f"{where}: key '{key}': there is no file {file}{advice}" + ("" if near.endswith("?") else "."))


def check_groupings(
    asked: Sequence[str], cells: Mapping[str, Collection[str]], free: Collection[str], where: str, tables: str
) -> None:
    """Accept columns whose groups can be compared.

    Parameters
    ----------
    asked : sequence of str
        The config's key `groups`.
    cells : mapping of str to collection of str
        Cells of the models in use, by column; of all columns that a table of this study has or may have.
    free : collection of str
        Those columns that are groupings alone, with no other meaning.
    where : str
        Config file, for messages.
    tables : str
        Model tables, for messages.

    Raises
    ------
    SatError
        If a column is in no table, or its cells are all empty.
    """
    there = [column for column, values in cells.items() if any(values)]
    for column in asked:
        if column not in cells:
            advice = did_you_mean(column, there, f"there are {', '.join(there)}.", cutoff=0.7)
            raise SatError(f"{where}: key 'groups': {tables} has no column {column!r}; {advice}")
        # A table may keep a column of its own that has nothing to say for these models, beside others that do.
        if column not in there and not (column in free and any(other in there for other in asked)):
            raise SatError(
                f"{where}: key 'groups': column {column!r} of {tables} is empty for all models in use; fill it, or "
                "remove it from the key."
            )


def check_reference_names(column: str, cells: Mapping[str, Collection[str]], where: str, tables: str) -> None:
    """Accept a column that holds the models' names in the reference.

    Parameters
    ----------
    column : str
        The config's key `reference_names`, where it is not the default.
    cells : mapping of str to collection of str
        Cells of the models in use, by column that is a grouping.
    where : str
        Config file, for messages.
    tables : str
        Model tables, for messages.

    Raises
    ------
    SatError
        If the column is in no table, or its cells are all empty.
    """
    if any(cells.get(column, ())):
        return
    what = "is empty for all models in use" if column in cells else "is not there"
    there = [name for name, values in cells.items() if any(values)]
    advice = did_you_mean(column, there, "name a column that holds the models' names in the reference.")
    raise SatError(f"{where}: key 'reference_names': column {column!r} of {tables} {what}; {advice}")


def check_image_folder(root: Path, mapped: bool, where: str) -> None:
    """Accept a folder of images that holds a sub-folder a class, as far as its top level tells.

    Parameters
    ----------
    root : Path
        A folder that is not there, or a file, is accepted: images may lie on another machine.
    mapped : bool
        Whether a `class_map` names the classes. Then one of them may be enough.
    where : str
        Config file, for messages.

    Raises
    ------
    SatError
        If there are images without folders, or one class alone.
    """
    if not root.is_dir():
        return
    folders: list[str] = []
    pictures = 0
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.name.startswith((".", "__")):
                    continue
                if entry.name.endswith(".tar"):
                    return
                if entry.is_dir():
                    folders.append(entry.name)
                    if len(folders) == 2:
                        return
                pictures += entry.name.lower().endswith(PICTURES)
        deeper = False
        if folders:
            # Classes may lie deeper, as in val/<class>.
            with os.scandir(root / folders[0]) as entries:
                deeper = any(entry.is_dir() for entry in entries)
    except OSError:
        return
    start = f"{where}: key 'images.root': {root} holds"
    if not folders and pictures:
        raise SatError(
            f"{start} images without class folders ({pictures} files); put the images of each class into a "
            "folder of its own."
        )
    if folders and not deeper and not mapped:
        raise SatError(
            f"{start} one class alone, the folder {folders[0]!r}; a classifier needs at least two, "
            "each in a folder of its own."
        )
