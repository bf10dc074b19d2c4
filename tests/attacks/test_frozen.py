"""Gradients through frozen layers are those of PyTorch, bit by bit, and take less."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sat.attacks.frozen import NARROW, QuickGradients
from sat.attacks.gradient import loss_gradient

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def pair(layer: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients with respect to the same images: PyTorch's, and those of the context."""
    found = []
    for quick in (False, True):
        leaf = images.clone(memory_format=torch.preserve_format).requires_grad_()
        if quick:
            with QuickGradients():
                outputs = layer(leaf)
        else:
            outputs = layer(leaf)
        weights = torch.linspace(-1, 1, outputs.numel()).reshape(outputs.shape)
        found.append(torch.autograd.grad((outputs * weights).sum(), leaf)[0])
    return found[0], found[1]


def drawn(*shape: int, layout: torch.memory_format = torch.channels_last) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)


def norm(channels: int, affine: bool = True) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, affine=affine)
    for values in (layer.running_mean, layer.running_var, *layer.parameters()):
        values.data.uniform_(0.2, 3)
    return layer.eval().requires_grad_(False)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 7, 9), (16, 32, 16, 16), (2, 1024, 1, 1)])
def test_batch_normalisation(shape, affine, layout):
    theirs, ours = pair(norm(shape[1], affine), drawn(*shape, layout=layout))
    assert torch.equal(theirs, ours) and theirs.stride() == ours.stride()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("outputs", [1, 24, 64, NARROW])
@pytest.mark.parametrize(
    ("channels", "kernel", "sides"), [(3, (16, 16), (64, 48)), (24, (2, 2), (9, 12)), (3, (4, 2), (33, 35))]
)
def test_a_convolution_of_patches(channels, kernel, sides, outputs, layout):
    layer = nn.Conv2d(channels, outputs, kernel, stride=kernel).to(memory_format=layout).requires_grad_(False)
    theirs, ours = pair(layer, drawn(4, channels, *sides, layout=layout))
    assert torch.equal(theirs, ours) and theirs.stride() == ours.stride()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(3, 8, 2, stride=2, padding=1),
        nn.Conv2d(3, 8, 2, stride=2, padding="valid"),
        nn.Conv2d(3, 8, 2, stride=2, dilation=2),
        nn.Conv2d(3, 9, 2, stride=2, groups=3),
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 2 * NARROW, 4, stride=4),
        lambda images: F.conv2d(images, torch.ones(8, 3, 2, 2), stride=(2, 2)),
        lambda images: F.conv2d(images, weight=torch.ones(8, 3, 2, 2), stride=2, bias=torch.ones(8)),
        lambda images: F.batch_norm(images, torch.ones(3), torch.ones(3), bias=torch.ones(3), eps=0.1),
        lambda images: F.batch_norm(images, None, None, training=True),
    ],
)
def test_however_a_layer_is_called(layer):
    if isinstance(layer, nn.Module):
        layer.requires_grad_(False)
    theirs, ours = pair(layer, drawn(4, 3, 16, 16))
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize("layer", [norm(3), nn.Conv2d(3, 8, 4, stride=4)])
def test_weights_that_are_trained_have_their_gradients(layer):
    layer.requires_grad_(True)
    with QuickGradients():
        layer(drawn(4, 3, 16, 16)).sum().backward()
    assert all(weight.grad is not None for weight in layer.parameters())


@pytest.mark.parametrize("layer", [norm(3), nn.Conv2d(3, 8, 4, stride=4)])
def test_under_autocast_and_in_other_types_nothing_changes(layer):
    layer.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = pair(lambda images: layer(images).float(), drawn(4, 3, 16, 16))
    assert torch.equal(theirs, ours)
    theirs, ours = pair(layer.double(), drawn(4, 3, 16, 16).double())
    assert torch.equal(theirs, ours)


def test_second_derivatives():
    """An own attack may ask for them."""
    layer = nn.Sequential(norm(3), nn.Conv2d(3, 8, 4, stride=4), nn.GELU()).requires_grad_(False)

    def norm_of_gradient(images: Tensor) -> Tensor:
        return torch.autograd.grad(layer(images).square().sum(), images, create_graph=True)[0].square()

    theirs, ours = pair(norm_of_gradient, drawn(2, 3, 8, 8))
    torch.testing.assert_close(theirs, ours)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet", "densenet121"])
def test_whole_nets_and_what_they_keep(name):
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=10).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1), layer.running_var.uniform_(0.5, 2)
    side = net.pretrained_cfg["input_size"][-1] if name == "test_vit" else 64
    images, target = drawn(4, 3, side, side).mul_(0.2).add_(0.5), torch.arange(4)
    kept: dict[str, int] = {}

    def keep(who: str) -> Callable[[Tensor], Tensor]:
        kept[who] = 0

        def add(value: Tensor) -> Tensor:
            kept[who] += value.numel() * value.element_size()
            return value

        return add

    leaf = images.clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep("theirs"), lambda value: value):
        (theirs,) = torch.autograd.grad(F.cross_entropy(net(leaf), target, reduction="sum"), leaf)
    with torch.autograd.graph.saved_tensors_hooks(keep("ours"), lambda value: value):
        ours = loss_gradient(net, images, target)
    assert torch.equal(theirs, ours)
    assert kept["ours"] < kept["theirs"]
