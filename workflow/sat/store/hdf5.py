"""HDF5 files of images: one image per chunk, no locking, and a digest of the content in the attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sat.errors import SatError
from sat.store.files import replacing
from sat.store.layout import Arrays

DIGEST = "content_sha256"
SLICE = 256
"""Number of items that are read at once if a whole array might not fit into memory."""
ZSTANDARD = 32015
"""Number of Zstandard among the filters of HDF5."""
LEVEL = 1
"""Level of Zstandard that packs arrays of images."""
LAST_BUILT_IN = 255
"""Filters with higher numbers are code of plugins."""


def codec() -> Mapping[str, Any]:
    """Choose how arrays of images are packed: Zstandard, level 1.

    At 224 px it is read about twice as fast as gzip, and perturbations are smaller. A higher level or
    shuffled bits make most of them larger (benchmarks/RESULTS.md).

    Returns
    -------
    mapping
        Arguments of h5py's `create_dataset`.

    Raises
    ------
    SatError
        If the package that holds Zstandard is not installed.
    """
    # The import makes HDF5 know the filter. It is here, so that stages which need no images do without it.
    try:
        import hdf5plugin
    except ImportError:
        raise SatError(
            "images and perturbations are packed with Zstandard, and a package is not installed that this needs; "
            "pip install hdf5plugin (envs/requirements.txt)."
        ) from None
    found: Mapping[str, Any] = hdf5plugin.Zstd(clevel=LEVEL)
    return found


@contextmanager
def writing(path: Path | str, kind: Arrays | None = None) -> Iterator[h5py.File]:
    """Write an HDF5 file under a temporary name; the digest of its content is written last.

    Parameters
    ----------
    path : path
    kind : Arrays, optional
        What the file holds. The attributes of the arrays (axes, unit, description) say so. They are no part of
        the content whose digest is computed.

    Yields
    ------
    h5py.File
    """
    with replacing(path) as temporary, h5py.File(temporary, "x", locking=False) as file:
        yield file
        if kind:
            _describe(file, kind)
        file.attrs[DIGEST] = content_digest(file)
        file.flush()


def _describe(file: h5py.File, kind: Arrays) -> None:
    """Write what is declared of the arrays of a file into their attributes."""
    file.attrs["description"] = kind.description
    for name in file:
        # An array that nobody has declared is a developer's mistake.
        declared = kind.arrays[name]
        file[name].attrs["axes"] = list(declared.axes)
        file[name].attrs["unit"] = declared.unit
        file[name].attrs["description"] = declared.description


@contextmanager
def reading(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    SatError
        If it is missing, truncated or not an HDF5 file, if it refers to other files or needs another plugin than that
        of `codec`, if that one is not installed, or if an array in it is damaged.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SatError(
            f"{path}: cannot be read as HDF5 ({str(error).splitlines()[0]}); delete it and run Snakemake again."
        ) from None
    with file:
        _check_readable(path, file)
        try:
            yield file
        except OSError as error:
            if "read data" not in str(error):
                raise
            raise damaged(path, str(error).splitlines()[0]) from None


def damaged(path: Path | str, why: str) -> SatError:
    """Make the error that says that a file is damaged."""
    return SatError(f"{path}: is damaged ({why}); 'sat verify --full' says how to make it again.")


def _check_readable(path: Path | str, file: h5py.File) -> None:
    """Refuse a file through which another file would be read, or code run that this project does not use.

    A folder of results may come from somebody else.
    """
    for name in file:
        link = file.get(name, getlink=True)
        data = file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise SatError(f"{path}: {name!r} is not stored in this file, but refers to another one; delete the file.")
        made = data.id.get_create_plist()
        plugins = {number for k in range(made.get_nfilters()) if (number := made.get_filter(k)[0]) > LAST_BUILT_IN}
        if foreign := plugins - {ZSTANDARD}:
            raise SatError(
                f"{path}: {name!r} is packed with filter {min(foreign)} of HDF5, which this project never uses; "
                "delete the file."
            )
        if plugins and not h5py.h5z.filter_avail(ZSTANDARD):
            codec()


def one_by_one(paths: Iterable[Path | str]) -> Iterator[h5py.File]:
    """Open each file for reading, and close it before the next, since only few files may be open at once."""
    for path in paths:
        with reading(path) as file:
            yield file


def stored_digest(path: Path | str) -> str:
    """Digest that a file holds of its own content; empty if the file was never finished."""
    with reading(path) as file:
        return str(file.attrs.get(DIGEST, ""))


def content_digest(file: h5py.File, rows: int | None = None) -> str:
    """Compute SHA-256 over names, types, shapes and values of all arrays; storage and compression do not count.

    Parameters
    ----------
    file : h5py.File
    rows : int, optional
        Number of items, the first of every array: then it is the digest of a file that holds only these.

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for name in sorted(file):
        data = file[name]
        count = len(data) if rows is None else min(rows, len(data))
        digest.update(f"{name} {data.dtype} {(count, *data.shape[1:])}\n".encode())
        for values in _slices(data, count):
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _slices(data: h5py.Dataset, count: int) -> Iterator[NDArray[Any]]:
    """The first values of an array in order, texts as the bytes of their lines."""
    # That module needs this one.
    from sat.store.chunks import ours, unpacked

    if ours(data):
        yield from islice(unpacked(data), count)
        return
    for start in range(0, count, SLICE):
        part = slice(start, min(start + SLICE, count))
        values = data[part]
        if values.dtype == object:
            values = np.frombuffer("\n".join(data.asstr()[part]).encode(), np.uint8)
        yield values


def image_dataset(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
    """Create a compressed array of images, with one image per chunk.

    So random access reads one chunk, images that are never written take no space, and the array can be shortened.

    Parameters
    ----------
    file : h5py.File
    name : str
    shape : tuple of int
        Shape (n, ...); the first axis is that of the images.
    dtype : dtype
    """
    return file.create_dataset(name, shape=shape, maxshape=shape, dtype=dtype, chunks=(1, *shape[1:]), **codec())
