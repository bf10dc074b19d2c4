"""Data sets: scikit-learn's digits, and all that timm's dataset readers can read."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sat.errors import SatError, in_a_line
from sat.images.images import TooManyPixels, check_pixels
from sat.seeds import key

PACKAGES = {"hfds": "datasets", "hfids": "datasets", "tfds": "tensorflow-datasets", "wds": "webdataset"}
"""The package that each reader needs in addition to timm."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Formats of images that are read, as Pillow names them. For others, Pillow may start other programs."""
MOST_BYTES = 2**30
"""Largest file of one image. A sparse file, or a sparse member of a tar, may claim any size."""
MOST_PATHS = 100
"""Paths that may lead to one folder. Links to folders of links could make more paths than a walk would ever end."""


@dataclass(frozen=True)
class Listing:
    """All images of a data set, without their pixels, in the order of the data set."""

    names: tuple[str, ...]
    """Unique names: the path within the folder, or the number of the image if the data set has no names."""
    labels: NDArray[np.int64]
    """True classes, as numbers of the models' outputs, shape (n,)."""
    classes: tuple[str, ...] | None
    """Names of the classes by label; None if the data set gives numbers only."""

    @property
    def n_classes(self) -> int:
        """Number of classes: of those that have names, or else up to the largest label."""
        return len(self.classes) if self.classes else int(self.labels.max()) + 1

    @property
    def ids(self) -> NDArray[np.int64]:
        """A number for each image that depends only on its name, shape (n,)."""
        numbers = [int(name) if name.isdecimal() else key(name) % 2**63 for name in self.names]
        return np.array(numbers, np.int64)


class Dataset(Protocol):
    """A data set that lists its images and reads some of them."""

    streams: bool
    """Whether it can only be read from beginning to end."""

    @property
    def dropped(self) -> int:
        """Number of images that the reader left out. For a stream, it is known after the listing."""

    def listing(self) -> Listing:
        """List all images."""

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | Image.Image | OSError]]:
        """Read images.

        Parameters
        ----------
        rows : sequence of int
            Positions in the listing.

        Yields
        ------
        int
            Position in the listing. The data set decides the order.
        bytes, PIL.Image.Image or OSError
            The content of the file; the image if the reader has decoded it; or why the file cannot be read.
        """


