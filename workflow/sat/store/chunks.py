"""Items of a stored array, such as images, read and unpacked outside of HDF5.

HDF5 lets one thread at a time read, and unpacks within its lock. Our files hold one item a chunk. So the place of
every chunk is looked up once, by the thread that reads first. After that each thread reads the bytes of a chunk itself
and unpacks them itself.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from sat.store import hdf5

IN_MEMORY = 2**30
"""Largest number of bytes of images that are read at once and kept in memory."""
TOGETHER = 2**20
"""Largest number of bytes of items that one call unpacks. A call costs as much as unpacking tens of kilobytes."""
LOOKING = Lock()
"""Held by the thread that looks places up, so that the others do not look for the same ones. HDF5 would let them wait
in any case, and a lock for each file could not be pickled."""
GZIP = 1
"""Number of gzip among the filters of HDF5. Files of earlier versions are packed with it."""


class Items(Protocol):
    """An array whose items are read when they are asked for, from any thread."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """Read items, in the order of `rows`, into an array of shape (rows, ...) of the same type."""


class Held:
    """An array in memory as `Items`."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """See `Items`."""
        np.take(self._array, rows, axis=0, out=out)


class Chunks:
    """An array of a finished file as `Items`. Items that were never written are zero.

    Parameters
    ----------
    path : path
    name : str
        Name of the array in the file.

    Raises
    ------
    SatError
        If the file cannot be read; see `sat.store.hdf5.reading`.
    """

    def __init__(self, path: Path | str, name: str) -> None:
        self._path, self._name = path, name
        with hdf5.reading(path) as file:
            data = file[name]
            self.shape: tuple[int, ...] = data.shape
            self.dtype: np.dtype[Any] = data.dtype
            self._filters = _filters(data)
            self._ours = ours(data)
        self._places: NDArray[np.int64] | None = None

    def _look_up(self) -> NDArray[np.int64]:
        """Where each item starts in the file, and its number of bytes; shape (2, n)."""
        with LOOKING:
            if self._places is None:
                starts, sizes = found = np.zeros((2, self.shape[0]), np.int64)

                def note(chunk: Any) -> None:
                    row = chunk.chunk_offset[0]
                    starts[row], sizes[row] = chunk.byte_offset, chunk.size

                with hdf5.reading(self._path) as file:
                    file[self._name].id.chunk_iter(note)
                self._places = found
            return self._places

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """See `Items`. The file is opened each time, so that no process or thread shares a handle.

        Raises
        ------
        SatError
            If an item is damaged.
        """
        if not self._ours:
            self._read_with_hdf5(rows, out)
            return
        # Zstandard unpacks what it packed apart in one call. gzip does not.
        together = 1 if GZIP in self._filters else max(1, TOGETHER // max(1, out[:1].nbytes))
        places = self._look_up()[:, rows]
        with Path(self._path).open("rb", buffering=0) as file:
            for first in range(0, len(rows), together):
                part = slice(first, first + together)
                self._unpack(file.fileno(), rows[part], places[:, part], out[part])

    def _unpack(self, file: int, rows: NDArray[np.integer], places: NDArray[np.int64], out: NDArray[Any]) -> None:
        starts, sizes = places
        stored = sizes > 0
        out[~stored] = 0
        if not stored.any():
            return
        try:
            packed = map(os.pread, repeat(file), sizes.tolist(), starts.tolist())
            raw = _unpack(b"".join(packed), int(stored.sum()) * out[0].nbytes, self._filters)
            out[... if stored.all() else stored] = np.frombuffer(raw, self.dtype).reshape(-1, *out.shape[1:])
        except (OSError, ValueError, zlib.error) as error:
            if len(rows) == 1:
                raise hdf5.damaged(self._path, f"item {rows[0]} of {self._name!r}: {error}") from None
            # One by one, to say which of them is damaged.
            for place in range(len(rows)):
                one = slice(place, place + 1)
                self._unpack(file, rows[one], places[:, one], out[one])

    def _read_with_hdf5(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """Read an array that is stored in another way than ours."""
        with hdf5.reading(self._path) as file:
            # HDF5's fancy indexing is hundreds of times slower.
            for row, item in zip(rows.tolist(), out, strict=True):
                item[...] = file[self._name][row]


class Images:
    """Images of a file, by their numbers. Few images are kept in memory; many are read when they are asked for.

    Parameters
    ----------
    path : path
        Path of images/<split>.h5.
    in_memory : int
        Largest number of bytes of images that are kept in memory.
    """

    def __init__(self, path: Path | str, in_memory: int = IN_MEMORY) -> None:
        self._items = Chunks(path, "image")
        self.shape = self._items.shape
        self._kept: NDArray[np.uint8] | None = None
        if np.prod(self.shape) <= in_memory:
            self._kept = self[np.arange(len(self))]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Get the images of some rows, in the order of the rows."""
        if self._kept is not None:
            kept: NDArray[np.uint8] = self._kept[rows]
            return kept
        found: NDArray[np.uint8] = np.empty((len(rows), *self.shape[1:]), np.uint8)
        self._items.read(rows, found)
        return found


