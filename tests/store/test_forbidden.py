"""A missing permission is said in one line with the place, whichever library meets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest

from sat.store.files import forbidden, replacing

NOBODY = 65534


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, in which nobody may make a file."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    monkeypatch.chdir(folder)
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield Path()
    os.seteuid(before)


def written(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("a")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (Path.touch, "a.h5: cannot be read or written (Permission denied)"),
        (Path.mkdir, "a.h5: cannot be read or written (Permission denied)"),
        (written, ".: cannot be read or written (Permission denied)"),
        (lambda path: h5py.File(path, "w"), "name = 'a.h5'"),
    ],
    ids=["file", "folder", "a file that is being written", "HDF5"],
)
def test_the_place_is_named(locked: Path, write: Callable[[Path], object], said: str) -> None:
    with pytest.raises(OSError) as caught:
        write(locked / "a.h5")
    assert said in forbidden(caught.value) and "\n" not in forbidden(caught.value)


def test_other_errors_are_left_alone() -> None:
    assert forbidden(FileNotFoundError(2, "No such file", "a")) == ""
    assert forbidden(ValueError("a")) == ""
