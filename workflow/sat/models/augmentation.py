"""Training images as a network sees them: in random order, cropped, mirrored and recoloured.

The augmentation of an image depends only on the seed, the epoch and the image. So
neither the number of worker processes nor an interruption changes it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import auto_augment
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, RandomHorizontalFlip

from sat.seeds import key
from sat.study.training import Training

Batch = tuple[int, NDArray[np.int64]]
"""The epoch, and the numbers of the images of one step."""


class ImageArray(Protocol):
    """Images that are looked up by their numbers: an array, or `sat.store.chunks.Images`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (n, 3, S, S)."""

    def __len__(self) -> int:
        """Number of images."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        """Get the images of some rows."""


def seed_all(*parts: object) -> None:
    """Seed every generator that timm and PyTorch draw from; see `sat.seeds.key`."""
    number = key(*parts)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 - timm draws from this generator
    torch.manual_seed(number % 2**63)


@contextmanager
def _own_generators() -> Iterator[None]:
    """Restore the generators of the process afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


def order(count: int, batch_size: int, epoch: int, seed: tuple[object, ...]) -> list[NDArray[np.int64]]:
    """Draw the image numbers of each step of an epoch; an incomplete last batch is left out."""
    generator = torch.Generator().manual_seed(key("order", *seed, epoch) % 2**63)
    shuffled = torch.randperm(count, generator=generator).numpy()
    return list(shuffled[: count // batch_size * batch_size].reshape(-1, batch_size))


def load_batches(
    images: ImageArray,
    labels: NDArray[np.integer],
    settings: Training,
    mean: Sequence[float],
    *,
    epochs: Sequence[int],
    seed: tuple[object, ...],
    workers: int = 0,
    pin: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Load the batches of some epochs, one after the other.

    Parameters
    ----------
    images : ImageArray
    labels : int array, shape (n,)
    settings : Training
    mean : sequence of float
        Colour that random erasing fills with, in units of [0, 1].
    epochs : sequence of int
    seed : tuple
        Key of the order and the augmentation.
    workers : int
        Number of processes that prepare batches; with 0, this process prepares them.
    pin : bool
        Whether to put batches into pinned memory, from which a GPU copies fast.

    Yields
    ------
    images : uint8 Tensor, shape (batch_size, 3, S, S)
    labels : int64 Tensor, shape (batch_size,)
    """
    steps = ((epoch, rows) for epoch in epochs for rows in order(len(images), settings.batch_size, epoch, seed))
    loader: DataLoader[Any] = DataLoader(
        _Augmented(images, labels, settings, mean, seed),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=pin,
        # The loader must not draw from the generator of the process.
        generator=torch.Generator(),
    )
    return iter(loader)


class _Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Batches that are looked up by epoch and image numbers."""

    def __init__(
        self,
        images: ImageArray,
        labels: NDArray[np.integer],
        settings: Training,
        mean: Sequence[float],
        seed: tuple[object, ...],
    ) -> None:
        self.images, self.labels, self.seed = images, torch.from_numpy(labels.astype(np.int64)), seed
        self.transform = image_transform(settings, images.shape[-1], mean)
        self.erase = RandomErasing(settings.random_erasing, device="cpu") if settings.random_erasing else None
        self.mean = torch.tensor(mean).mul(255).round().to(torch.int16).view(-1, 1, 1)

    def __getitem__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        epoch, rows = batch
        images = torch.from_numpy(self.images[rows])
        if self.transform or self.erase:
            with _own_generators():
                for place, row in enumerate(rows.tolist()):
                    seed_all("augmentation", *self.seed, epoch, row)
                    images[place] = self._augment(images[place])
        return images, self.labels[rows]

    def _augment(self, image: Tensor) -> Tensor:
        if self.transform:
            picture = self.transform(Image.fromarray(image.permute(1, 2, 0).numpy()))
            image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        if self.erase:
            # timm erases with 0, which is the mean of normalised images.
            image = (self.erase(image.to(torch.int16) - self.mean) + self.mean).to(torch.uint8)
        return image


def image_transform(settings: Training, side: int, mean: Sequence[float]) -> Compose | None:
    """Make the transform of one image; None if the settings leave images unchanged.

    Parameters
    ----------
    settings : Training
    side : int
        Side of the canvas in pixels.
    mean : sequence of float
        Colour that rotations and shifts fill with, in units of [0, 1].

    Returns
    -------
    Compose or None
        A function from PIL image to PIL image.

    Raises
    ------
    ValueError
        If timm does not understand the policy.
    """
    steps: list[Any] = []
    if settings.crop_scale < 1:
        steps.append(RandomResizedCropAndInterpolation(side, (settings.crop_scale, 1.0), interpolation="bicubic"))
    if settings.flip:
        steps.append(RandomHorizontalFlip(settings.flip))
    if settings.auto_augment:
        steps.append(_policy(settings.auto_augment, side, mean))
    return Compose(steps) if steps else None


def _posterize(image: Image.Image, bits: int, **_: Any) -> Image.Image:
    """Posterize as timm does. A strong policy of timm asks for 0 bits, which Pillow refuses since version 12."""
    reduced: Image.Image = auto_augment.posterize(image, max(bits, 1))
    return reduced


auto_augment.NAME_TO_OP.update({name: _posterize for name in auto_augment.NAME_TO_OP if name.startswith("Posterize")})


def _policy(words: str, side: int, mean: Sequence[float]) -> Any:
    # These are the hints of timm's own training script.
    hints: dict[str, Any] = {
        "translate_const": int(side * 0.45),
        "img_mean": tuple(min(255, round(255 * value)) for value in mean),
        "interpolation": Image.Resampling.BICUBIC,
    }
    kind = words.partition("-")[0]
    try:
        if kind == "rand":
            return auto_augment.rand_augment_transform(words, hints)
        if kind == "augmix":
            return auto_augment.augment_and_mix_transform(words, {**hints, "translate_pct": 0.3})
        return auto_augment.auto_augment_transform(words, hints)
    except (AssertionError, KeyError, ValueError) as error:
        raise ValueError(
            f"training.auto_augment: timm does not understand {words!r} ({error}); write one such as "
            "rand-m9-mstd0.5-inc1"
        ) from None
