"""Items that are read and packed outside of HDF5, against HDF5 itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import h5py
import numpy as np
import pytest

from sat.errors import SatError
from sat.store import chunks, hdf5
from sat.store.chunks import Chunks, pack, store

RANDOM = np.random.default_rng(0)
STORAGE = {
    "Zstandard": None,
    "gzip of earlier versions": {"chunks": (1, 3, 8, 8), "compression": "gzip", "compression_opts": 1},
    "shuffled bytes": {"chunks": (1, 3, 8, 8), "compression": "gzip", "shuffle": True},
    "not packed": {"chunks": (1, 3, 8, 8)},
    "several in a chunk": {"chunks": (4, 3, 8, 8), "compression": "gzip"},
    "no chunks": {},
}


@pytest.mark.parametrize("storage", STORAGE.values(), ids=STORAGE)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_items_are_those_that_hdf5_reads(tmp_path, storage, dtype):
    # Some can be packed, and some cannot.
    values = RANDOM.integers(0, 100, (20, 3, 8, 8)).astype(dtype)
    values[5:10] = 7
    with hdf5.writing(tmp_path / "a.h5") as file:
        if storage is None:
            data = hdf5.image_dataset(file, "image", values.shape, dtype)
        else:
            data = file.create_dataset("image", values.shape, dtype, **storage)
        for row in range(0, 20, 2):
            data[row] = values[row]
    rows = np.array([4, 19, 3, 4, 8, 0])
    found = np.full((6, 3, 8, 8), 99, dtype)
    items = Chunks(tmp_path / "a.h5", "image")
    items.read(rows, found)
    with h5py.File(tmp_path / "a.h5") as file:
        expected = np.stack([file["image"][row] for row in rows])
    assert (found == expected).all() and not found[1].any(), "what was never written is zero"
    assert (items.shape, items.dtype) == (values.shape, np.dtype(dtype))


@pytest.mark.parametrize("most", [1, 400, 2**20])
def test_items_are_the_same_however_many_are_unpacked_together(tmp_path, monkeypatch, most):
    monkeypatch.setattr(chunks, "TOGETHER", most)
    values = RANDOM.integers(0, 9, (20, 3, 8, 8)).astype(np.uint8)
    with hdf5.writing(tmp_path / "a.h5") as file:
        data = hdf5.image_dataset(file, "image", values.shape, np.uint8)
        values[[3, 11]] = 0
        for row in {*range(20)} - {3, 11}:
            data[row] = values[row]
    rows = RANDOM.permutation(20)
    found = np.full(values.shape, 99, np.uint8)
    Chunks(tmp_path / "a.h5", "image").read(rows, found)
    assert (found == values[rows]).all()
    Chunks(tmp_path / "a.h5", "image").read(rows[:0], found[:0])


def test_threads_that_begin_together_read_the_same_items_and_look_their_places_up_once(tmp_path, monkeypatch):
    values = RANDOM.integers(0, 9, (64, 3, 8, 8)).astype(np.uint8)
    with hdf5.writing(tmp_path / "a.h5") as file:
        hdf5.image_dataset(file, "image", values.shape, np.uint8)[:] = values
    items, opened, together = Chunks(tmp_path / "a.h5", "image"), [], Barrier(4)
    original = hdf5.reading
    monkeypatch.setattr(hdf5, "reading", lambda path: (opened.append(path), original(path))[1])

    def read(rows):
        found = np.empty((len(rows), 3, 8, 8), np.uint8)
        together.wait()
        items.read(rows, found)
        return found

    parts = np.split(RANDOM.permutation(64), 4)
    with ThreadPoolExecutor(4) as pool:
        for rows, found in zip(parts, pool.map(read, parts), strict=True):
            assert (found == values[rows]).all()
    assert len(opened) == 1


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("threads", [1, 3])
def test_items_are_packed_into_the_bytes_that_hdf5_packs_them_into(tmp_path, dtype, threads):
    values = RANDOM.integers(-8, 9, (7, 3, 8, 8)).astype(dtype)
    values[3] = RANDOM.integers(-128, 128, (3, 8, 8))
    rows = np.array([1, 2, 5, 7, 8, 10, 11])
    with hdf5.writing(tmp_path / "theirs.h5") as file:
        data = hdf5.image_dataset(file, "perturbation", (12, 3, 8, 8), dtype)
        for row, item in zip(rows, values, strict=True):
            data[row] = item
    with hdf5.writing(tmp_path / "ours.h5") as file:
        store(hdf5.image_dataset(file, "perturbation", (12, 3, 8, 8), dtype), rows, *pack(values, threads))
    with h5py.File(tmp_path / "ours.h5") as ours, h5py.File(tmp_path / "theirs.h5") as theirs:
        assert (ours["perturbation"][:] == theirs["perturbation"][:]).all()
        assert (ours["perturbation"][rows] == values).all()
        for row in rows.tolist():
            assert ours["perturbation"].id.read_direct_chunk((row, 0, 0, 0)) == theirs[
                "perturbation"
            ].id.read_direct_chunk((row, 0, 0, 0))
    assert hdf5.stored_digest(tmp_path / "ours.h5") == hdf5.stored_digest(tmp_path / "theirs.h5")


def test_a_damaged_item_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with hdf5.writing(path) as file:
        hdf5.image_dataset(file, "image", (3, 3, 8, 8), np.uint8)[:] = RANDOM.integers(0, 9, (3, 3, 8, 8))
    with h5py.File(path) as file:
        place = file["image"].id.get_chunk_info_by_coord((1, 0, 0, 0)).byte_offset
    raw = bytearray(path.read_bytes())
    raw[place : place + 4] = b"evil"
    path.write_bytes(raw)
    found = np.empty((1, 3, 8, 8), np.uint8)
    Chunks(path, "image").read(np.array([2]), found)
    with pytest.raises(SatError, match=r"a\.h5: is damaged \(item 1 of 'image': "):
        Chunks(path, "image").read(np.array([0, 2, 1]), np.empty((3, 3, 8, 8), np.uint8))
    with pytest.raises(SatError, match=r"a\.h5: is damaged \(item 1 of 'image': .*sat verify --full"):
        Chunks(path, "image").read(np.array([1]), found)
    path.write_bytes(raw[:-1000])
    with pytest.raises(SatError, match=r"a\.h5: (is damaged|cannot be read)"):
        Chunks(path, "image").read(np.array([0]), found)
