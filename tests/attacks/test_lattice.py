"""PGD on the lattice against closed form, against two other libraries, and against its own promises."""

import eagerpy
import foolbox
import numpy as np
import pytest
import torch
import torchattacks

from nets import classifier, digits
from sat.attacks.interface import Draws
from sat.attacks.lattice import ascend, random_start
from sat.attacks.noise import sign_noise
from sat.models.classifier import Blueprint, Classifier

NETS = ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"]
EPS, STEP, STEPS = 24, 6, 5


@pytest.fixture(scope="module", params=NETS)
def net(request):
    return classifier(request.param)


class Linear(torch.nn.Module):
    """Logits of two classes: w.x and -w.x."""

    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, images):
        score = (images * self.weight).flatten(1).sum(1)
        return torch.stack([score, -score], 1)


def linear(seed=0):
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Classifier(
        Linear(weight), Blueprint("linear", 2, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    ).freeze(), weight.numpy()


@pytest.mark.parametrize(("step", "steps"), [(1, 40), (6, 10), (24, 1), (48, 3), (5, 2)])
def test_closed_form_on_a_linear_model(step, steps):
    model, weight = linear()
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    labels = random.integers(0, 2, 20)
    found = ascend(model, images, labels, eps=EPS, step=step, steps=steps).perturbation
    # The gradient's sign never changes, so the end is as far as steps, ball and grey levels allow.
    reach = min(EPS, step * steps)
    away = np.where(labels == 0, -1, 1)[:, None, None, None] * np.sign(weight)
    expected = np.clip(images + reach * away, 0, 255) - images
    assert (found == expected).all()


@pytest.mark.parametrize("momentum", [None, 0.9])
def test_byte_for_byte_against_a_plain_loop_over_whole_numbers(net, momentum):
    images, labels = digits(16)
    start = random_start(Draws(np.arange(16), 0, "m"), images.shape[1:], EPS)
    found = ascend(net, images, labels, eps=EPS, step=STEP, steps=STEPS, start=start, momentum=momentum)
    clean, change, gathered = images.astype(int), np.clip(images + start, 0, 255) - images.astype(int), 0.0
    target = torch.from_numpy(labels)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (net.blueprint.mean, net.blueprint.std))
    for _ in range(STEPS):
        unit = torch.from_numpy(clean + change).float().contiguous(memory_format=torch.channels_last) / 255
        loss = torch.nn.functional.cross_entropy(net.net((unit.requires_grad_() - mean) / std), target, reduction="sum")
        loss.backward()
        gradient = unit.grad
        if momentum is not None:
            gathered = gradient = momentum * gathered + gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
        moved = np.clip(change + STEP * np.sign(gradient.numpy()).astype(int), -EPS, EPS)
        change = np.clip(clean + moved, 0, 255) - clean
    assert (found.perturbation == change).all()


def test_against_torchattacks(net):
    images, labels = digits(16)
    ours = images + ascend(net, images, labels, eps=EPS, step=STEP, steps=STEPS).perturbation.astype(np.int16)
    attack = torchattacks.PGD(net, eps=EPS / 255, alpha=STEP / 255, steps=STEPS, random_start=False)
    theirs = attack(torch.from_numpy(images).float() / 255, torch.from_numpy(labels)).mul(255).round().numpy()
    # A gradient of nearly zero may round to another sign there: at most one pixel in two hundred.
    assert (ours == theirs).mean() > 0.995
    assert np.abs(ours - theirs).max() <= 2 * EPS


