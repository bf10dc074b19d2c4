"""Memory and time that jobs ask for, estimated from the numbers of the model table.

Upper bounds rather than guesses: a job that is killed for its memory costs more
than memory that was not used. Rules ask thousands of times while Snakemake
parses them, so nothing here imports torch or opens a file.

The memory is that of a job on one CPU thread, with glibc's thresholds as
workflow/rules/common.smk sets them. Nets are known by three numbers only, and
nets with the same three differ by a factor of four in what a gradient has to
keep; so the bound of a lean net (ResNet-50, ViT) is two to four times what it takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

# --- memory, in MB of 10^6 bytes; measured with torch 2.12.1 and timm 1.0.31 on one thread of an AMD EPYC
BASE_MB = 800
"""Python with torch, timm and h5py imported: measured 735."""
THREAD_MB = 64
"""Of every further thread: its stack, its scratch memory and its own heap; a second one took 53."""
CUDA_MB = 4000
"""Host memory of a process that uses CUDA: the base, the context and the libraries; usual, not measured here."""
BYTES_PER_PARAMETER = 4
FORWARD_MB = 350
"""Of the first forward pass, whatever the batch: compiled kernels, rearranged weights, and what the heap
holds back. Measured up to 200, where batches of 16 and 32 tell it from the images."""
GRADIENT_MB = 900
"""The same with gradients: measured 400 to 700, and 1,150 where tensors leave holes in the heap, as in MixNet."""
FORWARD_MB_PER_IMAGE = 60.0
"""Activations of a forward pass at 224 x 224. Measured 10 to 45; the live tensors of 82 architectures
reach 50, and the convolutions' rearranged inputs come on top."""

# Activations that a gradient keeps, an image at 224 x 224: 130 + 32 sqrt(GMACs) + 530 GMACs / million parameters,
# an upper envelope over the live tensors of 82 architectures (the 69 of the paper and 13 others), counted without
# running them, and over the peaks of 16 that ran. From a batch of 16 to one of 32, memory grows by the live tensors
# within a tenth in most, but the holes that aligned tensors leave in glibc's heap made 1.5 times of it in gMLP, and
# made XCiT's peak 2.6 times as large. The last term is how often a weight is used on an image, in thousands: high
# where a net keeps its resolution to the end (ConvMixer, XCiT with patches of 8).
GRADIENT_MB_PER_IMAGE = 130.0
GRADIENT_MB_PER_ROOT_GMAC = 32.0
GRADIENT_MB_PER_USE = 530.0
MOST_USES = 1.0
"""ConvMixer has 0.99; a table with wrong numbers must not ask for terabytes."""
TRAINING_FACTOR = 1.5
"""Training keeps what the weights' gradients need as well: 1.6 times as much in a ViT, which is far below
the envelope, and about as much in convolutional nets, which reach it (notes, section 2.2, and measured here)."""
TRAINING_COPIES = 6
"""Of the weights: themselves, gradient, two moments of AdamW, the copy that is written, and one to spare."""
HELD_IMAGES_MB = 1074
"""Training images that are kept in memory (sat.store.hdf5.IN_MEMORY); more are read from the file."""
REFERENCE_SIZE = 224

CANVAS_BYTES = 24
"""A value of the canvas in the batch on hand: uint8, int16 and float copies of image, perturbation and gradient."""
DIGEST_IMAGES = 3 * 256
"""Images of the canvas that are in memory when the digest of a file is taken: three copies of sat.store.hdf5.SLICE."""
CHUNK_BATCHES = 16
CHUNK_BYTES = 8
"""Evaluate perturbs 16 batches at a time: uint8, int8 or int16, and two int16 in between."""
TILE_BYTES = (3, 2)
"""A value of all images in evaluate: the images, one perturbation, and the next one while it is read; then without."""
NOISE_BYTES = (5, 3)
"""The same on a diagonal tile: the images, the noise as int16, and its draws while they are stacked; then without."""
IMAGES_MB = 1500
"""Writing images: the libraries, and one photograph at a time."""
LISTED_MB = 0.002
"""Name, label and digest of an image, in the lists that are written at the end."""
WEIGHTS_COPIES = 4
"""In fetching or converting: the file that was read, the net, the state that is written, and one to spare."""
CLASSES = 1000
LOGIT_BYTES = 14
"""Of all logits in clean: float32 in batches, whole and clipped, and float16."""