class Digits:
    """Scikit-learn's handwritten digits: real scans of 8 x 8 px, whose 17 grey levels are spread over 0 to 255."""

    streams = False
    dropped = 0

    def __init__(self) -> None:
        table = _digits_table()
        self.images = np.rint(table[:, :-1].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
        self.labels = table[:, -1].astype(np.int64)

    def listing(self) -> Listing:
        """List the 1,797 images."""
        return Listing(
            tuple(str(row) for row in range(len(self.labels))), self.labels, tuple(str(label) for label in range(10))
        )

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Read images; see `Dataset`."""
        for row in rows:
            yield row, Image.fromarray(self.images[row])


def _digits_table() -> NDArray[np.float64]:
    """Scikit-learn's table of digits: a row an image, its 64 pixels from 0 to 16 and its label.

    To import scikit-learn takes longer than all else that these jobs do, so the file is read where it lies.
    """
    package = find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets/data/digits.csv.gz"
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    return np.column_stack([data, labels])


class TimmDataset:
    """A data set behind one of timm's readers.

    Parameters
    ----------
    reader : timm.data.readers.reader.Reader
    class_map : bool
        Whether the reader maps class names to outputs by a file.
    """

    def __init__(self, reader: Any, class_map: bool = False) -> None:
        self.reader = reader
        self.class_map = class_map
        # Readers of streams have neither positions nor names.
        self.streams = not hasattr(reader, "__getitem__")
        self.listed = 0

    @property
    def dropped(self) -> int:
        """Number of images that the reader left out. For a stream, it is known after the listing."""
        declared = getattr(self.reader, "num_samples", 0) if self.streams else 0
        return max(0, declared - self.listed) if declared else 0

    def listing(self) -> Listing:
        """List all images; a stream is read from beginning to end."""
        labels = np.array([self._label(label) for label in self._labels()], np.int64)
        self.listed = len(labels)
        names = [str(row) for row in range(len(labels))] if self.streams else list(self._names())
        return Listing(tuple(names), labels, self._classes(labels))

    def _labels(self) -> Iterator[Any]:
        if self.streams:
            yield from (label for _, label in self._stream())
        elif hasattr(self.reader, "iter_targets"):
            yield from self.reader.iter_targets()
        elif hasattr(self.reader, "targets"):
            yield from self.reader.targets
        else:
            yield from (label for _, label in self.reader.samples)

    @staticmethod
    def _label(label: Any) -> int:
        if label is None or np.ndim(label) or int(label) < 0:
            raise SatError(f"an image has the label {label!r}; a study needs one class number per image, from 0 on.")
        return int(label)

    def _names(self) -> Iterator[str]:
        samples = getattr(self.reader, "samples", None)
        for row in range(len(self.reader)):
            if samples is None:
                yield str(row)  # to know the name of a file, it would have to be read
            elif isinstance(samples[row][0], str):
                yield Path(self.reader.filename(row)).as_posix()
            else:
                # Several tars may hold the same names, so the name of the tar comes first.
                yield "/".join(part for part in (_tar(samples[row]), self.reader.filename(row)) if part)

    def _classes(self, labels: NDArray[np.int64]) -> tuple[str, ...] | None:
        indices = getattr(self.reader, "class_to_idx", None) or getattr(self.reader, "class_name_to_idx", None)
        if self.class_map or not indices or sorted(indices.values()) != list(range(len(indices))):
            return None
        return tuple(str(name) for name, _ in sorted(indices.items(), key=lambda item: item[1]))

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | Image.Image | OSError]]:
        """Read images; see `Dataset`."""
        if not self.streams:
            for row in rows:
                yield row, self._file(row)
            return
        wanted = set(rows)
        for row, (image, _) in enumerate(self._stream()):
            if row in wanted:
                yield row, image

    def _file(self, row: int) -> bytes | OSError:
        """Read an image's file, or say why it cannot be read."""
        try:
            if (samples := getattr(self.reader, "samples", None)) is not None:
                _check_file(samples[row][0])
            with self.reader[row][0] as stream:
                content: bytes = stream.read()
                return content
        except OSError as error:
            return error

    def _stream(self) -> Iterator[tuple[Image.Image, Any]]:
        """Read a stream, whose reader decodes the images by itself."""
        with _only_formats():
            done = 0
            try:
                for item in self.reader:
                    yield item
                    done += 1
            except Exception as error:  # Pillow's plugins, and the libraries behind the readers, raise all kinds
                raise SatError(
                    f"the image after the first {done} of the stream cannot be read ({in_a_line(error)}); formats: "
                    f"{', '.join(FORMATS)}."
                ) from None


def _check_file(place: Any) -> None:
    """Raise an OSError unless a path, or a member of a tar, is a regular file that may be an image.

    To open a pipe or a device could wait for ever.
    """
    path = Path(place) if isinstance(place, str) else None
    if path and not path.is_file():
        raise OSError("it is not a regular file" if path.exists() else "it is a broken link, or is not there")
    if (size := path.stat().st_size if path else place.size) > MOST_BYTES:
        raise OSError(f"it claims {size / 1e9:.1f} GB, which no image takes")


@contextmanager
def _only_formats() -> Iterator[None]:
    """Let Pillow open only `FORMATS`, also where a library calls it."""
    Image.init()
    known = Image.ID.copy()
    Image.ID[:] = FORMATS
    try:
        yield
    finally:
        Image.ID[:] = known


def _tar(sample: Any) -> str:
    _, parent, child = sample
    return "/".join(part for part in (parent, child.name if child else "") if part)


def open_dataset(source: str, root: str | None, split: str, class_map: str | None) -> Dataset:
    """Open a data set.

    Parameters
    ----------
    source : str
        ``digits``, ``folder``, or the name of a data set with the prefix of
        one of timm's readers (``hfds/``, ``hfids/``, ``tfds/``, ``wds/``).
    root : str, optional
        Folder or file. For readers that download, it is the cache.
    split : str
        Split of the data set, for readers that know splits.
    class_map : str, optional
        File with one class name per line. The number of the line is the label.

    Returns
    -------
    Dataset

    Raises
    ------
    SatError
        If the data set is not there, holds no image, has links that lead into themselves, or needs a package that is
        not installed.
    """
    if source == "digits":
        return Digits()
    from timm.data.readers.reader_factory import create_reader

    name = "" if source == "folder" else source
    if source == "folder" and not Path(root or "").exists():
        raise SatError(
            f"{root}: is not there; key 'images.root' names the folder of the images: one sub-folder per class, or a "
            ".tar of such folders."
        )
    if source == "folder":
        _check_links(Path(root or ""))
    try:
        # timm's other reader takes a folder that holds only tars as one data set.
        if source == "folder" and Path(root or "").is_dir() and _holds_tars_alone(Path(root or "")):
            from timm.data.readers.reader_image_in_tar import ReaderImageInTar

            # The cache of this reader would be a pickle file beside the user's files.
            reader: Any = ReaderImageInTar(root, class_map=class_map or "", cache_tarinfo=False)
        else:
            options = {"cache_tarinfo": False} if source == "folder" and Path(root or "").is_file() else {}
            reader = create_reader(name, root=root, split=split, class_map=class_map, **options)
    except ImportError as error:
        package = PACKAGES[source.partition("/")[0]]
        raise SatError(f"images.source {source!r} needs a package: pip install {package} ({error}).") from None
    except SatError:
        raise
    except Exception as error:  # each library behind a reader has errors of its own
        if "webdataset" in str(error):
            raise SatError(f"images.source {source!r} needs a package: pip install webdataset.") from None
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise SatError(
            f"images.source {source!r}, root {root!r}, split {split!r}: cannot be opened ({reason})."
        ) from None
    return TimmDataset(reader, class_map is not None)


def _holds_tars_alone(root: Path) -> bool:
    entries = [entry for entry in root.iterdir() if not entry.name.startswith(("_", "."))]
    return bool(entries) and all(entry.suffix == ".tar" and entry.is_file() for entry in entries)


def _check_links(root: Path) -> None:
    """Refuse a folder whose links lead into themselves: timm's walk follows links, and would not end.

    Links to folders elsewhere are allowed.

    Raises
    ------
    SatError
        It names the folder at which a walk goes round.
    """
    reached: Counter[tuple[int, int]] = Counter()
    # Each folder comes with those above it.
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [(str(root), ())]
    while waiting:
        folder, above = waiting.pop()
        try:
            status = Path(folder).stat()
            here = (status.st_dev, status.st_ino)
            reached[here] += 1
            if here in above or reached[here] > MOST_PATHS:
                how = "leads back to a folder above it" if here in above else f"is reached by over {MOST_PATHS} paths"
                raise SatError(f"{folder}: {how} through links, so its images would count again; remove the link.")
            with os.scandir(folder) as entries:
                waiting += [(entry.path, (*above, here)) for entry in entries if _is_folder(entry)]
        except OSError:  # timm's walk leaves it out too
            continue


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _format(content: bytes) -> str:
    """Say what format a file has, without decoding it."""
    Image.init()
    for name, (_, accept) in Image.OPEN.items():
        if accept and accept(content[:16]) is True:
            return f"its format is {name}"
    return "its format is not known" if content else "the file is empty"


def _open(content: bytes) -> Image.Image:
    """Open an image in one of `FORMATS`. Its size is known then, and its pixels are not decoded yet."""
    pillows_own, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"{_format(content)}, and these are read: {', '.join(FORMATS)}") from None
    finally:
        Image.MAX_IMAGE_PIXELS = pillows_own


