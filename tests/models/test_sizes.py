"""Operations and memory of nets, against closed forms and against what timm publishes."""

from __future__ import annotations

import csv

import pytest
import torch
from torch import nn

from projects import ROOT
from sat.models.classifier import Blueprint, Classifier, build, plan_blueprint
from sat.models.sizes import activation_mb, count_macs, size_facts

SIDE = 32
# Billions of multiply-accumulates at their own sizes, as the papers or timm's model cards give them.
PUBLISHED = {
    "resnet50.a1_in1k": 4.11,
    "vit_small_patch16_224.augreg_in21k_ft_in1k": 4.61,
    "efficientnet_b2.ra_in1k": 0.89,
    "pit_s_224.in1k": 2.88,
    "swin_s3_tiny_224.ms_in1k": 4.64,
    "gmlp_s16_224.ra3_in1k": 4.42,
    "sehalonet33ts.ra2_in1k": 3.55,
    "visformer_small.in1k": 4.88,
}


def wrap(*layers: nn.Module) -> Classifier:
    return Classifier(nn.Sequential(*layers), Blueprint("own:net", 10, SIDE, (0.5,) * 3, (0.5,) * 3, {}, "digest"))


def small() -> Classifier:
    return wrap(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 10))


def test_a_convolution_and_a_linear_layer_by_hand() -> None:
    facts = size_facts(small())
    convolution = 8 * 16 * 16 * (3 * 3 * 3)  # every output value is a sum over 27 products
    linear = 8 * 16 * 16 * 10
    assert facts["gmacs"] == pytest.approx((convolution + linear) / 1e9)
    assert facts["n_parameters"] == 8 * 27 + 8 + 8 * 16 * 16 * 10 + 10
    assert facts["input_size"] == SIDE


def test_attention_by_hand() -> None:
    """Of PyTorch's own layer, which has a fused form without a gradient, and a fused product of its own."""
    n, width = 64, 32

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.MultiheadAttention(width, 4, batch_first=True)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = images.reshape(len(images), n, -1)[..., :width]
            return self.attend(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    net = Tokens().eval().requires_grad_(False)
    projections, products = 4 * n * width * width, 2 * n * n * width
    assert count_macs(net, torch.zeros(1, 3, SIDE, SIDE)) == projections + products


@pytest.mark.parametrize(("architecture", "published"), PUBLISHED.items())
def test_counts_agree_with_the_table_and_with_what_is_published(architecture: str, published: float) -> None:
    with (ROOT / "studies/imagenet69.csv").open() as stream:
        row = next(row for row in csv.DictReader(stream) if row["architecture"] == architecture)
    with torch.device("meta"):
        net = build(plan_blueprint(architecture.partition(".")[0], 1000)).net.eval()
        gmacs = count_macs(net, torch.zeros(1, 3, *[int(row["input_size"])] * 2)) / 1e9
    assert gmacs == pytest.approx(float(row["gmacs"]), rel=0.001)
    assert gmacs == pytest.approx(published, rel=0.1)


def test_memory_of_activations_by_hand() -> None:
    """Values of 4 bytes: with a gradient, the result of every ReLU stays."""
    image, hidden = 4 * 3 * SIDE**2, 4 * 8 * 16 * 16
    net = wrap(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.ReLU(), nn.ReLU()).freeze()
    # The normalised image is an argument of the whole net. Of the net itself, an operation's input and output are held.
    assert activation_mb(net, gradient=False) == pytest.approx((image + 2 * hidden) / 1e6)
    # The result of each ReLU is kept, and the image's two results until the convolution has run.
    kept = activation_mb(net, gradient=True)
    assert 3 * hidden / 1e6 <= kept <= (3 * hidden + 2 * image + hidden) / 1e6
    deeper = wrap(*net.net, *[nn.ReLU() for _ in range(20)]).freeze()
    assert activation_mb(deeper, gradient=True) - kept == pytest.approx(20 * hidden / 1e6)
    assert activation_mb(deeper, gradient=False) == activation_mb(net, gradient=False)


def test_weights_and_views_are_not_counted_as_activations() -> None:
    layer = nn.Linear(3 * SIDE**2, 3 * SIDE**2)
    net = wrap(nn.Flatten(), layer, nn.Unflatten(1, (3, SIDE, SIDE)), nn.Flatten()).freeze()
    image = 4 * 3 * SIDE**2 / 1e6
    assert activation_mb(net, gradient=True) <= 4 * image < 4 * layer.weight.numel() / 1e6


def test_a_net_that_cannot_be_counted_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Whimsical(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.requires_grad:
                raise RuntimeError("no gradients here")
            return images.mean((2, 3))

    facts = size_facts(wrap(Whimsical()))
    assert facts == {"n_parameters": 0, "input_size": SIDE}
