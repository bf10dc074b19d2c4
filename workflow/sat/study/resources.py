"""Memory and time that jobs ask for, estimated from a few numbers of each network.

n_parameters, gmacs and input_size are columns of the model table, or facts in the
sidecar of the model's weights, as is the memory for an image (`sat.study.known`). Where
a number is known from neither, that of a ResNet-50 is assumed.

The estimates are upper bounds, because a job that is killed for its memory costs more
than memory that is not used. Rules ask for them thousands of times while Snakemake
parses the rules, so nothing here imports torch or opens a file.

The memory is that of a job on one CPU thread, with the thresholds of glibc that
workflow/rules/job.sh sets. Before a model's weights are made, only three numbers
are known of it, and networks with the same three numbers differ by a factor of four in
the memory for a gradient. So with a batch of 16, the bound of an attack was 1.5 to 3.9
times what 16 networks of different kinds took; it was the highest in a ViT, and 4.3
times with a batch of 32. Once the weights are made, it was 1.4 to 2.0 times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# --- memory, in MB of 10^6 bytes; measured with torch 2.12.1 and timm 1.0.31 on one thread of an AMD EPYC
BASE_MB = 700
"""Python with torch, timm and h5py imported, without torch's compiler: measured 605."""
TRAINING_MB = 20
"""Imports of a training beyond those of other jobs: measured 16. No further margin is needed: with a batch of 64, seven
nets of 32 px took half of the bound (0.54 to 0.59 of that by counted memory). With a batch of 16 or 4, six of 224 px
took 0.24 to 0.57 (0.42 to 0.65). At least 560 MB were left."""
THREAD_MB = 64
"""Memory of every further thread: its stack, its scratch memory and its own heap. A second thread took 53."""
CUDA_MB = 4000
"""Host memory of a process that uses CUDA: base, context and libraries. This is a usual value, not measured here."""
BYTES_PER_PARAMETER = 4
FORWARD_MB = 350
"""Memory of the first forward pass that does not depend on the batch: compiled kernels, rearranged weights, and what
the heap keeps. Up to 200 was measured; batches of 16 and 32 separate it from the memory for images."""
GRADIENT_MB = 600
"""The same with gradients. With torch 2.14.1, an attack took 60 to 450 in eight nets of different kinds, and most in
EfficientNet-B2. Training took up to 800, in MixNet; TRAINING_FACTOR makes up for it."""
FORWARD_MB_PER_IMAGE = 60.0
"""Activations of a forward pass at 224 x 224. 10 to 45 was measured. The live tensors of 82 architectures reach 50, and
the rearranged inputs of convolutions come on top."""

# Activations that a gradient keeps, per image at 224 x 224: 130 + 32 sqrt(GMACs) + 530 GMACs / million parameters.
# This is an upper envelope over the live tensors of 82 architectures (the 69 of the paper and 13 others), counted
# without running them, and over the measured peaks of 16 that ran. From a batch of 16 to one of 32, memory grows by
# the live tensors, within a tenth in most architectures. But the holes that aligned tensors leave in glibc's heap made
# the growth 1.5 times as large in gMLP, and made XCiT's peak 2.6 times as large. The last term is how often a weight
# is used on an image, in thousands. It is high if a network keeps its resolution to the end (ConvMixer, XCiT with
# patches of 8).
GRADIENT_MB_PER_IMAGE = 130.0
GRADIENT_MB_PER_ROOT_GMAC = 32.0
GRADIENT_MB_PER_USE = 530.0
MOST_USES = 1.0
"""Largest value of the last term that counts, so that wrong numbers in a table do not ask for terabytes. ConvMixer has
0.99."""
TRAINING_FACTOR = 1.5
"""Training also keeps what the gradients of the weights need. That is 1.6 times as much in a ViT, which is far below
the envelope, and about as much in convolutional networks, which reach it (notes, section 2.2, and measured here)."""
TRAINING_COPIES = 6
"""Number of copies of the weights: the weights, the gradient, two moments of AdamW, the copy that is written, and one
more for safety."""
HELD_IMAGES_MB = 1074
"""Memory for training images that are kept (sat.store.chunks.IN_MEMORY). More of them are read from the file.
"""
REFERENCE_SIZE = 224

# Once a model's weights are made, the memory of its tensors for an image is known. More is taken: the rearranged inputs
# of convolutions, what a backward pass makes, and the holes that aligned tensors leave in glibc's heap.
FORWARD_FACTOR = 2.0
"""In a forward pass. With it, clean asked for 1.5 to 1.7 times what ten nets took, with batches of 32."""
GRADIENT_FACTOR = 2.0
"""With a gradient. With it, attack asked for 1.5 to 2.0 times what the same nets took."""

