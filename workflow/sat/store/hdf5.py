"""HDF5 files of images: one image a chunk, locking off, a digest of the content in the attributes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sat.errors import SatError
from sat.store.artefact import replacing

DIGEST = "content_sha256"
SLICE = 256
"""Items that are read at once where a whole array might not fit into memory."""


@contextmanager
def writing(path: Path | str) -> Iterator[h5py.File]:
    """Write an HDF5 file under a temporary name; the digest of its content comes last.

    Yields
    ------
    h5py.File
    """
    with replacing(path) as temporary, h5py.File(temporary, "x", locking=False) as file:
        yield file
        file.attrs[DIGEST] = content_digest(file)
        file.flush()


@contextmanager
def reading(path: Path | str) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises
    ------
    SatError
        If it is missing, cut off or no HDF5 file.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise SatError(
            f"{path}: cannot be read as HDF5 ({str(error).splitlines()[0]}); delete it and run Snakemake again."
        ) from None
    with file:
        yield file


def stored_digest(path: Path | str) -> str:
    """Digest that a file holds of its own content; empty if the file was never finished."""
    with reading(path) as file:
        return str(file.attrs.get(DIGEST, ""))


def content_digest(file: h5py.File) -> str:
    """SHA-256 over names, types, shapes and values of all arrays; storage and compression do not count.

    Parameters
    ----------
    file : h5py.File

    Returns
    -------
    str
    """
    digest = hashlib.sha256()
    for name in sorted(file):
        data = file[name]
        digest.update(f"{name} {data.dtype} {data.shape}\n".encode())
        for start in range(0, len(data), SLICE):
            values = data[start : start + SLICE]
            digest.update(
                "\n".join(data.asstr()[start : start + SLICE]).encode()
                if values.dtype == object
                else np.ascontiguousarray(values).tobytes()
            )
    return digest.hexdigest()


def image_dataset(file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any) -> h5py.Dataset:
    """Create an array of images, compressed, one image a chunk.

    Random access reads one chunk, images that are never written take no room, and the array can be cut short.

    Parameters
    ----------
    file : h5py.File
    name : str
    shape : tuple of int
        (n, ...): the first axis counts images.
    dtype : dtype
    """
    # gzip is in every HDF5 build, and level 1 is nearly as small as 9 on perturbations.
    return file.create_dataset(
        name, shape=shape, maxshape=shape, dtype=dtype, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
    )