def peek(image: bytes, most: float = math.inf) -> tuple[int, int]:
    """Read the header of an image, and not its pixels.

    Parameters
    ----------
    image : bytes
        The content of a file.
    most : float
        Most pixels, in millions; see `check_pixels`.

    Returns
    -------
    width, height : int
        In pixels.

    Raises
    ------
    ValueError
        If it is not an image of a known format, or has too many pixels.
    """
    try:
        size = _open(image).size
    # Pillow's plugins raise all kinds of errors when a file is damaged.
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None
    check_pixels(size, most)
    return size


def decode(image: bytes | Image.Image | OSError, most: float = math.inf) -> tuple[Image.Image, str | None]:
    """Decode an image to upright RGB.

    Grey, palette, CMYK and transparent images are converted to RGB, 16 bits are scaled
    to 8, and an orientation in the EXIF data is applied. Of an animation, the first picture is taken.

    Parameters
    ----------
    image : bytes, PIL.Image.Image or OSError
        What `Dataset.read` yields.
    most : float
        Most pixels, in millions; no limit by default.

    Returns
    -------
    image : PIL.Image.Image
        Mode RGB.
    digest : str or None
        SHA-256 of the file; None if the reader did not give the file.

    Raises
    ------
    ValueError
        If it is not an image, is truncated, has another format than `FORMATS`, or holds numbers that are not grey
        levels.
    TooManyPixels
        If it has more pixels. They are not decoded.
    """
    from PIL import ImageOps

    digest = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else None
    try:
        if isinstance(image, OSError):
            raise image
        opened = _open(image) if isinstance(image, bytes) else image
        check_pixels(opened.size, most)
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith(("I", "F")):
            values = np.asarray(upright)
            if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
                raise ValueError("its numbers are not grey levels of 8 or 16 bits")
            # Pillow would clip 16-bit values at 255 instead of scaling them.
            upright = Image.fromarray((values / np.float32(257)).round().astype(np.uint8))
        return upright.convert("RGB"), digest
    except TooManyPixels:
        raise
    # Pillow's plugins raise all kinds of errors when a file is damaged.
    except Exception as error:
        raise ValueError(in_a_line(error)) from None
