"""A study's images, clean and adversarial, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from sat.errors import SatError
from sat.results.reading import Folder


@dataclass(frozen=True, repr=False, eq=False)
class ImageSet:
    """Images as the models see them, with what is known of each."""

    image: NDArray[np.uint8]
    """Grey levels 0 to 255, shape (n, 3, S, S)."""
    label: NDArray[np.int64]
    """True class, shape (n,)."""
    id: NDArray[np.int64]
    """Number of the image in the data set, shape (n,)."""
    name: NDArray[np.str_]
    """Name of the image in the data set, shape (n,)."""
    row: NDArray[np.int64]
    """Position in the file that the images are from, shape (n,)."""
    classes: tuple[str, ...] | None
    """Names of the classes by label; None if the data set has only numbers."""

    def __len__(self) -> int:
        return len(self.image)

    def class_name(self, label: int) -> str:
        """Name of a class, or its number if it has no name."""
        return class_name(self.classes, label)

    def _about(self) -> str:
        classes = f"{len(np.unique(self.label))} classes"
        return f"{len(self)} images {self.image.shape[1:]}, {self.image.dtype}, {classes}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._about()})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._about())}</p>"


@dataclass(frozen=True, repr=False, eq=False)
class AdversarialSet(ImageSet):
    """The adversarial images of one model: of every image that it classifies correctly."""

    source: str
    """The model that was attacked."""
    perturbation: NDArray[np.integer]
    """What the attack adds to the clean image, in grey levels, shape (n, 3, S, S)."""

    @property
    def clean(self) -> NDArray[np.uint8]:
        """The images before the attack, shape (n, 3, S, S)."""
        return (self.image.astype(np.int16) - self.perturbation).astype(np.uint8)

    def _about(self) -> str:
        return f"{self.source}: {super()._about()}"


def class_name(classes: tuple[str, ...] | None, label: int) -> str:
    """Name of a class, or its number if it has no name or stands for no class of the images."""
    return classes[label] if classes and 0 <= label < len(classes) else str(int(label))


def class_names(folder: Folder) -> tuple[str, ...] | None:
    """Names of the classes of the study's images by label; None if the data set has only numbers."""
    found = folder.sidecar("images/manifest.csv")["facts"].get("classes")
    return tuple(found) if found else None


def read_images(folder: Folder, split: str, rows: slice) -> ImageSet:
    """Read the images of a split; see `StudyResults.images`."""
    with folder.hdf5(f"images/{split}.h5") as file:
        where = np.arange(len(file["label"]))[rows]
        return ImageSet(
            file["image"][rows],
            file["label"][rows],
            file["id"][rows],
            file["name"].asstr()[rows].astype(str),
            where,
            class_names(folder),
        )


def read_adversarial(folder: Folder, prefix: str, model: str, rows: slice) -> AdversarialSet:
    """Read the adversarial images of a model; see `StudyResults.adversarial`."""
    clean = read_images(folder, "attack", rows)
    with folder.hdf5(f"{prefix}adversarial/{model}.h5") as file:
        perturbation, attacked = file["perturbation"][rows], file["attacked"][rows]
    if perturbation.shape != clean.image.shape:
        raise SatError(
            f"{folder.path / prefix}/adversarial/{model}.h5: belongs to other images than images/attack.h5; "
            "run snakemake again."
        )
    change = perturbation[attacked]
    return AdversarialSet(
        (clean.image[attacked].astype(np.int16) + change).astype(np.uint8),
        clean.label[attacked],
        clean.id[attacked],
        clean.name[attacked],
        clean.row[attacked],
        clean.classes,
        model,
        change,
    )
