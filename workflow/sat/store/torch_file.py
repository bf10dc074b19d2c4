"""Files of torch.save, read without executing anything of them, and without more memory than they have bytes.

``torch.load`` takes the memory that a file declares, and calls functions that the file names from a list of harmless
ones, such as ``bytearray`` with any length. So the pickle in the file is read here, with placeholders for everything
but numbers, texts, lists, dicts and the descriptions of tensors.
"""

from __future__ import annotations

import io
import math
import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

Places: TypeAlias = Mapping[str, tuple[int, int]]
"""First byte and number of bytes of each storage in a file, by its key."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
LEGACY = 0x1950A86A20F9469CFC6C
"""The number at the start of files that torch.save wrote before version 1.6, or when asked for no zip file."""


class Storage(NamedTuple):
    """Numbers in the file, of which one or more tensors are views."""

    dtype: torch.dtype
    key: str
    length: int

    @property
    def n_bytes(self) -> int:
        """Size in the file."""
        return self.length * self.dtype.itemsize


class Declared(NamedTuple):
    """What the pickle says of a tensor."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def fits(self) -> bool:
        """Whether the storage has a number of its own for each of the tensor's."""
        numbers = [self.storage.length, self.offset, *self.shape, *self.stride]
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(self.shape) != len(
            self.stride
        ):
            return False
        last = sum((length - 1) * step for length, step in zip(self.shape, self.stride, strict=True))
        size = math.prod(self.shape)
        return size == 0 or (size <= self.storage.length and self.offset + last < self.storage.length)


class Other:
    """Stands for everything that is no tensor, such as the state of an optimiser's own classes."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> Other:
        """Stand for what it would return, too."""
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Take an item of a list's subclass."""

    def extend(self, items: object) -> None:
        """Take items of a list's subclass."""


PLACEHOLDERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    # Before version 0.4, there was no _v2.
    **dict.fromkeys(
        (("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2")),
        lambda storage, offset, shape, stride, *_: Declared(storage, offset, shape, stride),
    ),
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda rebuild, _, arguments, *__: rebuild(*arguments),
}
"""What the functions become that a file of torch.save names. All others become `Other`."""


class _Unpickler(pickle._Unpickler):
    """Reads a pickle of torch.save. The class written in C would take memory for any number of a memo in the file."""

    # A bytearray is made with the length that the file declares.
    dispatch = {code: read for code, read in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]}

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        return PLACEHOLDERS.get((module, name), Other)

    def persistent_load(self, pid: Any) -> Storage:
        _, dtype, key, _, length, *view = pid
        if not isinstance(dtype, torch.dtype) or any(part is not None for part in view):
            raise pickle.UnpicklingError("a tensor is of a type, or a view of a kind, that is not read here")
        return self.storages.setdefault(str(key), Storage(dtype, str(key), length))


class TorchFile:
    """A file of torch.save.

    Parameters
    ----------
    path : path

    Raises
    ------
    Exception
        Any error that a damaged or foreign file causes in zipfile or pickle.
    """

    root: Any
    """What was saved, with `Declared` for each tensor and `Other` for what is not read."""

    def __init__(self, path: Path | str) -> None:
        if not Path(path).stat().st_size:
            raise ValueError("it is empty")
        with Path(path).open("rb") as stream:
            self._content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        zipped = self._content[:4] == b"PK\3\4"
        self.root, self._places = _read_zip(path, self._content) if zipped else _read_legacy(self._content)
        self._numbers: dict[Storage, Tensor] = {}

    def check(self, declared: Declared) -> None:
        """Compare what a tensor claims with what the file holds for it.

        Raises
        ------
        ValueError
            If the file holds less.
        """
        storage = declared.storage
        if not declared.fits or self._places[storage.key][1] < storage.n_bytes:
            raise ValueError(f"a tensor claims the shape {declared.shape}, and the file does not hold so many numbers")

    def read(self, declared: Declared) -> Tensor:
        """Read a tensor. Tensors that shared their numbers share them again.

        Raises
        ------
        ValueError
            See `check`; and if all that has been read is more than the whole file, because parts of it are the same.
        """
        self.check(declared)
        storage, offset, shape, stride = declared
        if not math.prod(shape):
            return torch.empty(shape, dtype=storage.dtype)
        if storage not in self._numbers:
            if sum(known.n_bytes for known in (*self._numbers, storage)) > len(self._content):
                raise ValueError("its tensors claim more than the whole file")
            start = self._places[storage.key][0]
            part = bytearray(memoryview(self._content)[start : start + storage.n_bytes])
            self._numbers[storage] = torch.frombuffer(part, dtype=storage.dtype, count=storage.length)
        return self._numbers[storage].as_strided(shape, stride, offset)

    def everything(self) -> Any:
        """Read what was saved, with all tensors.

        Raises
        ------
        ValueError
            See `read`.
        TypeError
            If there is something else than tensors, numbers, texts, and lists and dicts of them.
        """
        return self._resolve(self.root)

    def _resolve(self, value: Any) -> Any:
        match value:
            case Declared():
                return self.read(value)
            case dict():
                return {key: self._resolve(part) for key, part in value.items()}
            case list() | tuple():
                return type(value)(map(self._resolve, value))
            case Other():
                raise TypeError("it holds other things than tensors, numbers and texts")
        return value


def _read_zip(path: Path | str, content: mmap.mmap) -> tuple[Any, Places]:
    """Read the pickle and the places of the storages of a zip file."""
    with zipfile.ZipFile(path) as archive:
        records = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if "constants.pkl" in records:
        raise ValueError("it is a TorchScript program, which would have to run to be read")
    if "data.pkl" not in records:
        raise ValueError("it is a zip file that torch.save has not written")
    places = {}
    for name, info in records.items():
        if info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"its part {name} is compressed, as torch.save never does")
        # Only the header before the part says where the part begins.
        length, extra = struct.unpack_from("<26xHH", content, info.header_offset)
        start = info.header_offset + 30 + length + extra
        places[name] = (start, min(info.file_size, len(content) - start))
    start, size = places.get("byteorder", (0, 0))
    if size and content[start : start + size] != b"little":
        raise ValueError("its numbers are big-endian")
    start, size = places["data.pkl"]
    root = _Unpickler(io.BytesIO(content[start : start + size])).load()
    return root, {name.removeprefix("data/"): place for name, place in places.items() if name.startswith("data/")}


def _read_legacy(content: mmap.mmap) -> tuple[Any, Places]:
    """Read the pickles of a file that is no zip file, and the places of the storages that follow them."""
    magic = _Unpickler(content).load()
    if magic != LEGACY:
        raise ValueError("torch.save has not written it")
    _, system = (_Unpickler(content).load() for _ in range(2))
    if not system["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(content)
    root, keys = unpickler.load(), _Unpickler(content).load()
    places, place = {}, content.tell()
    for key in keys:
        # The number of numbers comes before them.
        start, n_bytes = place + 8, unpickler.storages[str(key)].n_bytes
        places[str(key)] = (start, max(0, min(n_bytes, len(content) - start)))
        place = start + n_bytes
    return root, places
