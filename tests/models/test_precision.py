"""Precisions against arithmetic by hand, and what is pinned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nets import classifier, digits
from sat.attacks.lattice import ascend
from sat.models.batches import Batch, in_batches
from sat.models.classifier import Blueprint, Classifier, features, predict
from sat.models.precision import deterministically, pin, tolerate


@pytest.fixture(autouse=True)
def _flags_as_before():
    """The flags belong to the process, so other tests would see them."""
    backends = torch.backends
    before = backends.cudnn.benchmark, backends.cudnn.deterministic, torch.get_deterministic_debug_mode()
    yield
    pin("float32", "cpu")
    backends.cudnn.benchmark, backends.cudnn.deterministic = before[:2]
    torch.set_deterministic_debug_mode(before[2])


class Linear(torch.nn.Module):
    """A net whose logits can be computed by hand."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        return self.head(images.flatten(1))


def linear() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Linear(), Blueprint("linear", 10, 32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))).freeze()


def rounded(values: np.ndarray) -> np.ndarray:
    """The nearest numbers with the 8 significant bits of bfloat16."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(mantissa * 256) / 256, exponent)


def test_bfloat16_rounds_images_weights_and_logits_and_normalises_in_float32():
    net, (images, _) = linear(), digits(32)
    exact = predict(net, images, 16)
    net.precision = "bfloat16"
    found = predict(net, images, 16)
    head = net.net.head
    weight, bias = head.weight.double().numpy(), head.bias.double().numpy()
    seen = (images.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.25)
    sums = rounded(seen.reshape(32, -1).astype(float)) @ rounded(weight).T + rounded(bias)
    # Sums are accumulated in float32, so one that lies between two bfloat16 may be rounded to the other.
    step = np.abs(rounded(sums)) / 128
    assert found.dtype == np.float32 and (np.abs(found - rounded(sums)) <= step).all()
    assert (found == rounded(sums)).mean() > 0.95
    assert (found == rounded(found.astype(float))).all() and not (exact == rounded(exact.astype(float))).all()
    assert head.weight.dtype == torch.float32


def test_tf32_is_float32_where_there_is_none():
    net, (images, labels) = classifier("test_resnet"), digits(32)
    exact, attacked = predict(net, images, 16), ascend(net, images, labels, eps=8, step=2, steps=2)
    account = pin("tf32", "cpu")
    assert account["asked"] == "tf32" and account["computed"] == "float32"
    assert not account["matmul_tf32"] and not account["convolution_tf32"]
    net.precision = "tf32"
    assert (predict(net, images, 16) == exact).all()
    assert (ascend(net, images, labels, eps=8, step=2, steps=2).perturbation == attacked.perturbation).all()


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext"])
def test_an_attack_in_bfloat16_follows_the_gradients_of_autocast(architecture):
    net, (images, labels) = classifier(architecture), digits(32)
    clean, target = torch.from_numpy(images).float(), torch.from_numpy(labels)
    change = torch.zeros_like(clean)
    for _ in range(3):
        leaf = ((clean + change) / 255).contiguous(memory_format=torch.channels_last).requires_grad_()
        prepared = (leaf - net.mean) / net.std
        with torch.autocast("cpu", torch.bfloat16):
            logits = net.net(prepared)
        F.cross_entropy(logits.float(), target, reduction="sum").backward()
        assert leaf.grad is not None and leaf.grad.dtype == torch.float32
        change = (change + 3 * leaf.grad.sign()).clamp(-8, 8)
        change = (clean + change).clamp(0, 255) - clean
    exact = ascend(net, images, labels, eps=8, step=3, steps=3)
    net.precision = "bfloat16"
    found = ascend(net, images, labels, eps=8, step=3, steps=3)
    assert (found.perturbation == change.numpy()).all()
    assert (found.perturbation != exact.perturbation).any(), "bfloat16 changes something"
    # One image's gradient does not depend on how many are computed at once.
    halves = [ascend(net, images[part], labels[part], eps=8, step=3, steps=3) for part in (slice(16), slice(16, 32))]
    assert (np.concatenate([half.perturbation for half in halves]) == found.perturbation).all()


def test_features_are_those_of_the_precision():
    net, (images, _) = classifier("test_resnet"), digits(16)
    exact = features(net, images, 16)
    net.precision = "bfloat16"
    found = features(net, images, 16)
    assert (found != exact).any() and np.allclose(found, exact, rtol=0.1, atol=0.05 * np.abs(exact).max())


def test_everything_is_pinned_whatever_it_was_before():
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = False
    account = pin("float32", "cpu")
    assert account == {
        "asked": "float32",
        "computed": "float32",
        "matmul_tf32": False,
        "convolution_tf32": False,
        "cudnn_benchmark": False,
        "deterministic": True,
        "memory_format": "channels_last",
        "compiled": False,
    }
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    # torch's newer names, which say the same.
    assert torch.backends.cuda.matmul.fp32_precision == torch.backends.mkldnn.matmul.fp32_precision == "ieee"
    assert torch.backends.cudnn.conv.fp32_precision != "tf32"
    assert torch.backends.cudnn.deterministic


class Scattering(torch.nn.Module):
    """A net with an operation that has no deterministic algorithm on any device."""

    def forward(self, images):
        sums = images.flatten(1)[:, :10].clone()
        sums.put_(torch.tensor([0]), torch.ones(1))
        return sums


def test_an_operation_without_a_deterministic_algorithm_is_allowed_and_recorded(caplog):
    net = Classifier(Scattering(), Blueprint("scattering", 10, 32, (0.0,) * 3, (1.0,) * 3)).freeze()
    images, _ = digits(32)
    expected = images[:, 0, 0, :10].astype(np.float32) / np.float32(255)
    expected[[0, 16], 0] = 1
    account = pin("float32", "cpu")
    assert (predict(net, images, 16) == expected).all()
    assert account["deterministic"] == "except put_"
    assert caplog.text.count("put_ has no deterministic algorithm here") == 1
    assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_other_errors_are_not_computed_again():
    pin("float32", "cpu")
    calls = []

    def fail():
        calls.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        deterministically(fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(in_batches(16, Batch(16), lambda where: fail()))
    assert len(calls) == 2
    account = pin("float32", "cpu")
    tolerate("what has none in training")
    assert account["deterministic"] == "except what has none in training"
