"""Each attack against another library or a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchattacks

from nets import classifier, digits
from sat.attacks import autoattack, di_fgsm, fgsm, l2, mi_fgsm, ti_fgsm, vmi_fgsm
from sat.attacks.interface import Draws
from sat.attacks.noise import sign_noise_l2
from sat.attacks.rounding import to_grey_levels
from sat.models.classifier import Blueprint, Classifier, predict
from sat.units.attack import coarse


class Plain(torch.nn.Module):
    """A net whose gradients lie in memory as the libraries want them."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        if images.requires_grad:
            images.register_hook(torch.Tensor.contiguous)
        return self.net(images.contiguous(memory_format=torch.channels_last))


def test_fgsm_against_torchattacks():
    net = classifier("test_resnet")
    images, _ = digits(16)
    labels = predict(net, images, 32).argmax(1)
    ours = images + fgsm.run(net, images, labels, eps=24).perturbation.astype(int)
    theirs = torchattacks.FGSM(net, eps=24 / 255)(torch.from_numpy(images).float() / 255, torch.from_numpy(labels))
    assert (ours == theirs.mul(255).round().numpy()).mean() > 0.999


@pytest.mark.parametrize("momentum", [1.0, 0.3])
@pytest.mark.parametrize("net", ["test_resnet", "test_vit"])
def test_mi_fgsm_against_torchattacks(net, momentum):
    net = classifier(net)
    images, labels = digits(16)
    ours = mi_fgsm.run(net, images, labels, eps=24, step=6, steps=5, momentum=momentum).perturbation.astype(int)
    attack = torchattacks.MIFGSM(net, eps=24 / 255, alpha=6 / 255, steps=5, decay=momentum)
    theirs = attack(torch.from_numpy(images).float() / 255, torch.from_numpy(labels)).mul(255).round().numpy()
    assert (images + ours == theirs).mean() > 0.995


COMMON = {"eps": 24, "step": 6, "steps": 4, "momentum": 1.0}
THEIRS = {"eps": 24 / 255, "alpha": 6 / 255, "steps": 4, "decay": 1.0}


def same_as_torchattacks(images, labels, found, attack):
    """Whether both give the same pixels. A gradient of nearly zero may round to another sign."""
    theirs = attack(torch.from_numpy(images).float() / 255, torch.from_numpy(labels)).mul(255).round().numpy()
    assert np.abs(found.perturbation.astype(int)).max() == 24
    return (images + found.perturbation.astype(int) == theirs).mean() > 0.99


@pytest.mark.parametrize("net", ["test_resnet", "test_vit"])
def test_ti_fgsm_against_torchattacks(net):
    net = classifier(net)
    images, labels = digits(16)
    found = ti_fgsm.run(net, images, labels, **COMMON, kernel=7)
    attack = torchattacks.TIFGSM(net, **THEIRS, len_kernel=7, diversity_prob=0.0)
    assert same_as_torchattacks(images, labels, found, attack)
    plain = ti_fgsm.run(net, images, labels, **COMMON, kernel=1).perturbation
    assert (plain == mi_fgsm.run(net, images, labels, **COMMON).perturbation).all()
    assert (plain != found.perturbation).mean() > 0.1


class Scripted(Draws):
    """Draws whose numbers a test knows."""

    def uniform(self, purpose, shape):
        return np.stack([NUMBERS[: shape[0]]] * len(self.ids))


# Whether a step shrinks, and to which size: one of 28 to 31 px. Padding at the top and at the left.
NUMBERS = np.array([(0.2, 0.3, 0.9, 0.1), (0.9, 0.3, 0, 0), (0.4, 0.1, 0.5, 0.3), (0.0, 0.99, 0.2, 0.2)], np.float32)


