"""Gradients through frozen convolutions of patches are those of PyTorch, bit by bit."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sat.attacks.gradient import loss_gradient
from sat.models.classifier import build, plan_blueprint
from sat.models.patches import NARROW, PatchConvolution, quicken

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def pair(layer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients with respect to the same images: PyTorch's, and those of the quickened layer."""
    ours = nn.Sequential(deepcopy(layer))
    quicken(ours)
    found = []
    for one in (layer, ours):
        leaf = images.clone(memory_format=torch.preserve_format).requires_grad_()
        outputs = one(leaf)
        weights = torch.linspace(-1, 1, outputs.numel()).reshape(outputs.shape).to(outputs.dtype)
        found.append(torch.autograd.grad((outputs * weights).sum(), leaf)[0])
    return found[0], found[1]


def drawn(*shape: int, layout: torch.memory_format = torch.channels_last) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=layout)


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
        nn.Conv2d(3, 8, 2, stride=2, padding_mode="reflect", padding=1),
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 2 * NARROW, 4, stride=4),
        nn.ConvTranspose2d(3, 8, 2, stride=2),
    ],
)
def test_all_other_layers_stay_as_they_are(layer):
    net = nn.Sequential(layer.requires_grad_(False))
    kind = type(layer)
    quicken(net)
    assert type(net[0]) is kind


def test_weights_that_are_trained_have_their_gradients():
    net = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4))
    quicken(net)
    net(drawn(4, 3, 16, 16).requires_grad_()).sum().backward()
    assert type(net[0]) is PatchConvolution and all(weight.grad is not None for weight in net.parameters())


def test_under_autocast_and_in_other_types_nothing_changes():
    layer = nn.Conv2d(3, 8, 4, stride=4).requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = pair(layer, drawn(4, 3, 16, 16))
    assert torch.equal(theirs, ours)
    theirs, ours = pair(layer.double(), drawn(4, 3, 16, 16).double())
    assert torch.equal(theirs, ours)


def test_second_derivatives():
    """An own attack may ask for them."""
    layer = nn.Conv2d(3, 8, 4, stride=4).requires_grad_(False)
    net = nn.Sequential(deepcopy(layer))
    quicken(net)
    found = []
    for one in (layer, net):
        leaf = drawn(2, 3, 8, 8).requires_grad_()
        (gradient,) = torch.autograd.grad(F.gelu(one(leaf)).square().sum(), leaf, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), leaf)[0])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "vit_tiny_patch16_224"])
def test_whole_nets(name):
    torch.manual_seed(0)
    theirs = build(plan_blueprint(name, 10))
    ours = deepcopy(theirs).freeze()
    theirs.requires_grad_(False).eval().place("cpu")
    assert any(type(layer) is PatchConvolution for layer in ours.modules()) == (name != "test_resnet")
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    side = theirs.blueprint.input_size
    images, target = drawn(4, 3, side, side).mul_(0.2).add_(0.5), torch.arange(4)
    gradients = [
        loss_gradient(one, images.clone(memory_format=torch.preserve_format), target) for one in (theirs, ours)
    ]
    assert torch.equal(*gradients)
    with torch.no_grad():
        assert torch.equal(theirs(images), ours(images))
