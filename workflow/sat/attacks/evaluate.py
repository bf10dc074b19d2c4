"""Evaluation of every target on every source's adversarial images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sat.errors import SatError
from sat.models.batches import Batch
from sat.models.classifier import Classifier, check_finite, to_unit
from sat.models.feed import Ahead, Asked, Line, Resident, Sent, blocks, launched, line_to, padded_slice
from sat.store.chunks import Held, Items


@dataclass(frozen=True)
class Source:
    """What is added to the images."""

    perturbation: Items
    """Grey levels, int, shape (n, 3, S, S)."""
    attacked: NDArray[np.bool_]
    """Images on which the source was attacked, shape (n,)."""
    targets: Sequence[int] | None = None
    """Places of the targets that are evaluated on it; all by default."""


@dataclass(frozen=True)
class Predicted:
    """What a target says of a batch of a source's adversarial images."""

    source: int
    """Place of the source."""
    target: int
    """Place of the target."""
    rows: NDArray[np.integer]
    """The images, shape (m,)."""
    prediction: NDArray[np.int16]
    """Predicted classes, shape (m,)."""
    confidence: NDArray[np.float16]
    """Softmax probability of the predicted class, shape (m,)."""


def evaluate(
    targets: Mapping[str, Classifier],
    images: NDArray[np.uint8] | Items,
    sources: Sequence[Source],
    batch: int | Batch,
    device: str | Line = "cpu",
) -> Iterator[Predicted]:
    """Predict adversarial images of sources with targets.

    A perturbation is read, copied and added once for all targets. What comes next is
    read meanwhile, also that of the next source.

    Parameters
    ----------
    targets : mapping of str to Classifier
        The targets by name, frozen and on the device.
    images : uint8 array or Items, shape (n, 3, S, S)
        The attack images.
    sources : sequence of Source
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str or Line

    Yields
    ------
    Predicted

    Raises
    ------
    SatError
        If a logit is not finite.
    """
    line, batch = line_to(device), batch if isinstance(batch, Batch) else Batch(batch)
    clean = Held(images) if isinstance(images, np.ndarray) else images
    kept = Resident(line, clean)

    names = list(targets)

    def asked(source: int) -> Sequence[int]:
        chosen = sources[source].targets
        return range(len(names)) if chosen is None else chosen

    def wanted() -> Iterator[tuple[int, Asked]]:
        for number, source in enumerate(sources):
            for rows in blocks(np.flatnonzero(source.attacked), batch):
                yield number, kept.ask(rows)

    def load(item: tuple[int, Asked]) -> _Block:
        number, levels = item
        return _Block(number, levels.rows, kept.load(levels), line.load(sources[number].perturbation, levels.rows))

    @torch.no_grad()
    def launch(block: _Block, where: slice) -> Callable[[], list[NDArray[np.float32]]]:
        part, count = padded_slice(where), where.stop - where.start
        unit = to_unit(kept.here(block.levels, part), block.change.here()[part])
        nets = [targets[names[target]] for target in asked(block.source)]
        waits = [line.fetch(net(unit)[:count].float()) for net in nets]
        return lambda: [wait() for wait in waits]

    with Ahead(wanted(), load, line.threads) as feed:
        for block, where, found in launched(feed, batch, lambda block: len(block.rows), launch):
            for target, logits in zip(asked(block.source), found, strict=True):
                try:
                    check_finite(logits)
                except FloatingPointError as error:
                    raise SatError(f"model {names[target]!r}: {error}; its weights are damaged.") from None
                classes = logits.argmax(1).astype(np.int16)
                yield Predicted(block.source, target, block.rows[where], classes, confidence(logits))


@dataclass(frozen=True)
class _Block:
    source: int
    rows: NDArray[np.integer]
    levels: Asked
    change: Sent
    """Perturbations."""


def confidence(logits: NDArray[np.floating]) -> NDArray[np.float16]:
    """Compute the softmax probability of the predicted class.

    Parameters
    ----------
    logits : float array, shape (n, classes)

    Returns
    -------
    float16 array, shape (n,)
    """
    values = np.asarray(logits, np.float32)
    # The predicted class has the largest logit, so its exponential is 1 after that is subtracted.
    total = np.exp(values - values.max(1, keepdims=True)).sum(1)
    return np.asarray(1 / total, np.float16)
