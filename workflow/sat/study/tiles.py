"""Tiles: the blocks of the (target, source) matrix that one job evaluates."""

from __future__ import annotations

from collections.abc import Iterable

from sat.study.table import Model

LEAST_LANDMARKS = 6
"""Fewer leave too little, once one of them is left out, to tell how large the errors of estimates are."""


def cut_tiles(models: Iterable[Model], size: int) -> dict[str, tuple[str, ...]]:
    """Cut the models of each cohort, sorted by name, into tiles.

    A tile never spans cohorts, so a model in a new cohort changes no existing tile.
    For the same reason, retired models keep their places. The order of rows does not
    matter.

    Parameters
    ----------
    models : iterable of Model
        Rows of the study, retired ones included.
    size : int
        Number of models in a tile, at least 1.

    Returns
    -------
    dict of str to tuple of str
        Model names of each tile, by name of the tile. The names contain the cohort:
        ``c1-000``, ``c1-001``, ``c2-000``.
    """
    return _cut(((model.cohort, model.model) for model in models), size, "c")


def cut_landmarks(models: Iterable[Model], size: int) -> dict[str, tuple[str, ...]]:
    """Cut the landmarks of each draw, sorted by name, into tiles of their own.

    A landmark is also in a tile of its cohort. Its tile of landmarks is tried against the tiles of all cohorts, which
    are not tried against each other. So a later draw of further landmarks changes no existing tile.

    Parameters
    ----------
    models : iterable of Model
        Rows of the study, retired ones included.
    size : int
        Number of models in a tile, at least 1.

    Returns
    -------
    dict of str to tuple of str
        Model names of each tile, by name of the tile, which contains the draw: ``l1-000``. Empty without landmarks.
    """
    return _cut(((model.landmark, model.model) for model in models if model.landmark), size, "l")


def _cut(numbered: Iterable[tuple[int, str]], size: int, letter: str) -> dict[str, tuple[str, ...]]:
    """Cut the names with the same number, sorted, into tiles."""
    groups: dict[int, list[str]] = {}
    for number, name in numbered:
        groups.setdefault(number, []).append(name)
    tiles = {}
    for number, names in sorted(groups.items()):
        names.sort()
        for index, start in enumerate(range(0, len(names), size)):
            tiles[f"{letter}{number}-{index:03d}"] = tuple(names[start : start + size])
    return tiles