@pytest.mark.parametrize("net", ["test_resnet", "test_vit"])
def test_di_fgsm_against_torchattacks(net, monkeypatch):
    net = classifier(net)
    images, labels = digits(16)
    found = di_fgsm.run(net, images, labels, **COMMON, diversity=0.5, shrink=0.9, draws=Scripted(np.arange(16), 0, "m"))
    sizes = [28 + int(4 * size) for _, size, _, _ in NUMBERS]
    script = []
    for size, (_, _, top, left) in zip(sizes, NUMBERS, strict=True):
        script += [size, int(top * (33 - size)), int(left * (33 - size))]
    whole, share = iter(script), iter(NUMBERS[:, 0])
    attack = torchattacks.DIFGSM(net, **THEIRS, resize_rate=0.9, diversity_prob=0.5)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", lambda **_: torch.tensor([next(whole)], dtype=torch.int32))
        patch.setattr(torch, "rand", lambda _: torch.tensor([float(next(share))]))
        assert same_as_torchattacks(images, labels, found, attack)


def test_di_fgsm_shrinks_and_pads_as_torch_does():
    images = torch.rand(3, 3, 17, 17)
    sizes, top, left = torch.tensor([13, 17, 16]), torch.tensor([4, 0, 1]), torch.tensor([2, 0, 0])
    ours = di_fgsm._placed(17, sizes, top)[:, None] @ images @ di_fgsm._placed(17, sizes, left)[:, None].mT
    for image, found, size, above, before in zip(images, ours, sizes, top, left, strict=True):
        small = F.interpolate(image[None], [int(size)] * 2, mode="bilinear", align_corners=False)
        free = 17 - size
        padding = [int(part) for part in (before, free - before, above, free - above)]
        torch.testing.assert_close(found, F.pad(small, padding)[0])


def test_di_fgsm_without_diversity_is_mi_fgsm_and_draws_are_of_image_and_step_alone():
    net = classifier("test_resnet")
    images, labels = digits(16)
    draws = Draws(np.arange(16), 0, "m")
    plain = di_fgsm.run(net, images, labels, **COMMON, diversity=0.0, shrink=0.9, draws=draws).perturbation
    # Multiplying by the unit matrix changes the layout in memory, and so the last bits of gradients near zero.
    assert (plain == mi_fgsm.run(net, images, labels, **COMMON).perturbation).mean() > 0.999
    numbers = draws.uniform("input diversity", (5, 4))
    moved = Draws(np.array([9, 3]), 0, "m").uniform("input diversity", (2, 4))
    assert numbers.shape == (16, 5, 4) and (moved[1] == numbers[3, :2]).all() and (moved[0] != numbers[0, :2]).any()


@pytest.mark.parametrize("net", ["test_resnet", "test_vit"])
def test_vmi_fgsm_against_torchattacks(net, monkeypatch):
    net = classifier(net)
    images, labels = digits(16)
    draws = Draws(np.arange(16), 0, "m")
    found = vmi_fgsm.run(net, images, labels, **COMMON, neighbours=3, reach=1.5, draws=draws)
    numbers = [*draws.generators("neighbours")]

    class Drawn:
        def uniform_(self, low, high):
            drawn = np.stack([number.uniform(-36 / 255, 36 / 255, (3, 32, 32)) for number in numbers])
            assert high == -low == pytest.approx(36 / 255)
            return torch.from_numpy(drawn.astype(np.float32))

    attack = torchattacks.VMIFGSM(net, **THEIRS, N=3, beta=1.5)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda _: Drawn())
        assert same_as_torchattacks(images, labels, found, attack)


@pytest.mark.parametrize("none", [{"neighbours": 0, "reach": 1.5}, {"neighbours": 2, "reach": 0.0}])
def test_vmi_fgsm_without_variance_is_mi_fgsm(none):
    net = classifier("test_resnet")
    images, labels = digits(16)
    plain = vmi_fgsm.run(net, images, labels, **COMMON, **none, draws=Draws(np.arange(16), 0, "m")).perturbation
    assert (plain == mi_fgsm.run(net, images, labels, **COMMON).perturbation).mean() > 0.999