def ours(data: h5py.Dataset) -> bool:
    """Say whether an array holds one item a chunk, packed as this version or an earlier one packs."""
    return data.chunks == (1, *data.shape[1:]) and {*_filters(data)} <= {hdf5.ZSTANDARD, GZIP}


def unpacked(data: h5py.Dataset, threads: int = 2) -> Iterator[NDArray[Any]]:
    """Yield the items of an array of an open file in order; threads unpack while the caller works on them."""
    filters, missing = _filters(data), np.zeros(data.shape[1:], data.dtype)

    def item(row: int) -> NDArray[Any]:
        place = (row, *(0 for _ in data.shape[1:]))
        if data.id.get_chunk_info_by_coord(place).byte_offset is None:
            return missing
        raw = _unpack(data.id.read_direct_chunk(place)[1], missing.nbytes, filters)
        return np.frombuffer(raw, data.dtype).reshape(missing.shape)

    with ThreadPoolExecutor(threads, "unpack") as pool:
        for start in range(0, len(data), hdf5.SLICE):
            yield from pool.map(item, range(start, min(start + hdf5.SLICE, len(data))))


def _unpack(raw: Any, size: int, filters: list[int]) -> Any:
    for number in reversed(filters):
        raw = _zstandard().decompress(raw, size) if number == hdf5.ZSTANDARD else zlib.decompress(raw)
    return raw


def _filters(data: h5py.Dataset) -> list[int]:
    made = data.id.get_create_plist()
    return [made.get_filter(number)[0] for number in range(made.get_nfilters())]


def pack(items: NDArray[Any], threads: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pack items as HDF5 does with `sat.store.hdf5.codec`; other threads go on meanwhile.

    Parameters
    ----------
    items : array, shape (n, ...)
    threads : int

    Returns
    -------
    uint8 array
        The packed items, one after the other.
    int64 array, shape (n,)
        Number of bytes of each.
    """

    def packed(item: NDArray[Any]) -> bytes:
        found: bytes = _zstandard().compress(np.ascontiguousarray(item), asbytes=True)
        return found

    if threads == 1:
        every = [packed(item) for item in items]
    else:
        with ThreadPoolExecutor(threads, "pack") as pool:
            every = list(pool.map(packed, items))
    return np.frombuffer(b"".join(every), np.uint8), np.array([len(one) for one in every], np.int64)


def store(data: h5py.Dataset, rows: NDArray[np.integer], packed: NDArray[np.uint8], sizes: NDArray[np.integer]) -> None:
    """Store what `pack` has packed, as it is, in rows of an array of `sat.store.hdf5.image_dataset`."""
    raw, stops = packed.tobytes(), np.cumsum(sizes)
    for row, stop, size in zip(rows.tolist(), stops.tolist(), sizes.tolist(), strict=True):
        data.id.write_direct_chunk((row, *(0 for _ in data.shape[1:])), raw[stop - size : stop])


@cache
def _zstandard() -> Any:
    import pyarrow

    return pyarrow.Codec("zstd", compression_level=hdf5.LEVEL)