CANVAS_BYTES = 24
"""Bytes per value of the canvas in the current batch: uint8, int16 and float copies of image, perturbation and
gradient."""
DIGEST_IMAGES = 3 * 256
"""Number of images in memory while the digest of a file is computed: three copies of sat.store.hdf5.SLICE."""
CHUNK_BATCHES = 16
CHUNK_BYTES = 8
"""Bytes per value of the 16 batches that evaluate perturbs at a time: uint8, int8 or int16, and two int16 copies."""
TILE_BYTES = (3, 2)
"""Bytes per value of all images in evaluate: the images, one perturbation, and the next one while it is read. The
second number is without the next one."""
NOISE_BYTES = (5, 3)
"""The same on a diagonal tile: the images, the noise as int16, and its draws while they are stacked. The second number
is without the draws."""
IMAGES_MB = 1500
"""Memory for writing images: the libraries, and one photograph at a time."""
LISTED_MB = 0.002
"""Memory for the name, label and digest of an image, in the lists that are written at the end."""
WEIGHTS_COPIES = 4
"""Number of copies of the weights in fetching or converting: the file that was read, the network, the state that is
written, and one more for safety."""
CLASSES = 1000
LOGIT_BYTES = 14
"""Bytes per logit of all images in clean: float32 in batches, whole and clipped, and float16."""

# --- time, in seconds
START_SECONDS = 60.0
"""Time for imports and reading the weights; network file systems are slow."""
IO_SECONDS = 0.015
"""Time for reading or writing one image or perturbation of 224 x 224 with its digest: five times the measured 3 ms."""
DECODE_SECONDS = 0.05
"""Time for reading and resizing a photograph. This is a usual value, not measured here."""
DOWNLOAD_MB = 1.0
"""Download rate in MB per second, when the hub is slow."""
CPU_GMACS = 12.0
"""Billion multiply-accumulates per second and thread. 30 to 45 was measured in dense networks; this is for a slower
machine."""
CPU_SECONDS = 0.4
"""Time of a forward pass at 224 x 224 in addition to its multiply-accumulates, since small layers wait for memory. 0.07
to 0.15 was measured in depth-wise networks."""
THREADS_EXPONENT = 0.75
"""Exponent of the speed-up by threads: two threads count as 1.7, four as 2.8."""
GRADIENT_FORWARDS = 3.0
"""Time of a forward and a backward pass, in forward passes."""
TRAINING_STEPS = 1.5
"""Time of a training step, in steps of PGD (notes, section 2.4: a PGD step is two thirds of a training step)."""
# timm's timings of training on a 3090 with mixed precision give 517 s per PGD step of 5,000 images over 68 models;
# the slowest, convmixer_1536_20, takes 67 s, which is 11,000 GMACs a second with three forward passes a step, and
# resmlp_big_24_224, regnetx_320 and vit_base_patch32 reach 23,000 to 33,000 (notes, section 2.4).
CUDA_GMACS = 11000.0
CUDA_SECONDS = 0.0002
"""Time of a forward pass of one image in addition to its multiply-accumulates, for small layers that wait for memory.
Assumed."""
CUDA_BATCH_SECONDS = 0.02
"""Time to start the kernels of some thousand small operations, per forward pass of a batch. Assumed."""
CUDA_SLOWER = 4.0
"""Factor for an older GPU in full precision."""

LEAST_MINUTES = 10

# --- networks of which nothing is known yet: a ResNet-50
ASSUMED_PARAMETERS = 25_600_000
ASSUMED_GMACS = 4.1
"""Billion multiply-accumulates per image of 224 x 224. For other sizes, they are in proportion to the pixels."""


@dataclass(frozen=True)
class Size:
    """The numbers of a network, from wherever they are known."""

    n_parameters: int | None = None
    """Parameters."""
    gmacs: float | None = None
    """Billion multiply-accumulates per image, at the model's own input size."""
    input_size: int | None = None
    """Side in pixels of the model's own input."""
    forward_mb: float | None = None
    """Memory of the tensors of a forward pass for one image, counted (`sat.models.sizes`)."""
    gradient_mb: float | None = None
    """The same with what a gradient with respect to the image needs."""

    @property
    def known(self) -> bool:
        """Whether memory and time can be estimated."""
        return self.n_parameters is not None and self.gmacs is not None