# --- time, in seconds
START_SECONDS = 60.0
"""Imports and reading the weights; network file systems are slow."""
IO_SECONDS = 0.015
"""Reading or writing one image or perturbation of 224 x 224 with its digest: measured 3 ms, here five times that."""
DECODE_SECONDS = 0.05
"""Reading and resizing a photograph: usual, not measured here."""
DOWNLOAD_MB = 1.0
"""A second: a hub in a bad hour."""
CPU_GMACS = 12.0
"""Billion multiply-accumulates a second and thread: measured 30 to 45 in dense nets; here a slower machine."""
CPU_SECONDS = 0.4
"""Of a forward pass at 224 x 224 beside its multiply-accumulates: small layers wait for memory.
Measured 0.07 to 0.15 in depth-wise nets."""
THREADS_EXPONENT = 0.75
"""What further threads give: two count as 1.7, four as 2.8."""
GRADIENT_FORWARDS = 3.0
"""Forward and backward pass, in forward passes."""
TRAINING_STEPS = 1.5
"""A step of training in steps of PGD (notes, section 2.4: a PGD step is two thirds of one)."""
# timm's timings of training on a 3090 with mixed precision give 517 s per PGD step of 5,000 images over 68 models;
# the slowest, convmixer_1536_20, takes 67 s, which is 11,000 GMACs a second with three forward passes a step, and
# resmlp_big_24_224, regnetx_320 and vit_base_patch32 reach 23,000 to 33,000 (notes, section 2.4).
CUDA_GMACS = 11000.0
CUDA_SECONDS = 0.0002
"""Of a forward pass of one image beside its multiply-accumulates: assumed, for small layers that wait for memory."""
CUDA_BATCH_SECONDS = 0.02
"""Of a forward pass of one batch: starting the kernels of some thousand small operations; assumed."""
CUDA_SLOWER = 4.0
"""An older GPU in full precision."""

LEAST_MINUTES = 10

# --- rows without numbers: the small nets of the digits demo and the like
UNKNOWN_CLEAN = (3000, 30)
UNKNOWN_ATTACK = (4000, 120)
UNKNOWN_EVALUATE = (4000, 120)
UNKNOWN_TRAINING = (3000, 60)
UNKNOWN_WEIGHTS = (3000, 30)


class Row(Protocol):
    """What the estimates read of a row of the model table."""

    @property
    def n_parameters(self) -> int | None:
        """Parameters."""

    @property
    def gmacs(self) -> float | None:
        """Billion multiply-accumulates an image, at the model's own input size."""

    @property
    def input_size(self) -> int | None:
        """Side in pixels of the model's own input."""


@dataclass(frozen=True)
class Needs:
    """What a job asks for."""

    mem_mb: int
    """Memory in MB."""
    minutes: int
    """Run time."""

    def grow(self, attempt: int) -> Needs:
        """The same for Snakemake's n-th attempt: n times as much of both.

        Parameters
        ----------
        attempt : int
            From 1 on.

        Returns
        -------
        Needs
        """
        return Needs(self.mem_mb * attempt, self.minutes * attempt)


@dataclass(frozen=True)
class _Net:
    """A row whose numbers are known, with the sizes that follow from them."""

    weights_mb: float
    gmacs: float
    pixels: float
    """Of the model's own input, in units of 224 x 224."""
    uses: float
    """Of a weight on an image, in thousands."""

    @classmethod
    def of(cls, model: Row, canvas: int) -> _Net | None:
        if model.n_parameters is None or model.gmacs is None:
            return None
        return cls(
            weights_mb=BYTES_PER_PARAMETER * model.n_parameters / 1e6,
            gmacs=model.gmacs,
            pixels=_pixels(model.input_size or canvas),
            uses=min(1e6 * model.gmacs / model.n_parameters, MOST_USES),
        )

    @property
    def forward_mb(self) -> float:
        """Activations of a forward pass, an image."""
        return FORWARD_MB_PER_IMAGE * self.pixels

    @property
    def gradient_mb(self) -> float:
        """Activations of forward and backward pass with frozen weights, an image."""
        return self.pixels * (
            GRADIENT_MB_PER_IMAGE + GRADIENT_MB_PER_ROOT_GMAC * math.sqrt(self.gmacs) + GRADIENT_MB_PER_USE * self.uses
        )

    def seconds(self, images: float, batch: int, device: str, threads: int) -> float:
        """Time of forward passes."""
        if device == "cuda":
            an_image = self.gmacs / CUDA_GMACS + CUDA_SECONDS * self.pixels
            return CUDA_SLOWER * (images * an_image + math.ceil(images / batch) * CUDA_BATCH_SECONDS)
        return images * (self.gmacs / CPU_GMACS + CPU_SECONDS * self.pixels) / math.pow(threads, THREADS_EXPONENT)


