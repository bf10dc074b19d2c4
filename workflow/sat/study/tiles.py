"""Tiles: the blocks of the (target, source) matrix that one job evaluates."""

from __future__ import annotations

from collections.abc import Iterable

from sat.study.table import Model


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
    cohorts: dict[int, list[str]] = {}
    for model in models:
        cohorts.setdefault(model.cohort, []).append(model.model)
    tiles = {}
    for cohort, names in sorted(cohorts.items()):
        names.sort()
        for index, start in enumerate(range(0, len(names), size)):
            tiles[f"c{cohort}-{index:03d}"] = tuple(names[start : start + size])
    return tiles
