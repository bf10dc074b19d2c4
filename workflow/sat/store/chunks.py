"""Items of a stored array, such as images, read and unpacked outside of HDF5.

HDF5 lets one thread at a time read, and unpacks within its lock. Our files hold one item a chunk. So the place of
every chunk is looked up once, and after that each thread reads the bytes of a chunk itself and unpacks them itself.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from sat.store import hdf5

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
            self._one_a_chunk = data.chunks == (1, *data.shape[1:]) and {*self._filters} <= {hdf5.ZSTANDARD, GZIP}
            self._start = np.zeros(len(data), np.int64)
            self._size = np.zeros(len(data), np.int64)
            if self._one_a_chunk:
                data.id.chunk_iter(self._note)

    def _note(self, chunk: Any) -> None:
        row = chunk.chunk_offset[0]
        self._start[row], self._size[row] = chunk.byte_offset, chunk.size

    def read(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """See `Items`. The file is opened each time, so that no process or thread shares a handle.

        Raises
        ------
        SatError
            If an item is damaged.
        """
        if not self._one_a_chunk:
            self._read_with_hdf5(rows, out)
            return
        with Path(self._path).open("rb", buffering=0) as file:
            for row, item in zip(rows.tolist(), out, strict=True):
                if not self._size[row]:
                    item[...] = 0
                    continue
                try:
                    packed = os.pread(file.fileno(), int(self._size[row]), int(self._start[row]))
                    item[...] = np.frombuffer(self._unpack(packed, item.nbytes), self.dtype).reshape(item.shape)
                except (OSError, ValueError, zlib.error) as error:
                    raise hdf5.damaged(self._path, f"item {row} of {self._name!r}: {error}") from None

    def _unpack(self, raw: Any, size: int) -> Any:
        for number in reversed(self._filters):
            raw = _zstandard().decompress(raw, size) if number == hdf5.ZSTANDARD else zlib.decompress(raw)
        return raw

    def _read_with_hdf5(self, rows: NDArray[np.integer], out: NDArray[Any]) -> None:
        """Read an array that is stored in another way than ours."""
        with hdf5.reading(self._path) as file:
            # HDF5's fancy indexing is hundreds of times slower.
            for row, item in zip(rows.tolist(), out, strict=True):
                item[...] = file[self._name][row]


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
