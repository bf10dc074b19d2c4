"""Small nets and images for tests."""

from __future__ import annotations

import re
import resource
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from sat.models.classifier import (
    Blueprint,
    Classifier,
    build,
    classifier_layers,
    load_classifier,
    plan_blueprint,
    save_classifier,
)


def digits(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels with detail at every grey level, both ends included."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    images[:, :, :8] = 0
    images[:, :, 8:12] = 255
    return images, random.integers(0, 10, count)


def perturb(images: NDArray[np.uint8], perturbation: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Add perturbations to images, and clip the result to 0 to 255."""
    return np.clip(images.astype(int) + perturbation, 0, 255).astype(np.uint8)


def classifier(architecture: str) -> Classifier:
    """A frozen net of 32 px with random weights, the same every time."""
    torch.manual_seed(0)
    # Nets with position embeddings are built for one size.
    config = timm.create_model(architecture).pretrained_cfg
    options = {"img_size": 32} if config.get("fixed_input_size") else {}
    return build(Blueprint(architecture, 10, 32, config["mean"], config["std"], options)).freeze()


def alive(architecture: str) -> Classifier:
    """Build a net of a thousand classes. No layer starts at zero, which would hide what comes before it."""
    net = build(plan_blueprint(architecture, 1000))
    with torch.no_grad():
        for value in net.parameters():
            # Heads and the last layers of residual blocks.
            if not value.any():
                torch.nn.init.normal_(value, std=0.1)
    return net


def loaded_without_drawing(net: Classifier, path: Path) -> Classifier:
    """Save a net, freeze it, and load the file; compare every parameter and every buffer."""
    save_classifier(net, path)
    net.freeze()
    # Memory is filled with NaN, so that what is not replaced shows.
    torch.use_deterministic_algorithms(True)
    again = load_classifier(path)
    torch.use_deterministic_algorithms(False)
    path.unlink()
    for kind in ("named_parameters", "named_buffers"):
        expected, found = dict(getattr(net, kind)()), dict(getattr(again, kind)())
        assert list(expected) == list(found)
        for name, value in expected.items():
            assert value.dtype == found[name].dtype and value.stride() == found[name].stride(), name
            assert value.numpy().tobytes() == found[name].numpy().tobytes(), name
    return again


def equal_without_drawing(architecture: str, path: Path) -> None:
    """Compare a net with the one that is loaded from its file: values and logits."""
    net = alive(architecture)
    again = loaded_without_drawing(net, path)
    images = torch.rand(1, 3, net.blueprint.input_size, net.blueprint.input_size)
    with torch.no_grad():
        logits = net(images)
        assert logits.isfinite().all() and logits.any() and torch.equal(logits, again(images))


def differentiate(architecture: str, native: int, device: str, memory: int, path: Path) -> None:
    """Load a net of a thousand classes, run it forward and take a gradient; build it for another number of classes."""
    if device == "cpu":
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    torch.manual_seed(0)
    net = alive(architecture)
    assert net.blueprint.input_size == native, net.blueprint
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = timm.create_model(architecture, num_classes=102).state_dict()
    many = net.net.state_dict()
    assert many.keys() == few.keys()
    differing = {key for key in many if many[key].shape != few[key].shape}
    # Fine-tuning replaces exactly the layers that the number of classes decides.
    assert differing == {key for key in many if key.rpartition(".")[0] in classifier_layers(architecture)}
    again = loaded_without_drawing(net, path).freeze(device)
    net.freeze(device)
    images = torch.rand(1, 3, 224, 224, device=device, requires_grad=True)
    logits = again(images)
    assert logits.shape == (1, 1000) and logits.isfinite().all() and logits.any()
    # Both with a gradient, as attention may be computed in another way without. The kernels of a GPU may add up in
    # another order.
    assert (torch.equal if device == "cpu" else torch.allclose)(logits, net(images))
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([1], device=device))
    (gradient,) = torch.autograd.grad(loss, images)
    assert gradient.isfinite().all(), "the gradient is not finite"
    assert (gradient != 0).float().mean() > 0.5, "most of the gradient is zero"


def load_within(architecture: str, path: str, megabytes: int) -> str:
    """Load a checkpoint with so much more memory than the process has; return what was said."""
    from sat.errors import SatError
    from sat.models.pretrained import load_checkpoint

    status = Path("/proc/self/status").read_text()
    used = int(re.search(r"VmData:\s+(\d+) kB", status)[1]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + megabytes * 2**20,) * 2)
    try:
        load_checkpoint(architecture, path)
    except SatError as error:
        return str(error)
    return "loaded"
