"""One contract for all attacks: a file that declares one is tested here without being named."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from conftest import ROOT
from nets import classifier, digits, perturb
from sat.attacks.apply import attack, broken
from sat.errors import SatError
from sat.models.classifier import predict
from sat.study.attack import AttackSettings
from sat.units import declarations, module, names

SIZES = {"linf": ("24/255", "8/255"), "l2": (6.0, 2.0), "patch": (512, "8/255")}
SMALL = {"kernel": 3, "neighbours": 2, "rate": 0.3}
"""Settings for images of 32 px and for quick tests; an attack ignores those of other attacks."""
NETS = ("test_resnet", "test_vit2")
"""A method is tested on the first that it supports."""
ATTACKS = declarations("attacks")


def params(method: str, seed: int = 0, **changes: object) -> dict[str, object]:
    """A step's params, from a config."""
    eps, step = SIZES[ATTACKS[method].norm]
    settings = AttackSettings.model_validate(
        {"method": method, "eps": eps, "step": step, "steps": 3, **SMALL, **changes}
    )
    return {**settings.params, "seed": seed, "model": "m"}


def scene(method: str, count: int):
    """A net for the method, images, and as labels what the net says of them: what a model gets right is attacked."""
    package = ATTACKS[method].package
    if package and find_spec(package.partition("==")[0]) is None:
        pytest.skip(f"{method} needs {package}")
    net = classifier(next(net for net in NETS if ATTACKS[method].supports(net)))
    images, _ = digits(count)
    return net, images, predict(net, images, 32).argmax(1)


def attack_in_batches(net, images, labels, given, size, first=100):
    ids = np.arange(first, first + len(images))
    parts = [
        attack(net, images[i : i + size], labels[i : i + size], ids[i : i + size], given)
        for i in range(0, len(images), size)
    ]
    return (
        np.concatenate([part.perturbation for part in parts]),
        np.concatenate([part.fooled for part in parts]),
    )


def loss(net, images, labels):
    return F.cross_entropy(torch.from_numpy(predict(net, images, 32)), torch.from_numpy(labels)).item()


@pytest.fixture(scope="module", params=names("attacks"))
def case(request):
    """A method's name, a net, images, labels, and what the method made of 37 of them."""
    net, images, labels = scene(request.param, 37)
    return request.param, net, images, labels, attack_in_batches(net, images, labels, params(request.param), 37)


@pytest.mark.parametrize("method", names("attacks"))
def test_the_declaration_is_complete(method):
    unit = ATTACKS[method]
    sizes = dict(zip(("eps", "step"), SIZES[unit.norm], strict=True))
    assert module("attacks", method).__doc__ and unit.summary
    assert unit.cost in unit.keys if isinstance(unit.cost, str) else callable(unit.cost) or unit.cost > 0
    assert AttackSettings.model_validate({"method": method, **sizes}).gradients > 0
    for key, field in unit.settings.model_fields.items():
        assert field.description, f"{key} needs a docstring: the config's documentation shows it"
        section = AttackSettings.model_fields[key]
        assert (section.annotation, section.default) == (field.annotation, field.default)
        assert f"`{method}`" in section.description
    assert f"`{method}`, {unit.summary}" in AttackSettings.model_fields["method"].description


@pytest.mark.parametrize("method", names("attacks"))
def test_run_takes_what_the_declaration_says(method):
    unit = ATTACKS[method]
    parameters = inspect.signature(module("attacks", method).run).parameters
    given = {"eps", "device", *unit.keys, *(["draws"] if unit.seeded else [])}
    assert list(parameters)[:3] == ["classifier", "images", "labels"]
    assert {name for name, item in parameters.items() if item.kind is item.KEYWORD_ONLY} == given