@pytest.mark.parametrize("net", ["test_resnet", "test_vit"])
def test_pgd_l2_against_torchattacks(net):
    net = classifier(net)
    images, labels = digits(16)
    eps, step = 2.0, 0.5
    ours = l2.ascend(net, images, labels, eps=eps * 255, step=step * 255, steps=6).perturbation
    attack = torchattacks.PGDL2(Plain(net), eps=eps, alpha=step, steps=6, random_start=False)
    theirs = attack(torch.from_numpy(images).float() / 255, torch.from_numpy(labels)).mul(255).numpy() - images
    lengths = np.sqrt(np.square(ours.astype(float)).sum((1, 2, 3)))
    distances = np.sqrt(np.square(ours - theirs).sum((1, 2, 3)))
    # Rounding 3,072 values moves an image by about 16 grey levels of 510; the attacks themselves agree.
    assert (lengths > 0.9 * np.minimum(np.sqrt(np.square(theirs).sum((1, 2, 3))), eps * 255)).all()
    assert distances.max() < 0.06 * eps * 255


class Linear(torch.nn.Module):
    """Logits w.x and -w.x."""

    def __init__(self, weight, classes=2):
        super().__init__()
        self.register_buffer("weight", weight)
        self.classes = classes

    def forward(self, images):
        score = (images * self.weight).flatten(1).sum(1)
        return torch.stack([score, -score, *[-1e3 + 0 * score] * (self.classes - 2)], 1)


def linear(classes=2):
    weight = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Classifier(
        Linear(weight, classes), Blueprint("linear", classes, 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    ).freeze(), weight.numpy()


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_pgd_l2_in_closed_form_on_a_linear_model(steps):
    net, weight = linear()
    random = np.random.default_rng(0)
    # Far from 0 and 255, so that nothing but the ball limits it.
    images = random.integers(100, 156, (16, 3, 16, 16), dtype=np.uint8)
    labels = random.integers(0, 2, 16)
    eps, step = 400.0, 100.0
    found = l2.ascend(net, images, labels, eps=eps, step=step, steps=steps).perturbation
    away = np.where(labels == 0, -1, 1)[:, None, None, None] * weight / np.linalg.norm(weight)
    expected = min(eps, step * steps) * away
    # A grey level for rounding, and what shrinking to within the ball takes.
    assert np.abs(found - expected).max() < 1 + 0.01 * np.abs(expected).max()


@pytest.mark.slow
def test_autoattack_is_the_library_rounded(monkeypatch):
    import pyautoattack

    from sat.seeds import key

    class AutoAttack(pyautoattack.AutoAttack):
        """Its four attacks, each with a tenth of its steps or less, for us and for the library alike."""

        def __init__(self, *words, **keywords):
            super().__init__(*words, **keywords)
            self.apgd.n_iter = self.apgd_targeted.n_iter = self.fab.n_iter = 10
            self.square.n_queries = 100

    monkeypatch.setattr(pyautoattack, "AutoAttack", AutoAttack)
    net = classifier("test_resnet")
    images, _ = digits(16)
    labels = predict(net, images, 32).argmax(1)
    draws = Draws(np.arange(16), 0, "m")
    # So weak that some images withstand all its attacks.
    found = autoattack.run(net, images, labels, eps=12, draws=draws)
    seed = key("AutoAttack", *draws.keys("attack").tolist()) % 2**32
    library = AutoAttack(Plain(net), norm="Linf", eps=12 / 255, seed=seed, version="standard", device="cpu")
    unit = torch.from_numpy(images).float() / 255
    library.logger.setLevel("WARNING")
    theirs, _ = library.run_standard_evaluation(unit, torch.from_numpy(labels), batch_size=16)
    # Steps end within the ball: a value that lies between two grey levels may be rounded the other way.
    off = np.abs(found.perturbation - (np.rint(theirs.numpy() * 255) - images))
    assert off.max() <= 1 and (off == 0).mean() > 0.99
    assert (found.fooled_unrounded == (net(theirs).argmax(1).numpy() != labels)).all()
    assert 0 < found.fooled_unrounded.sum() < 16


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_autoattack_with_few_classes(classes):
    net, _ = linear(classes)
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 16, 16), dtype=np.uint8)
    labels = predict(net, images, 16).argmax(1)
    found = autoattack.run(net, images, labels, eps=24, draws=Draws(np.arange(16), 0, "m"))
    assert found.fooled.all() and np.abs(found.perturbation.astype(int)).max() <= 24
    assert ("apgd-t" in autoattack.attacks_for(classes)) == (classes >= 4)


