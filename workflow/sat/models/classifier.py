"""The wrapper around every model: it takes the canvas and returns logits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sat.errors import SatError
from sat.logs import progress
from sat.models.batches import Batch
from sat.models.feed import Ahead, Line, Sent, blocks, launched, line_to, padded_slice
from sat.models.own import Own, check_layer, check_outputs, create_own, said_by
from sat.models.patches import quicken
from sat.models.precision import forward_in
from sat.models.unfilled import WithoutDrawing
from sat.store.chunks import Held, Items
from sat.study.names import check_architecture

MOST_SIDE = 4096
"""Largest side in pixels of a model's input that a file of weights may ask for by itself."""


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build a model around its weights. It is stored in the weights file."""

    architecture: str
    """Name of a timm architecture, or function of a code file."""
    num_classes: int
    """Outputs."""
    input_size: int
    """Side in pixels of the model's own input."""
    mean: tuple[float, ...]
    """Mean of each channel, in units of [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel, in units of [0, 1]."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of timm.create_model, or of the function."""
    code: str = ""
    """Digest of the code file; empty for a net of timm."""
    features: str = ""
    """Layer of a net from a code file whose input counts as features."""


class Classifier(nn.Module):
    """A model with its own preprocessing, as the study uses it.

    It resizes the canvas to the model's own input size (bicubic, antialiased) unless
    the sizes are equal, and normalises. The gradient includes both steps.

    Parameters
    ----------
    net : nn.Module
        Network that takes normalised images of the blueprint's input size and returns logits.
    blueprint : Blueprint

    Attributes
    ----------
    precision : str
        Precision in which the network computes: float32, tf32 or bfloat16. Logits and gradients are float32 always.
    """

    mean: Tensor
    std: Tensor
    precision: str = "float32"

    def __init__(self, net: nn.Module, blueprint: Blueprint) -> None:
        super().__init__()
        self.net = net
        self.blueprint = blueprint
        for name in ("mean", "std"):
            # Repeated for a row of pixels, as they lie in memory: by three numbers at a time, normalising is slow.
            row = torch.tensor(getattr(blueprint, name)).repeat(1, 1, blueprint.input_size, 1).permute(0, 3, 1, 2)
            self.register_buffer(name, row, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of images.

        Parameters
        ----------
        images : float Tensor, shape (n, 3, S, S)
            Images in units of [0, 1].

        Returns
        -------
        float Tensor, shape (n, classes)
        """
        prepared = self.prepare(images)
        with forward_in(self.precision, images.device.type):
            logits: Tensor = self.net(prepared)
        return logits.float() if self.precision == "bfloat16" else logits

    def prepare(self, images: Tensor) -> Tensor:
        """Resize and normalise images, as the network itself expects them."""
        size = self.blueprint.input_size
        if images.shape[-1] != size:
            images = F.interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False)
        mean, std = self.mean, self.std
        if not images.is_contiguous(memory_format=torch.channels_last):
            mean, std = mean[..., :1], std[..., :1]
        return (images - mean).div_(std)

    def freeze(self, device: str = "cpu") -> Classifier:
        """Prepare the model for inference and attack: evaluation mode, frozen parameters, on a device.

        With frozen parameters, activations that only their gradients need are not kept either, and convolutions of
        patches have a quicker gradient on a CPU.
        """
        if device == "cpu":
            quicken(self.net)
        return self.requires_grad_(False).eval().place(device)

    def place(self, device: str) -> Classifier:
        """Move the model to a device, with weights in the memory layout that is fastest for convolutions."""
        self.to(device)
        # Module.to would fail on a lambda layer's weights: they have five axes, for which there is no such layout.
        for value in (*self.parameters(), *self.buffers()):
            if value.ndim == 4:
                value.data = value.data.contiguous(memory_format=torch.channels_last)
        return self


def create_net(architecture: str) -> nn.Module:
    """Create a timm model with random weights.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture.

    Returns
    -------
    nn.Module

    Raises
    ------
    SatError
        If timm knows no such architecture.
    """
    try:
        net: nn.Module = timm.create_model(architecture)
    except (RuntimeError, ValueError):
        close = ", ".join(timm.list_models(f"*{architecture.split('.')[0][:8]}*")[:5])
        raise SatError(
            f"architecture {architecture!r}: timm {timm.__version__} knows no such model; close to it: "
            f"{close or 'none'}."
        ) from None
    return net


def plan_blueprint(
    architecture: str,
    num_classes: int,
    input_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    own: Own | None = None,
) -> Blueprint:
    """Make the blueprint of a model from what timm, or the net itself, says about its architecture.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture.
    num_classes : int
    input_size : int, optional
        Side of its input in pixels; that of the architecture by default.
    mean, std : sequence of float, optional
        Mean and standard deviation of each channel, in units of [0, 1]; those of the architecture by default.
    own : Own, optional
        Code file and arguments of a net that is not timm's.

    Returns
    -------
    Blueprint

    Raises
    ------
    SatError
        If timm knows no such architecture, or a net from a code file does not say what is missing.
    """
    if own:
        return _own_blueprint(architecture, num_classes, input_size, mean, std, own)
    with WithoutDrawing():  # it is built only to be asked
        config: Any = create_net(architecture).pretrained_cfg
    native = int(config["input_size"][-1])
    size = input_size or native
    # Networks with position embeddings or windows are built for one size. Others take any size and refuse the option.
    options = {"img_size": size} if config.get("fixed_input_size") and size != native else {}
    return Blueprint(
        architecture, num_classes, size, tuple(mean or config["mean"]), tuple(std or config["std"]), options
    )


def _own_blueprint(
    architecture: str,
    num_classes: int,
    input_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    own: Own,
) -> Blueprint:
    given = {"input_size": input_size, "mean": mean, "std": std}
    if wanted := [name for name, value in given.items() if not value]:
        net = create_own(architecture, own.code, num_classes, own.options)
        found = {**given, **said_by(net, architecture, wanted)}
        if missing := [name for name, value in found.items() if not value]:
            raise SatError(
                f"net {architecture!r}: does not say its {' and '.join(missing)}, so the columns of this name must. "
                "For a net that normalises images itself, they are mean 0 and std 1."
            )
        input_size, mean, std = found["input_size"], found["mean"], found["std"]
    assert input_size and mean and std
    return Blueprint(
        architecture, num_classes, int(input_size), tuple(mean), tuple(std), dict(own.options), own.code, own.features
    )


def build(blueprint: Blueprint, near: Path | str | None = None, options: Mapping[str, Any] | None = None) -> Classifier:
    """Build a classifier with random weights.

    Parameters
    ----------
    blueprint : Blueprint
    near : path, optional
        A file of the study's results, near which the code of a net of the user's own is found.
    options : mapping, optional
        Further arguments of timm.create_model, or of the function, that only training needs.

    Returns
    -------
    Classifier
        The classifier in training mode, on the CPU.
    """
    options = {**blueprint.options, **(options or {})}
    name, classes = blueprint.architecture, blueprint.num_classes
    if not blueprint.code:
        return Classifier(timm.create_model(name, num_classes=classes, **options), blueprint)
    net = create_own(name, blueprint.code, classes, options, near)
    check_outputs(net, name, classes, blueprint.input_size)
    if blueprint.features:
        check_layer(net, name, blueprint.features)
    return Classifier(net, blueprint)


def classifier_layers(architecture: str) -> tuple[str, ...]:
    """Names of the layers that compute a timm architecture's logits; some architectures have two."""
    config: Any = None if ":" in architecture else timm.get_pretrained_cfg(architecture)
    names = (config and config.classifier) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def outputs(architecture: str, shapes: Mapping[str, Sequence[int]]) -> int:
    """Find the number of classes of weights, which is the number of rows of their classifier.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture.
    shapes : mapping of str to sequence of int
        Shape of each tensor.

    Returns
    -------
    int
        If there is no such layer, the number of classes of the architecture's pretrained weights.
    """
    for name in classifier_layers(architecture):
        if shape := shapes.get(f"{name}.weight"):
            return shape[0]
    config: Any = timm.get_pretrained_cfg(architecture)
    return int(config.num_classes) if config else 1000


def save_classifier(classifier: Classifier, path: Path | str) -> None:
    """Write a classifier as safetensors, with its blueprint in the metadata.

    Parameters
    ----------
    classifier : Classifier
    path : path
    """
    state: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, value in classifier.net.state_dict().items():
        # The format refuses tensors that share memory, as those of layers with tied weights do.
        state[name] = value.clone() if value.data_ptr() in places else value.contiguous()
        places.add(value.data_ptr())
    said = asdict(classifier.blueprint)
    if not classifier.blueprint.code:
        del said["code"], said["features"]
    save_file(state, path, metadata={"blueprint": json.dumps(said)})


def read_blueprint(path: Path | str) -> Blueprint | None:
    """Read the blueprint in a safetensors file; None if `save_classifier` did not write the file.

    Anybody can write anything into the file, so the values must be possible ones, and fit the weights beside them.

    Raises
    ------
    SafetensorError, OSError
        If the file is damaged.
    TypeError, ValueError
        If it holds a blueprint that `save_classifier` cannot have written.
    """
    with safe_open(path, "pt") as file:
        raw = (file.metadata() or {}).get("blueprint")
        if not raw:
            return None
        found = Blueprint(**json.loads(raw))
        if not found.code:
            check_architecture(str(found.architecture), from_hub=False)
        shapes = {
            f"{name}.weight": file.get_slice(f"{name}.weight").get_shape()
            for name in classifier_layers(found.architecture)
            if f"{name}.weight" in file.keys()  # noqa: SIM118 - it is no mapping
        }
    size = found.input_size
    possible = {
        "num_classes": not shapes or outputs(found.architecture, shapes) == found.num_classes,
        "input_size": isinstance(size, int) and 1 <= size <= MOST_SIDE,
        "mean": len(found.mean) == 3 and all(0 <= value <= 1 for value in found.mean),
        "std": len(found.std) == 3 and all(0 < value <= 1 for value in found.std),
        "options": bool(found.code) or dict(found.options) in ({}, {"img_size": size}),
    }
    for key, holds in possible.items():
        if not holds:
            raise ValueError(f"its blueprint has an impossible {key}: {getattr(found, key)!r}")
    return found


def load_classifier(path: Path | str, device: str = "cpu") -> Classifier:
    """Read a classifier that `save_classifier` wrote, and freeze it.

    Parameters
    ----------
    path : path
    device : str

    Returns
    -------
    Classifier

    Raises
    ------
    SatError
        If the file is damaged, or its weights do not fit its architecture.
    """
    try:
        blueprint = read_blueprint(path)
        if blueprint is None:
            raise KeyError("it holds no blueprint")
        # A function of the user's own may draw from the same generator what is no weight.
        with nullcontext() if blueprint.code else WithoutDrawing():
            classifier = build(blueprint, path)
        classifier.net.load_state_dict(load_file(path))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SatError(
            f"{path}: the weights cannot be read ({reason}); delete the file and run Snakemake again."
        ) from None
    return classifier.freeze(device)


def pick_device(device: str) -> str:
    """Check that a device is available.

    Raises
    ------
    SatError
        If CUDA is asked for and is not available.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SatError(
            "compute.device is 'cuda', and PyTorch finds no GPU here; set it to 'cpu', or run on a machine with one."
        )
    return device


def check_classes(model: str, outputs: int, largest: int, n_classes: int, named: bool) -> None:
    """Accept a model that has the classes of the images, numbered in the same way.

    Parameters
    ----------
    model : str
        Name of the model, for messages.
    outputs : int
        Number of its classes.
    largest : int
        Largest label of the images.
    n_classes : int
        Number of classes of the data set.
    named : bool
        Whether the data set names its classes. They are then numbered in the order of their names, and only a model of
        exactly these classes has the same numbers.

    Raises
    ------
    SatError
        If it has others.
    """
    if outputs <= largest or (named and outputs != n_classes):
        raise SatError(
            f"model {model!r}: has {outputs} classes, and the images have {n_classes} (largest label "
            f"{largest}). Use images of the model's own classes, or say with images.class_map which output stands for "
            "which class, or give weights for these classes (a checkpoint, or train)."
        )


def to_unit(levels: Tensor, change: Tensor | None = None) -> Tensor:
    """Convert grey levels 0 to 255 of any type to float32 in [0, 1]. Stored images reach a model only in this way.

    Parameters
    ----------
    levels : Tensor, shape (n, 3, S, S)
    change : int Tensor, same shape, optional
        Perturbation in grey levels, which is added first; the sum is clipped to 0 to 255.
    """
    if change is not None:
        levels = (levels + change.to(torch.int16)).clamp_(0, 255)
    # Floats are rearranged faster than bytes.
    return levels.to(torch.float32, copy=True).div_(255).contiguous(memory_format=torch.channels_last)


def predict(
    classifier: Classifier,
    images: NDArray[np.uint8] | Items,
    batch: int | Batch,
    device: str | Line = "cpu",
    shown: str = "",
) -> NDArray[np.float32]:
    """Compute the logits of images.

    Parameters
    ----------
    classifier : Classifier
        The model, frozen.
    images : uint8 array or Items, shape (n, 3, S, S)
        Grey levels of the canvas.
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str or Line
    shown : str
        Description of the progress that is shown; nothing is shown without one.

    Returns
    -------
    float32 array, shape (n, classes)

    Raises
    ------
    FloatingPointError
        If a logit is not finite.
    """
    found = np.empty((images.shape[0], classifier.blueprint.num_classes), np.float32)
    for where, values in outputs_of(classifier, images, batch, device, shown):
        found[where] = check_finite(values)
    return found


def check_finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits of a batch if all are finite.

    Raises
    ------
    FloatingPointError
        If a logit is not finite.
    """
    if not (finite := np.isfinite(logits)).all():
        raise FloatingPointError(
            f"{int((~finite).any(1).sum())} of {len(logits)} images give logits that are not finite"
        )
    return logits


def features(
    classifier: Classifier, images: NDArray[np.uint8] | Items, batch: int | Batch, device: str | Line = "cpu"
) -> NDArray[np.float32]:
    """Compute the features of images before the classifier layer, which timm calls pre-logits.

    Parameters
    ----------
    classifier : Classifier
        The model, frozen.
    images : uint8 array or Items, shape (n, 3, S, S)
        Grey levels of the canvas.
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str or Line

    Returns
    -------
    float32 array, shape (n, features); d = 0 for a net that does not say where its features are
    """
    net: Any = classifier.net

    def before_the_head(unit: Tensor) -> Tensor:
        if classifier.blueprint.features:
            return _input_of(classifier, classifier.blueprint.features, unit).flatten(1)
        if not (hasattr(net, "forward_head") and hasattr(net, "forward_features")):
            return torch.empty(len(unit), 0)
        with forward_in(classifier.precision, unit.device.type):
            found: Tensor = net.forward_head(net.forward_features(classifier.prepare(unit)), pre_logits=True)
        return found.flatten(1)

    return np.concatenate([values for _, values in outputs_of(before_the_head, images, batch, device)])


def _input_of(classifier: Classifier, layer: str, unit: Tensor) -> Tensor:
    """What a layer of a net gets when the net sees images."""
    found: list[Tensor] = []
    hook = classifier.net.get_submodule(layer).register_forward_pre_hook(lambda module, given: found.append(given[0]))
    try:
        classifier(unit)
    finally:
        hook.remove()
    if len(found) != 1:
        raise SatError(
            f"net {classifier.blueprint.architecture!r}: runs its layer {layer!r} {len(found)} times; name one in "
            "column 'features' that runs once."
        )
    return found[0]


def outputs_of(
    model: Callable[..., Tensor],
    images: NDArray[np.uint8] | Items,
    batch: int | Batch,
    device: str | Line,
    shown: str = "",
    *,
    rows: NDArray[np.integer] | None = None,
    beside: Sequence[NDArray[Any]] = (),
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield a model's outputs on images, batch by batch, one batch behind the computation.

    Parameters
    ----------
    model : callable
        Function from images in units of [0, 1], and what is sent beside them, to a Tensor of shape (n, ...).
    images : uint8 array or Items, shape (n, 3, S, S)
    batch : int or Batch
        Number of images at once; a multiple of 16.
    device : str or Line
    shown : str
        Description of the progress that is shown; nothing is shown without one.
    rows : int array, optional
        The images to compute on; all of them by default.
    beside : sequence of arrays of shape (n, ...)
        What the model needs with the images, such as labels.

    Yields
    ------
    slice
        The slice of images, or of `rows`.
    float32 array, shape (images of the slice, ...)
    """
    line, batch = line_to(device), batch if isinstance(batch, Batch) else Batch(batch)
    source = Held(images) if isinstance(images, np.ndarray) else images
    chosen = np.arange(source.shape[0]) if rows is None else rows
    sources: list[Items] = [source, *map(Held, beside)]

    def load(places: NDArray[np.integer]) -> tuple[int, list[Sent]]:
        return int(places[0]), [line.load(one, chosen[places]) for one in sources]

    @torch.no_grad()
    def launch(block: tuple[int, list[Sent]], where: slice) -> Callable[[], NDArray[np.float32]]:
        levels, *others = (sent.here()[padded_slice(where)] for sent in block[1])
        return line.fetch(model(to_unit(levels), *others)[: where.stop - where.start].float())

    with Ahead(blocks(np.arange(len(chosen)), batch), load, line.threads) as feed:
        results = launched(feed, batch, lambda block: block[1][0].count, launch)
        if shown:
            results = progress(results, shown, len(chosen), lambda item: item[1].stop - item[1].start)
        for (first, _), where, values in results:
            yield slice(first + where.start, first + where.stop), values