def images_needs(images: int, canvas: int) -> Needs:
    """Needs of writing a split's images.

    Parameters
    ----------
    images : int
        Number of images that are written.
    canvas : int
        Side in pixels.

    Returns
    -------
    Needs
    """
    memory = IMAGES_MB + _canvas_mb(DIGEST_IMAGES, canvas) + LISTED_MB * images
    return _needs(memory, START_SECONDS + images * (DECODE_SECONDS + IO_SECONDS * _pixels(canvas)))


def weights_needs(model: Row) -> Needs:
    """Needs of fetching or converting weights, on the CPU.

    Parameters
    ----------
    model : Row

    Returns
    -------
    Needs
    """
    if model.n_parameters is None:
        return _needs(UNKNOWN_WEIGHTS[0], 60 * UNKNOWN_WEIGHTS[1])
    weights = BYTES_PER_PARAMETER * model.n_parameters / 1e6
    return _needs(BASE_MB + FORWARD_MB + WEIGHTS_COPIES * weights, START_SECONDS + weights / DOWNLOAD_MB)


def training_needs(
    model: Row, images: int, canvas: int, batch: int, epochs: int, device: str = "cpu", threads: int = 1
) -> Needs:
    """Needs of training a model on the study's own images.

    Parameters
    ----------
    model : Row
    images : int
        Number of training images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Images a training step.
    epochs : int
    device : str
        `cpu` or `cuda`.
    threads : int

    Returns
    -------
    Needs
    """
    held = min(_canvas_mb(images, canvas), HELD_IMAGES_MB) + _canvas_mb(batch * CANVAS_BYTES, canvas)
    net = _Net.of(model, canvas)
    if net is None:
        return _needs(_unknown(UNKNOWN_TRAINING[0], device) + held, 60 * UNKNOWN_TRAINING[1])
    memory = _base_mb(device, threads) + held + TRAINING_COPIES * net.weights_mb
    if device != "cuda":
        memory += GRADIENT_MB + TRAINING_FACTOR * batch * net.gradient_mb
    passes = TRAINING_STEPS * GRADIENT_FORWARDS * epochs * images
    reading = IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(passes, batch, device, threads))


def distil_needs(
    training: Needs,
    student: Row,
    teacher: Row | None,
    images: int,
    evaluated: int,
    canvas: int,
    batch: int,
    device: str = "cpu",
    threads: int = 1,
) -> Needs:
    """Needs of training a student with a teacher, and of evaluating it.

    Parameters
    ----------
    training : Needs
        Of training the student alone.
    student : Row
    teacher : Row, optional
        Sees every training image in every epoch.
    images : int
        Number of training images, times epochs.
    evaluated : int
        Number of evaluation images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Images a training step.
    device : str
        `cpu` or `cuda`.
    threads : int

    Returns
    -------
    Needs
    """
    memory, minutes = float(training.mem_mb), float(training.minutes)
    for row, count in ((student, evaluated), (teacher, images)):
        net = _Net.of(row, canvas) if row else None
        if net is None:
            memory += 0 if row is None else UNKNOWN_CLEAN[0] - BASE_MB
            minutes += 0 if row is None else UNKNOWN_CLEAN[1]
            continue
        minutes += net.seconds(count, batch, device, threads) / 60
        memory += 2 * net.weights_mb
        if device != "cuda":
            memory += FORWARD_MB + batch * net.forward_mb
    return _needs(memory, 60 * minutes)


def clean_needs(
    model: Row, images: int, canvas: int, batch: int, device: str = "cpu", threads: int = 1, classes: int = CLASSES
) -> Needs:
    """Needs of predicting the evaluation images.

    Parameters
    ----------
    model : Row
    images : int
        Number of evaluation images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Images at once.
    device : str
        `cpu` or `cuda`.
    threads : int
    classes : int
        Outputs of the model.

    Returns
    -------
    Needs
    """
    at_once = _at_once(images, batch)
    held = _canvas_mb(at_once * CANVAS_BYTES, canvas) + LOGIT_BYTES * images * classes / 1e6
    net = _Net.of(model, canvas)
    if net is None:
        return _needs(_unknown(UNKNOWN_CLEAN[0], device) + held, 60 * UNKNOWN_CLEAN[1])
    memory = _base_mb(device, threads) + held + 2 * net.weights_mb
    if device != "cuda":
        memory += FORWARD_MB + at_once * net.forward_mb
    reading = IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(images, batch, device, threads))