@pytest.mark.parametrize(("eps", "spread"), [(3.0, 1.0), (40.0, 2.0), (510.0, 30.0), (40.0, 0.4)])
def test_rounding_into_an_l2_ball(eps, spread):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)
    change = random.normal(0, spread, images.shape)
    change *= eps / np.sqrt(np.square(change).sum((1, 2, 3), keepdims=True))
    found = to_grey_levels(images, (images + change) / 255, eps, "l2")
    lengths = np.sqrt(np.square(found.astype(int)).sum((1, 2, 3)))
    total = images.astype(int) + found
    assert (lengths <= eps).all() and total.min() >= 0 and total.max() <= 255
    if spread == 30:
        assert (lengths > 0.9 * eps).all() or (total == 0).any()


@pytest.mark.parametrize(("mean", "warned"), [(2.0, False), (1.05, False), (0.66, True), (0.17, True)])
def test_what_rounding_loses_is_told_before(mean, warned):
    side = 32
    eps = mean * math.sqrt(3 * side**2)
    images = np.full((4, 3, side, side), 128, np.uint8)
    change = np.random.default_rng(0).normal(size=images.shape)
    change *= eps / np.sqrt(np.square(change).sum((1, 2, 3), keepdims=True))
    found = to_grey_levels(images, (images + change) / 255, eps, "l2").astype(float)
    cosine = (found * change).sum((1, 2, 3)) / np.sqrt(np.square(found).sum((1, 2, 3))) / eps
    assert (cosine < 0.95).all() == warned
    said = coarse("l2", eps, side)
    assert bool(said) == warned and not coarse("linf", 1, side)
    assert not warned or (f"{mean:.2g} grey levels" in said and f"From eps {math.sqrt(3) * side / 255:.2g} on" in said)


def test_half_a_grey_level_is_rounded_to_even():
    images = np.full((1, 3, 1, 1), 100, np.uint8)
    adversarial = (images + np.array([0.5, 1.5, -2.5]).reshape(1, 3, 1, 1)) / 255
    found = to_grey_levels(images, adversarial, 8, "linf").ravel()
    assert found.tolist() == [0, 2, -2]


def test_random_start_in_l2_is_keyed_by_image_model_and_seed_alone():
    shape = (3, 16, 16)
    first = l2.random_start(Draws(np.array([5, 7, 9]), 0, "m"), shape, 510.0)
    moved = l2.random_start(Draws(np.array([9, 100, 5]), 0, "m"), shape, 510.0)
    assert (first[0] == moved[2]).all() and (first[2] == moved[0]).all()
    assert (first[0] != l2.random_start(Draws(np.array([5]), 1, "m"), shape, 510.0)[0]).any()
    lengths = np.linalg.norm(l2.random_start(Draws(np.arange(200), 0, "m"), shape, 510.0).reshape(200, -1), axis=1)
    assert lengths.max() <= 510 * (1 + 1e-5)
    # Uniform from 0 to eps: mean within 5 standard errors.
    assert abs(lengths.mean() - 255) < 5 * 510 / math.sqrt(12 * 200)


@pytest.mark.parametrize("eps", [5.0, 25.5, 765.0, 3060.0])
def test_noise_has_the_norm_of_the_ball(eps):
    noise = sign_noise_l2(np.arange(10), (3, 32, 32), eps, 0).astype(int)
    lengths = np.sqrt(np.square(noise).sum((1, 2, 3)))
    assert (lengths <= eps).all() and (lengths > eps - 1 - np.abs(noise).max()).all()
    assert len(np.unique(np.abs(noise[noise != 0]))) == 1
    assert (noise[0] == sign_noise_l2(np.array([7, 0]), (3, 32, 32), eps, 0)[1]).all()
    assert (noise[0] != sign_noise_l2(np.array([0]), (3, 32, 32), eps, 1)[0]).any()