def test_against_foolbox(net):
    images, labels = digits(16, seed=1)
    ours = images + ascend(net, images, labels, eps=EPS, step=STEP, steps=STEPS).perturbation.astype(np.int16)
    model = foolbox.PyTorchModel(net, bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(abs_stepsize=STEP / 255, steps=STEPS, random_start=False)
    clean = eagerpy.astensor(torch.from_numpy(images).float() / 255)
    theirs = attack.run(
        model, clean, foolbox.criteria.Misclassification(eagerpy.astensor(torch.from_numpy(labels))), epsilon=EPS / 255
    )
    theirs = theirs.raw.mul(255).round().numpy()
    assert (ours == theirs).mean() > 0.995
    assert np.abs(ours - theirs).max() <= 2 * EPS


@pytest.mark.parametrize(("eps", "step"), [(1, 1), (8, 2), (24, 6), (127, 254)])
def test_the_bound_is_exact_with_random_start(eps, step):
    net = classifier("test_resnet")
    images, labels = digits(16)
    start = random_start(Draws(np.arange(16), 0, "m"), (3, 32, 32), eps)
    found = ascend(net, images, labels, eps=eps, step=step, steps=3, start=start).perturbation
    assert found.dtype == np.int8
    assert np.abs(found.astype(int)).max() == eps
    total = images.astype(int) + found
    assert total.min() >= 0 and total.max() <= 255


def attack_in_batches(net, images, labels, size):
    start = random_start(Draws(np.arange(len(images)), 0, "m"), images.shape[1:], EPS)
    parts = [
        ascend(net, images[i : i + size], labels[i : i + size], eps=EPS, step=STEP, steps=3, start=start[i : i + size])
        for i in range(0, len(images), size)
    ]
    return np.concatenate([part.perturbation for part in parts])


def test_batch_size_changes_no_byte(net):
    images, labels = digits(64)
    found = [attack_in_batches(net, images, labels, size) for size in (16, 32, 64)]
    assert (found[0] == found[1]).all() and (found[1] == found[2]).all()


def test_neighbours_change_nothing(net):
    images, labels = digits(48)
    others, other_labels = digits(48, seed=9)
    others[::3], other_labels[::3] = images[::3], labels[::3]
    alone = attack_in_batches(net, images, labels, 16)
    among_others = attack_in_batches(net, others, other_labels, 16)
    assert (alone[::3] == among_others[::3]).all()


def test_an_incomplete_batch_is_padded(net):
    images, labels = digits(16)
    whole = ascend(net, images, labels, eps=EPS, step=STEP, steps=2)
    part = ascend(net, images[:5], labels[:5], eps=EPS, step=STEP, steps=2)
    assert (part.perturbation == whole.perturbation[:5]).all()
    assert len(part.fooled) == len(part.zero_gradients) == 5


def test_no_gradient_of_a_parameter_is_kept(net):
    images, labels = digits(16)
    ascend(net, images, labels, eps=EPS, step=STEP, steps=1)
    assert not net.training
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.parameters())


def test_zero_gradients_are_counted():
    model, _ = linear()
    model.net.weight.zero_()
    images, labels = digits(4)
    found = ascend(model, images[..., :8, :8], labels % 2, eps=EPS, step=STEP, steps=7)
    assert (found.zero_gradients == 7).all()
    assert (found.perturbation == 0).all()


def test_a_gradient_that_is_not_finite_is_an_error():
    model, _ = linear()
    model.net.weight.fill_(float("nan"))
    images, labels = digits(4)
    with pytest.raises(FloatingPointError):
        ascend(model, images[..., :8, :8], labels % 2, eps=EPS, step=STEP, steps=1)


def test_random_start_is_keyed_by_image_model_and_seed_alone():
    shape = (3, 32, 32)
    first = random_start(Draws(np.array([5, 7, 9]), 0, "m"), shape, EPS)
    moved = random_start(Draws(np.array([9, 100, 5]), 0, "m"), shape, EPS)
    assert (first[0] == moved[2]).all() and (first[2] == moved[0]).all()
    assert (first[0] != random_start(Draws(np.array([5]), 1, "m"), shape, EPS)[0]).any()
    assert (first[0] != random_start(Draws(np.array([5]), 0, "n"), shape, EPS)[0]).any()
    values, counts = np.unique(random_start(Draws(np.arange(20), 0, "m"), shape, 3), return_counts=True)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    # Uniform: each of 7 values within 5 standard deviations of its share of 61,440 draws.
    assert np.abs(counts - 61440 / 7).max() < 5 * np.sqrt(61440 * 6) / 7


def test_sign_noise():
    noise = sign_noise(np.arange(20), (3, 32, 32), EPS, 0)
    assert np.unique(noise).tolist() == [-EPS, EPS]
    assert abs(noise.mean()) < 5 * EPS / np.sqrt(noise.size)
