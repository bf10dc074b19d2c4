"""The wrapper around every model: canvas in, logits out, with nothing hidden between."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from sat.models.batches import Batch, in_batches, padded


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build a model around its weights; travels within the weights file."""

    architecture: str
    """Name of a timm architecture."""
    num_classes: int
    """Outputs."""
    input_size: int
    """Side in pixels of the model's own input."""
    mean: tuple[float, ...]
    """Of each channel, in units of [0, 1]."""
    std: tuple[float, ...]
    """Of each channel, in units of [0, 1]."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of timm.create_model."""


class Classifier(nn.Module):
    """A model as the study sees it.

    Resizes the canvas to the model's own input (bicubic, antialiased; not at
    native size) and normalises, both within the gradient.

    Parameters
    ----------
    net : nn.Module
        Takes normalised images of the blueprint's input size, returns logits.
    blueprint : Blueprint
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, blueprint: Blueprint) -> None:
        super().__init__()
        self.net = net
        self.blueprint = blueprint
        self.register_buffer("mean", torch.tensor(blueprint.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(blueprint.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images.

        Parameters
        ----------
        images : float Tensor, shape (n, 3, S, S)
            In units of [0, 1].

        Returns
        -------
        float Tensor, shape (n, classes)
        """
        logits: Tensor = self.net(self.prepare(images))
        return logits

    def prepare(self, images: Tensor) -> Tensor:
        """What the net itself gets: images at its own input size, normalised."""
        size = self.blueprint.input_size
        if images.shape[-1] != size:
            images = F.interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False)
        return (images - self.mean) / self.std

    def freeze(self, device: str = "cpu") -> Classifier:
        """Make ready for inference and attack: eval mode, frozen parameters, on a device.

        Frozen parameters also save the activations that only their gradients would need.
        """
        return self.requires_grad_(False).eval().place(device)

    def place(self, device: str) -> Classifier:
        """Move to a device, weights in the layout that convolutions are fastest with."""
        self.to(device)
        # Module.to would also try the five axes of a lambda layer's weights, which have no such layout.
        for value in (*self.parameters(), *self.buffers()):
            if value.ndim == 4:
                value.data = value.data.contiguous(memory_format=torch.channels_last)
        return self


def create_net(architecture: str) -> nn.Module:
    """A timm model with random weights.

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
    except RuntimeError:
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
) -> Blueprint:
    """Blueprint of a model, by what timm says of its architecture.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture.
    num_classes : int
    input_size : int, optional
        Side of its input in pixels; the architecture's own by default.
    mean, std : sequence of float, optional
        Of each channel, in units of [0, 1]; the architecture's own by default.

    Returns
    -------
    Blueprint

    Raises
    ------
    SatError
        If timm knows no such architecture.
    """
    config: Any = create_net(architecture).pretrained_cfg
    native = int(config["input_size"][-1])
    size = input_size or native
    # Nets with position embeddings or windows are built for one size; others take any and refuse the option.
    options = {"img_size": size} if config.get("fixed_input_size") and size != native else {}
    return Blueprint(
        architecture, num_classes, size, tuple(mean or config["mean"]), tuple(std or config["std"]), options
    )


def build(blueprint: Blueprint, **options: Any) -> Classifier:
    """Build a classifier with random weights.

    Parameters
    ----------
    blueprint : Blueprint
    **options
        Further arguments of timm.create_model that training alone needs.

    Returns
    -------
    Classifier
        In training mode, on the CPU.
    """
    net = timm.create_model(
        blueprint.architecture, num_classes=blueprint.num_classes, **{**blueprint.options, **options}
    )
    return Classifier(net, blueprint)


def classifier_layers(architecture: str) -> tuple[str, ...]:
    """Names of the layers that give a timm architecture's logits; some have two."""
    config: Any = timm.get_pretrained_cfg(architecture)
    names = (config and config.classifier) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def save_classifier(classifier: Classifier, path: Path | str) -> None:
    """Write a classifier as safetensors, its blueprint in the metadata.

    Parameters
    ----------
    classifier : Classifier
    path : path
    """
    state = {name: value.contiguous() for name, value in classifier.net.state_dict().items()}
    save_file(state, path, metadata={"blueprint": json.dumps(asdict(classifier.blueprint))})


def read_blueprint(path: Path | str) -> Blueprint | None:
    """Blueprint in a safetensors file; None if `save_classifier` did not write it.

    Raises
    ------
    SafetensorError, OSError
        If the file is damaged.
    """
    with safe_open(path, "pt") as file:
        raw = (file.metadata() or {}).get("blueprint")
    return Blueprint(**json.loads(raw)) if raw else None


def load_classifier(path: Path | str, device: str = "cpu") -> Classifier:
    """Read a classifier that `save_classifier` wrote, frozen and ready.

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
        classifier = build(blueprint)
        classifier.net.load_state_dict(load_file(path))
    except (SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SatError(
            f"{path}: the weights cannot be read ({reason}); delete the file and run Snakemake again."
        ) from None
    return classifier.freeze(device)


def pick_device(device: str) -> str:
    """Check that a device is there.

    Raises
    ------
    SatError
        If CUDA is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SatError(
            "compute.device is 'cuda', and PyTorch finds no GPU here; set it to 'cpu', or run on a machine with one."
        )
    return device


def to_unit(levels: Tensor) -> Tensor:
    """Grey levels 0 to 255 of any type as float32 in [0, 1]: the one way from stored images to a model."""
    return levels.to(torch.float32).div(255).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(
    classifier: Classifier, images: NDArray[np.uint8], batch: int | Batch, device: str = "cpu"
) -> NDArray[np.float32]:
    """Logits of images.

    Parameters
    ----------
    classifier : Classifier
        Frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    batch : int or Batch
        Images at once; a multiple of 16.
    device : str

    Returns
    -------
    float32 array, shape (n, classes)

    Raises
    ------
    FloatingPointError
        If a logit is not finite.
    """
    found = np.empty((len(images), classifier.blueprint.num_classes), np.float32)
    for where, values in _outputs(classifier, images, batch, device):
        found[where] = values
    if not np.isfinite(found).all():
        raise FloatingPointError(
            f"{int((~np.isfinite(found)).any(1).sum())} of {len(images)} images give logits that are not finite"
        )
    return found


@torch.no_grad()
def features(
    classifier: Classifier, images: NDArray[np.uint8], batch: int | Batch, device: str = "cpu"
) -> NDArray[np.float32]:
    """Features of images before the classifier layer: timm's pre-logits.

    Parameters
    ----------
    classifier : Classifier
        Frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    batch : int or Batch
        Images at once; a multiple of 16.
    device : str

    Returns
    -------
    float32 array, shape (n, features)
    """
    net: Any = classifier.net

    def before_the_head(unit: Tensor) -> Tensor:
        found: Tensor = net.forward_head(net.forward_features(classifier.prepare(unit)), pre_logits=True)
        return found.flatten(1)

    return np.concatenate([values for _, values in _outputs(before_the_head, images, batch, device)])


def _outputs(
    model: Callable[[Tensor], Tensor], images: NDArray[np.uint8], batch: int | Batch, device: str
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """What a model makes of images, batch by batch, without what padding adds."""

    def work(where: slice) -> NDArray[np.float32]:
        unit = to_unit(padded(images[where]).to(device))
        values: NDArray[np.float32] = model(unit)[: where.stop - where.start].float().cpu().numpy()
        return values

    return in_batches(len(images), batch if isinstance(batch, Batch) else Batch(batch), work)