@dataclass(frozen=True)
class Needs:
    """Memory and time that a job asks for."""

    mem_mb: int
    """Memory in MB."""
    minutes: int
    """Time limit in minutes."""

    def grow(self, attempt: int) -> Needs:
        """Multiply both for Snakemake's n-th attempt, by n.

        Parameters
        ----------
        attempt : int
            Number of the attempt, from 1 on.

        Returns
        -------
        Needs
        """
        return Needs(self.mem_mb * attempt, self.minutes * attempt)


@dataclass(frozen=True)
class _Net:
    """A network, and the sizes that follow from its numbers."""

    weights_mb: float
    gmacs: float
    pixels: float
    """Number of pixels of the model's own input, in units of 224 x 224."""
    forward_mb: float
    """Memory for the activations of a forward pass, per image."""
    gradient_mb: float
    """Memory for the activations of forward and backward pass with frozen weights, per image."""

    @classmethod
    @cache
    def of(cls, model: Size, canvas: int) -> _Net:
        pixels = _pixels(model.input_size or canvas)
        parameters = model.n_parameters or ASSUMED_PARAMETERS
        gmacs = model.gmacs or ASSUMED_GMACS * pixels
        if model.forward_mb and model.gradient_mb:
            forward, gradient = FORWARD_FACTOR * model.forward_mb, GRADIENT_FACTOR * model.gradient_mb
        else:
            # How often a weight is used on an image, in thousands.
            uses = min(1e6 * gmacs / parameters, MOST_USES)
            forward = FORWARD_MB_PER_IMAGE * pixels
            gradient = pixels * (
                GRADIENT_MB_PER_IMAGE + GRADIENT_MB_PER_ROOT_GMAC * math.sqrt(gmacs) + GRADIENT_MB_PER_USE * uses
            )
        return cls(BYTES_PER_PARAMETER * parameters / 1e6, gmacs, pixels, forward, gradient)

    def seconds(self, images: float, batch: int, device: str, threads: int) -> float:
        """Time of the forward passes of some images."""
        if device == "cuda":
            an_image = self.gmacs / CUDA_GMACS + CUDA_SECONDS * self.pixels
            return CUDA_SLOWER * (images * an_image + math.ceil(images / batch) * CUDA_BATCH_SECONDS)
        return images * (self.gmacs / CPU_GMACS + CPU_SECONDS * self.pixels) / math.pow(threads, THREADS_EXPONENT)


def images_needs(images: int, canvas: int) -> Needs:
    """Estimate the needs of writing a split's images.

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


def weights_needs(model: Size) -> Needs:
    """Estimate the needs of fetching or converting weights, on the CPU.

    Parameters
    ----------
    model : Size

    Returns
    -------
    Needs
    """
    weights = BYTES_PER_PARAMETER * (model.n_parameters or ASSUMED_PARAMETERS) / 1e6
    return _needs(BASE_MB + FORWARD_MB + WEIGHTS_COPIES * weights, START_SECONDS + weights / DOWNLOAD_MB)


def training_needs(
    model: Size, images: int, canvas: int, batch: int, epochs: int, device: str = "cpu", threads: int = 1
) -> Needs:
    """Estimate the needs of training a model on the study's own images.

    Parameters
    ----------
    model : Size
    images : int
        Number of training images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Number of images per training step.
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
    memory = _base_mb(device, threads) + TRAINING_MB + held + TRAINING_COPIES * net.weights_mb
    if device != "cuda":
        memory += GRADIENT_MB + TRAINING_FACTOR * batch * net.gradient_mb
    passes = TRAINING_STEPS * GRADIENT_FORWARDS * epochs * images
    reading = IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(passes, batch, device, threads))


def distil_needs(
    training: Needs,
    student: Size,
    teacher: Size | None,
    images: int,
    evaluated: int,
    canvas: int,
    batch: int,
    device: str = "cpu",
    threads: int = 1,
) -> Needs:
    """Estimate the needs of training a student with a teacher, and of evaluating it.

    Parameters
    ----------
    training : Needs
        Needs of training the student alone.
    student : Size
    teacher : Size, optional
        The teacher, which sees every training image in every epoch.
    images : int
        Number of training images, times the number of epochs.
    evaluated : int
        Number of evaluation images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Number of images per training step.
    device : str
        `cpu` or `cuda`.
    threads : int

    Returns
    -------
    Needs
    """
    memory, minutes = float(training.mem_mb), float(training.minutes)
    for row, count in ((student, evaluated), (teacher, images)):
        if row is None:
            continue
        net = _Net.of(row, canvas)
        minutes += net.seconds(count, batch, device, threads) / 60
        memory += 2 * net.weights_mb
        if device != "cuda":
            memory += FORWARD_MB + batch * net.forward_mb
    return _needs(memory, 60 * minutes)


