"""Files of torch.save: what is read equals what torch.load reads, and hostile ones take no memory."""

from __future__ import annotations

import argparse
import copy
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sat.store.parts import readable
from sat.store.torch_file import Declared, TorchFile


def content() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(4, 6)
    return {
        "turned": base.T,
        "view": base[1:3, 2:],
        "parameter": torch.nn.Parameter(torch.randn(3, 2, dtype=torch.bfloat16)),
        "half": torch.randn(5).half(),
        "scalar": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "bytes": torch.arange(9, dtype=torch.uint8),
        "empty": torch.empty(0, 3),
        "nested": {"list": [1, 2.5, "text", None, (3, True)], "ordered": OrderedDict(a=torch.ones(2).double())},
        "state_dict": torch.nn.Linear(3, 2).state_dict(),
    }


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_reads_what_torch_reads(tmp_path: Path, zipped: bool):
    path = tmp_path / "some.pth"
    torch.save(content(), path, _use_new_zipfile_serialization=zipped)
    found = TorchFile(path).everything()
    assert equal(found, torch.load(path, weights_only=True))
    # What shared its numbers shares them again.
    found["turned"][2, 1] = -1
    assert found["view"][0, 0] == -1


class Old:
    """A tensor as PyTorch wrote it before version 0.4, as many published checkpoints are."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        made = self.tensor._typed_storage(), self.tensor.storage_offset(), self.tensor.shape, self.tensor.stride()
        return torch._utils._rebuild_tensor, (*made[:2], tuple(made[2]), made[3])


def test_reads_tensors_of_old_versions(tmp_path: Path):
    path = tmp_path / "published.th"
    state = torch.nn.Linear(3, 2).state_dict()
    old = {"best_prec1": 91.7, "state_dict": OrderedDict((name, Old(value)) for name, value in state.items())}
    torch.save(old, path, _use_new_zipfile_serialization=False)
    found = TorchFile(path).everything()
    assert equal(found["state_dict"], state) and equal(found, torch.load(path, weights_only=True))


def test_without_check_sums_and_with_another_protocol(tmp_path: Path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content(), tmp_path / "some.pth", pickle_protocol=4)
    finally:
        torch.serialization.set_crc32_options(before)
    assert equal(TorchFile(tmp_path / "some.pth").everything()["nested"], content()["nested"])


def test_what_is_no_tensor_is_not_read(tmp_path: Path):
    saved = {"weights": torch.ones(3), "args": argparse.Namespace(rate=1), "path": Path("here"), "rows": {1, 2}}
    torch.save(saved, tmp_path / "some.pth")
    file = TorchFile(tmp_path / "some.pth")
    assert file.read(file.root["weights"]).tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match="other things than tensors"):
        file.everything()


def rezip(path: Path, change: Callable[[bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write a zip file again with another pickle."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, change(part) if name.endswith("data.pkl") else part)


def number(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def declare(path: Path, zipped: bool, length: bytes = number(2**31 - 1)) -> None:
    """A tensor of 70,000 numbers that claims 2,147,483,647."""
    torch.save({"weight": torch.ones(70_000)}, path, _use_new_zipfile_serialization=zipped)
    if zipped:
        rezip(path, lambda part: part.replace(number(70_000), length))
    else:
        path.write_bytes(path.read_bytes().replace(number(70_000), length))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_tensor_has_no_more_numbers_than_the_file(tmp_path: Path, zipped: bool):
    path = tmp_path / "hostile.pth"
    declare(path, zipped)
    file = TorchFile(path)
    with pytest.raises(ValueError, match=r"claims the shape \(2147483647,\)"):
        file.read(file.root["weight"])
    # In either form, a negative number would lead to before the beginning.
    declare(path, zipped, number(-5))
    file = TorchFile(path)
    with pytest.raises(ValueError, match="claims the shape"):
        file.read(file.root["weight"])


def test_a_number_is_not_used_twice_within_a_tensor(tmp_path: Path):
    torch.save({"weight": torch.ones(1).expand(1_500_000_000, 64)}, tmp_path / "hostile.pth")
    file = TorchFile(tmp_path / "hostile.pth")
    with pytest.raises(ValueError, match=r"claims the shape \(1500000000, 64\)"):
        file.read(file.root["weight"])


def test_compressed_parts_are_refused(tmp_path: Path):
    path = tmp_path / "hostile.pth"
    torch.save({"weight": torch.zeros(10**7)}, path)
    rezip(path, lambda part: part, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**5
    with pytest.raises(ValueError, match="is compressed"):
        TorchFile(path)
    assert not readable(path)


def test_parts_that_are_the_same_bytes_are_counted(tmp_path: Path):
    path = tmp_path / "hostile.pth"
    torch.save({f"{key}": torch.zeros(25_000) for key in range(20)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            if "/data/" not in name:
                archive.writestr(name, part)
        archive.writestr("hostile/data/0", parts["hostile/data/0"])
        for key in range(1, 20):
            same = copy.copy(archive.filelist[-1])
            same.filename = f"hostile/data/{key}"
            archive.filelist.append(same)
    assert path.stat().st_size < 200_000
    with pytest.raises(ValueError, match="more than the whole file"):
        TorchFile(path).everything()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        # torch.load allows it, and would take 384 GB.
        return bytearray, (384 * 10**9,)


def test_functions_of_the_pickle_are_not_called(tmp_path: Path):
    torch.save({"weight": torch.ones(2), "bomb": Bomb()}, tmp_path / "hostile.pth")
    file = TorchFile(tmp_path / "hostile.pth")
    assert isinstance(file.root["weight"], Declared) and not isinstance(file.root["bomb"], bytearray)


@pytest.mark.parametrize(
    "program",
    [
        pickle.PROTO + b"\4" + pickle.BYTEARRAY8 + struct.pack("<Q", 384 * 10**9) + b".",
        # Pickle's own reader in C makes room for as many numbers of a memo.
        pickle.PROTO + b"\2N" + pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1) + b"q\0.",
        pickle.PROTO + b"\4" + pickle.BINBYTES8 + struct.pack("<Q", 384 * 10**9) + b".",
    ],
    ids=["bytearray", "memo", "bytes"],
)
def test_the_pickle_takes_no_more_memory_than_it_has_bytes(tmp_path: Path, program: bytes):
    import resource

    torch.save({}, tmp_path / "hostile.pth")
    rezip(tmp_path / "hostile.pth", lambda _: program)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert TorchFile(tmp_path / "hostile.pth").root is None
    except Exception as error:
        assert not isinstance(error, MemoryError)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000