def test_declarations_load_neither_torch_nor_pandas():
    code = """
import sys
from sat.units import declarations
assert declarations("attacks") and declarations("measures")
assert not {"torch", "timm", "pandas", "scipy", "h5py", "matplotlib"} & set(sys.modules), sorted(sys.modules)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_the_bound_holds_after_rounding(case):
    method, _, images, _, (change, _) = case
    eps = params(method)["eps"]
    assert change.dtype == ATTACKS[method].dtype and change.shape == images.shape
    if ATTACKS[method].norm == "linf":
        assert np.abs(change.astype(int)).max() <= eps
    elif ATTACKS[method].norm == "patch":
        assert ((change != 0).any(1).sum((1, 2)) <= eps).all(), "eps is a number of pixels"
    else:
        squares = np.square(change.astype(int)).sum((1, 2, 3))
        assert (squares <= eps**2).all()
    assert np.abs(change.astype(int)).max() > 0


def test_images_stay_within_grey_levels(case):
    _, _, images, _, (change, _) = case
    total = images.astype(int) + change
    assert total.min() >= 0 and total.max() <= 255


def test_the_loss_does_not_fall(case):
    _, net, images, labels, (change, _) = case
    assert loss(net, perturb(images, change), labels) >= loss(net, images, labels)


def test_fooled_is_what_a_fresh_look_says(case):
    _, net, images, labels, (change, fooled) = case
    assert ((predict(net, perturb(images, change), 16).argmax(1) != labels) == fooled).all()
    assert fooled.any()


@pytest.mark.parametrize("method", names("attacks"))
def test_a_net_in_bfloat16_can_be_attacked(method):
    net, images, _ = scene(method, 16)
    net.precision = "bfloat16"
    labels = predict(net, images, 16).argmax(1)
    given = params(method, precision="bfloat16")
    found = attack(net, images, labels, np.arange(16), given)
    assert not broken(found, images, given["eps"], ATTACKS[method])
    adversarial = perturb(images, found.perturbation)
    assert ((predict(net, adversarial, 16).argmax(1) != labels) == found.fooled).all()
    assert loss(net, adversarial, labels) > loss(net, images, labels)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(case):
    method, net, images, labels, (change, _) = case
    again, _ = attack_in_batches(net, images[:16], labels[:16], params(method), 16)
    assert (again == change[:16]).all()
    other, _ = attack_in_batches(net, images[:16], labels[:16], params(method, seed=1), 16)
    assert (other != change[:16]).any() == ATTACKS[method].seeded


def test_slices_of_sixteen_depend_on_nothing_else(case):
    method, net, images, labels, (change, _) = case
    for size in (16, 32):
        sliced, _ = attack_in_batches(net, images, labels, params(method), size)
        assert (sliced == change).all()


def test_an_image_depends_on_no_other_where_the_declaration_says_so(case):
    """As when a study grows: the images that follow are in other slices, beside other images."""
    method, net, images, labels, (change, _) = case
    if not ATTACKS[method].independent:
        pytest.skip(f"{method} does not say so, so 'sat grow' attacks all images again")
    for first in (5, 30):
        alone, _ = attack_in_batches(net, images[first:], labels[first:], params(method), 16, 100 + first)
        assert (alone == change[first:]).all()


def test_autoattack_does_not_say_that_images_are_independent():
    net, images, labels = scene("autoattack", 24)
    whole, _ = attack_in_batches(net, images, labels, params("autoattack"), 16)
    alone, _ = attack_in_batches(net, images[10:], labels[10:], params("autoattack"), 16, 110)
    assert (alone != whole[10:]).any() and not ATTACKS["autoattack"].independent


def test_white_box_success_before_rounding_is_told_where_something_is_rounded(case):
    method, net, images, labels, _ = case
    found = attack(net, images[:16], labels[:16], np.arange(16), params(method))
    assert (found.fooled_unrounded is None) == ATTACKS[method].lattice
    assert len(found.fooled) == len(found.zero_gradients) == 16


@pytest.mark.parametrize("method", names("attacks"))
def test_settings_that_a_method_does_not_use_are_none_of_its_step(method):
    eps, step = SIZES[ATTACKS[method].norm]
    given = {"method": method, "eps": eps, "step": step, "steps": 3, "momentum": 0.5, "random_start": False}
    before = AttackSettings.model_validate(given).params
    assert before.keys() == {"method", "eps", *ATTACKS[method].keys}
    for name, value in {"step": step * 2 if eps == 6.0 else "9/255", "steps": 4, "momentum": 0.7}.items():
        after = AttackSettings.model_validate({**given, name: value}).params
        assert (after != before) == (name in ATTACKS[method].keys)


@pytest.mark.parametrize("method", [name for name in names("attacks") if ATTACKS[name].package])
def test_a_package_that_is_missing_is_told_before_anything_is_computed(method, monkeypatch):
    monkeypatch.setitem(sys.modules, ATTACKS[method].package.partition("==")[0], None)
    monkeypatch.setattr("sat.attacks.apply.find_spec", lambda name: sys.modules.get(name, "there"))
    nothing = np.empty((0, 3, 32, 32), np.uint8)
    with pytest.raises(SatError, match=f"pip install {ATTACKS[method].package}"):
        attack(None, nothing, np.empty(0, int), np.empty(0, int), params(method))
