"""The predictions of all models as labelled arrays, which are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from sat.results.reading import Folder
from sat.store.layout import ABSENT

Read: TypeAlias = Callable[..., NDArray[Any]]


class OnDemand(BackendArray):
    """An array of which only the part that is asked for is read.

    Parameters
    ----------
    shape : tuple of int
    read : callable
        Gets the indices along each axis, int arrays, and returns an array of their outer product.
    dtype : dtype
        Type of that array.
    """

    def __init__(self, shape: tuple[int, ...], read: Read, dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        found: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._outer
        )
        return found

    def _outer(self, key: tuple[Any, ...]) -> NDArray[Any]:
        wanted = [np.atleast_1d(np.arange(size)[part]) for size, part in zip(self.shape, key, strict=True)]
        # A number takes its axis away.
        axes = tuple(0 if np.ndim(part) == 0 and not isinstance(part, slice) else slice(None) for part in key)
        if not all(map(len, wanted)):
            return np.empty([len(each) for each in wanted], self.dtype)[axes]
        found: NDArray[Any] = self._read(*wanted)[axes]
        return found


def labelled(
    read: Read,
    coords: Mapping[str, Any],
    labels: NDArray[np.integer],
    name: str,
    about: str,
    units: str = "class",
    dtype: str = "int16",
) -> xr.DataArray:
    """Make a labelled array that is read on demand.

    Parameters
    ----------
    read : callable
        See `OnDemand`.
    coords : mapping
        Coordinates by the names of the axes, in their order; the last axis is that of the images.
    labels : int array, shape (images,)
        True classes.
    name : str
    about : str
        What the array holds.
    units : str
    dtype : str
        What `read` returns.

    Returns
    -------
    xarray.DataArray
    """
    data = indexing.LazilyIndexedArray(OnDemand(tuple(map(len, coords.values())), read, np.dtype(dtype)))
    with_label = {**coords, "label": ("image", labels)}
    return xr.DataArray(
        xr.Variable(tuple(coords), data), coords=with_label, name=name, attrs={"units": units, "long_name": about}
    )


def read_tiles(folder: Folder, prefix: str, models: Sequence[str], probabilities: bool = False) -> Read:
    """Make the function that reads predictions of adversarial images from tiles, or their probabilities.

    Parameters
    ----------
    folder : Folder
    prefix : str
        Folder of the variant, as `sat.study.plan.variant_folder` names it; empty for the study itself.
    models : sequence of str
        Targets and sources, in the order of both axes.
    probabilities : bool
        Whether to read the probability of each predicted class, float16, and NaN from tiles of earlier versions, which
        do not hold it.

    Returns
    -------
    callable
        Opens only the tiles that hold the pairs that are asked for.
    """

    def by_tile(targets: NDArray[np.integer], sources: NDArray[np.integer]) -> dict[tuple[str, str], list[list[int]]]:
        """Positions in `targets` and in `sources` of the pairs of each tile; pairs that are not measured have none."""
        found: dict[tuple[str, str], list[list[int]]] = {}
        for row, target in enumerate(targets.tolist()):
            for column, source in enumerate(sources.tolist()):
                if tile := folder.plan.tile_of(models[target], models[source]):
                    rows, columns = found.setdefault(tile, [[], []])
                    rows.append(row)
                    columns.append(column)
        return found

    name = "confidence" if probabilities else "prediction"

    def read(targets: NDArray[np.integer], sources: NDArray[np.integer], images: NDArray[np.integer]) -> NDArray[Any]:
        shape = (len(targets), len(sources), len(images))
        found: NDArray[Any] = np.full(shape, np.nan, np.float16) if probabilities else np.full(shape, ABSENT, np.int16)
        for (target_tile, source_tile), pairs in by_tile(targets, sources).items():
            with folder.hdf5(f"{prefix}tiles/{target_tile}/{source_tile}.h5") as file:
                if name not in file and probabilities:
                    continue  # tiles of earlier versions record none
                rows, columns = (np.unique(positions, return_inverse=True) for positions in pairs)
                place = [
                    _places(file[axis].asstr()[:].tolist(), [models[wanted[k]] for k in chosen])
                    for axis, wanted, (chosen, _) in (("target", targets, rows), ("source", sources, columns))
                ]
                block = _block(file[name], *place, images)
                found[tuple(pairs)] = block[rows[1], columns[1]]
        return found

    return read


def read_clean(folder: Folder, models: Sequence[str]) -> Read:
    """Make the function that reads predictions of clean images, shape (models, images)."""

    def read(rows: NDArray[np.integer], images: NDArray[np.integer]) -> NDArray[np.int16]:
        found = np.empty((len(rows), len(images)), np.int16)
        for position, row in enumerate(rows.tolist()):
            with folder.hdf5(f"clean/{models[row]}.h5") as file:
                found[position] = _block(file["attack_prediction"], images)
        return found

    return read


def _places(names: list[str], wanted: list[str]) -> NDArray[np.integer]:
    return np.array([names.index(name) for name in wanted])


def _block(data: Any, *wanted: NDArray[np.integer]) -> NDArray[Any]:
    """Read the outer product of indices as one slice of each axis: HDF5's own fancy indexing is far slower."""
    first = [int(each.min()) for each in wanted]
    block = data[tuple(slice(start, int(each.max()) + 1) for start, each in zip(first, wanted, strict=True))]
    found: NDArray[Any] = block[np.ix_(*(each - start for start, each in zip(first, wanted, strict=True)))]
    return found
