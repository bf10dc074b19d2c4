"""Data sets: scikit-learn's digits, and all that timm's dataset readers can read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat.errors import SatError
from sat.seeds import key

PACKAGES = {"hfds": "datasets", "hfids": "datasets", "tfds": "tensorflow-datasets", "wds": "webdataset"}
"""The package that each reader needs in addition to timm."""


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

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | Image.Image]]:
        """Read images.

        Parameters
        ----------
        rows : sequence of int
            Positions in the listing.

        Yields
        ------
        int
            Position in the listing. The data set decides the order.
        bytes or PIL.Image.Image
            The content of the file, or the image if the reader has decoded it.
        """


class Digits:
    """Scikit-learn's handwritten digits: real scans of 8 x 8 px, whose 17 grey levels are spread over 0 to 255."""

    streams = False
    dropped = 0

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        self.images = np.rint(digits.images * 255 / 16).astype(np.uint8)
        self.labels = digits.target.astype(np.int64)

    def listing(self) -> Listing:
        """List the 1,797 images."""
        return Listing(
            tuple(str(row) for row in range(len(self.labels))), self.labels, tuple(str(label) for label in range(10))
        )

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
        """Read images; see `Dataset`."""
        for row in rows:
            yield row, Image.fromarray(self.images[row])


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
            yield from (label for _, label in self.reader)
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

    def read(self, rows: Sequence[int]) -> Iterator[tuple[int, bytes | Image.Image]]:
        """Read images; see `Dataset`."""
        if not self.streams:
            for row in rows:
                with self.reader[row][0] as stream:
                    yield row, stream.read()
            return
        wanted = set(rows)
        for row, (image, _) in enumerate(self.reader):
            if row in wanted:
                yield row, image


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
        If the data set is not there, holds no image, or needs a package that is not installed.
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
    return bool(entries) and all(entry.suffix == ".tar" for entry in entries)


def peek(image: bytes) -> tuple[int, int]:
    """Read the header of an image, and not its pixels.

    Parameters
    ----------
    image : bytes
        The content of a file.

    Returns
    -------
    width, height : int
        In pixels.

    Raises
    ------
    ValueError
        If it is not an image.
    """
    try:
        return Image.open(io.BytesIO(image)).size
    # Pillow's plugins raise all kinds of errors when a file is damaged.
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None


def decode(image: bytes | Image.Image) -> tuple[Image.Image, str | None]:
    """Decode an image to upright RGB.

    Grey, palette, CMYK and transparent images are converted to RGB, 16 bits are scaled
    to 8, and an orientation in the EXIF data is applied.

    Parameters
    ----------
    image : bytes or PIL.Image.Image
        The content of a file, or an image that a reader has decoded already.

    Returns
    -------
    image : PIL.Image.Image
        Mode RGB.
    digest : str or None
        SHA-256 of the file; None if the reader did not give the file.

    Raises
    ------
    ValueError
        If it is not an image, is truncated, or is too large.
    """
    from PIL import ImageOps

    digest = hashlib.sha256(image).hexdigest() if isinstance(image, bytes) else None
    try:
        opened = Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        if upright.mode.startswith("I"):
            # Pillow would clip 16-bit values at 255 instead of scaling them.
            upright = Image.fromarray((np.asarray(upright, np.float64) / 257).clip(0, 255).round().astype(np.uint8))
        return upright.convert("RGB"), digest
    # Pillow's plugins raise all kinds of errors when a file is damaged.
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from None