def clean_needs(
    model: Size, images: int, canvas: int, batch: int, device: str = "cpu", threads: int = 1, classes: int = CLASSES
) -> Needs:
    """Estimate the needs of predicting the evaluation images.

    Parameters
    ----------
    model : Size
    images : int
        Number of evaluation images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Number of images at once.
    device : str
        `cpu` or `cuda`.
    threads : int
    classes : int
        Number of the model's outputs.

    Returns
    -------
    Needs
    """
    at_once = _at_once(images, batch)
    held = _canvas_mb(at_once * CANVAS_BYTES, canvas) + LOGIT_BYTES * images * classes / 1e6
    net = _Net.of(model, canvas)
    memory = _base_mb(device, threads) + held + 2 * net.weights_mb
    if device != "cuda":
        memory += FORWARD_MB + at_once * net.forward_mb
    reading = IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(images, batch, device, threads))


def attack_needs(
    model: Size, images: int, canvas: int, batch: int, steps: int, device: str = "cpu", threads: int = 1
) -> Needs:
    """Estimate the needs of attacking a model, which keeps no more than one batch in memory.

    Parameters
    ----------
    model : Size
    images : int
        Number of attack images. The model is assumed to get all of them right.
    canvas : int
        Side of the images in pixels.
    batch : int
        Number of images at once.
    steps : int
        Number of gradients that the attack computes for an image.
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
    memory = _base_mb(device, threads) + held + 2 * net.weights_mb
    if device != "cuda":
        memory += GRADIENT_MB + at_once * net.gradient_mb
    # One more forward pass at the end finds which images fool the model.
    passes = (GRADIENT_FORWARDS * steps + 1) * images
    reading = 2 * IO_SECONDS * _pixels(canvas) * images
    return _needs(memory, START_SECONDS + reading + net.seconds(passes, batch, device, threads))


def evaluate_needs(
    targets: Sequence[Size],
    n_sources: int,
    images: int,
    canvas: int,
    batch: int,
    device: str = "cpu",
    threads: int = 1,
    diagonal: bool = True,
    wide: bool = False,
) -> Needs:
    """Estimate the needs of evaluating every target of a tile on every source of it.

    Parameters
    ----------
    targets : sequence of Size
        The tile's targets, whose weights are all in memory.
    n_sources : int
        Number of the tile's sources.
    images : int
        Number of attack images.
    canvas : int
        Side of the images in pixels.
    batch : int
        Number of images at once.
    device : str
        `cpu` or `cuda`.
    threads : int
    diagonal : bool
        Whether the targets are also evaluated on noise, as on diagonal tiles.
    wide : bool
        Whether perturbations take two bytes per value, as noise does.

    Returns
    -------
    Needs
    """
    at_once = _at_once(images, batch)
    chunk = min(images, CHUNK_BATCHES * batch)
    reading_bytes, bytes_then = NOISE_BYTES if diagonal or wide else TILE_BYTES
    predicting = images * bytes_then + chunk * CHUNK_BYTES + at_once * CANVAS_BYTES
    held = _canvas_mb(max(images * reading_bytes, predicting), canvas)
    nets = [_Net.of(model, canvas) for model in targets]
    weights = [net.weights_mb for net in nets]
    # While a target is read, the targets before it are in memory already.
    memory = _base_mb(device, threads) + held + sum(weights) + max(weights, default=0.0)
    if device != "cuda":
        memory += FORWARD_MB + at_once * max((net.forward_mb for net in nets), default=0.0)
    rounds = n_sources + diagonal
    reading = IO_SECONDS * _pixels(canvas) * images * (1 + rounds)
    seconds = START_SECONDS * (1 + len(targets) / 8) + reading
    seconds += sum(net.seconds(images * rounds, batch, device, threads) for net in nets)
    return _needs(memory, seconds)


def _needs(mem_mb: float, seconds: float) -> Needs:
    return Needs(math.ceil(mem_mb), max(math.ceil(seconds / 60), LEAST_MINUTES))


def _base_mb(device: str, threads: int) -> float:
    return (CUDA_MB if device == "cuda" else BASE_MB) + THREAD_MB * (threads - 1)


def _at_once(images: int, batch: int) -> int:
    """Number of images in the largest batch, which is padded to a multiple of 16."""
    return min(batch, 16 * math.ceil(images / 16))


def _canvas_mb(count: float, canvas: int) -> float:
    """Memory of a number of canvas images, with one byte per value."""
    return count * 3 * canvas**2 / 1e6


def _pixels(side: int) -> float:
    """Number of pixels of a square image, in units of 224 x 224."""
    return (side / REFERENCE_SIZE) ** 2