def attack_needs(
    model: Row, images: int, canvas: int, batch: int, steps: int, device: str = "cpu", threads: int = 1
) -> Needs:
    """Needs of attacking a model; it keeps no more than a batch in memory.

    Parameters
    ----------
    model : Row
    images : int
        Number of attack images, as if the model got all of them right.
    canvas : int
        Side of the images in pixels.
    batch : int
        Images at once.
    steps : int
        Of the attack.
    device : str
        `cpu` or `cuda`.
    threads : int

    Returns
    -------
    Needs
    """
    at_once = _at_once(images, batch)
    held = _canvas_mb(at_once * CANVAS_BYTES + DIGEST_IMAGES, canvas)
    net = _Net.of(model, canvas)
    if net is None:
        return _needs(_unknown(UNKNOWN_ATTACK[0], device) + held, 60 * UNKNOWN_ATTACK[1])
    memory = _base_mb(device, threads) + held + 2 * net.weights_mb
    if device != "cuda":
        memory += GRADIENT_MB + at_once * net.gradient_mb
    # A forward pass at the end says what was fooled.
    passes = (GRADIENT_FORWARDS * steps + 1) * images
    reading = 2 * IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(passes, batch, device, threads))


def evaluate_needs(
    targets: Sequence[Row],
    n_sources: int,
    images: int,
    canvas: int,
    batch: int,
    device: str = "cpu",
    threads: int = 1,
    diagonal: bool = True,
    wide: bool = False,
) -> Needs:
    """Needs of trying every target of a tile on every source of it.

    Parameters
    ----------
    targets : sequence of Row
        The tile's targets, whose weights are all in memory.
    n_sources : int
        Sources of the tile.
    images : int
        Number of attack images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Images at once.
    device : str
        `cpu` or `cuda`.
    threads : int
    diagonal : bool
        Whether the targets also meet noise, as on the diagonal tiles.
    wide : bool
        Whether perturbations take two bytes a value, as noise does.

    Returns
    -------
    Needs
    """
    at_once = _at_once(images, batch)
    chunk = min(images, CHUNK_BATCHES * batch)
    reading_bytes, bytes_then = NOISE_BYTES if diagonal or wide else TILE_BYTES
    predicting = images * bytes_then + chunk * CHUNK_BYTES + at_once * CANVAS_BYTES
    held = _canvas_mb(max(images * reading_bytes, predicting), canvas)
    known = [net for net in (_Net.of(model, canvas) for model in targets) if net is not None]
    weights = [net.weights_mb for net in known]
    # Each target is read beside those that are there.
    memory = _base_mb(device, threads) + held + sum(weights) + max(weights, default=0.0)
    if device != "cuda":
        memory += FORWARD_MB + at_once * max((net.forward_mb for net in known), default=0.0)
    rounds = n_sources + diagonal
    reading = IO_SECONDS * _pixels(canvas) * images * (1 + rounds)
    seconds = START_SECONDS * (1 + len(targets) / 8) + reading
    seconds += sum(net.seconds(images * rounds, batch, device, threads) for net in known)
    if len(known) < len(targets):
        memory = max(memory, _unknown(UNKNOWN_EVALUATE[0], device) + held)
        seconds += 60 * UNKNOWN_EVALUATE[1]
    return _needs(memory, seconds)


def _needs(mem_mb: float, seconds: float) -> Needs:
    return Needs(math.ceil(mem_mb), max(math.ceil(seconds / 60), LEAST_MINUTES))


def _base_mb(device: str, threads: int) -> float:
    return (CUDA_MB if device == "cuda" else BASE_MB) + THREAD_MB * (threads - 1)


def _unknown(mem_mb: int, device: str) -> int:
    return max(mem_mb, CUDA_MB) if device == "cuda" else mem_mb


def _at_once(images: int, batch: int) -> int:
    """Images of the largest batch, which is padded to a multiple of 16."""
    return min(batch, 16 * math.ceil(images / 16))


def _canvas_mb(count: float, canvas: int) -> float:
    """Memory of so many images of the canvas, a byte a value."""
    return count * 3 * canvas**2 / 1e6


def _pixels(side: int) -> float:
    """Of a square image, in units of 224 x 224."""
    return (side / REFERENCE_SIZE) ** 2
