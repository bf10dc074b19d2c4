import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nets import classifier, digits
from sat.errors import SatError
from sat.models.classifier import (
    Blueprint,
    Classifier,
    features,
    load_classifier,
    pick_device,
    plan_blueprint,
    predict,
    save_classifier,
    to_unit,
)


@pytest.mark.parametrize("size", [12, 20, 16], ids=["smaller", "larger", "native"])
def test_gradient_through_resize_and_normalisation_equals_finite_differences(size):
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(3 * size * size, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    )
    wrapped = Classifier(net, Blueprint("test", 2, size, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))).double().freeze()
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(wrapped, (images,), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_native_size_is_not_touched_and_normalisation_is_the_formula_to_the_last_bit(layout):
    wrapped = Classifier(torch.nn.Identity(), Blueprint("test", 2, 8, (0.1, 0.2, 0.3), (0.5, 0.25, 0.7)))
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=layout)
    given = images.clone()
    found = wrapped(images)
    for channel, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.25), (0.3, 0.7)]):
        expected = (given[:, channel].numpy() - np.float32(mean)) / np.float32(std)
        assert (found[:, channel].numpy() == expected).all()
    assert found.stride() == images.stride() and (images == given).all()


def test_resize_agrees_with_pillow():
    from PIL import Image

    wrapped = Classifier(torch.nn.Identity(), Blueprint("test", 2, 20, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    smooth = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8) * 4
    ours = wrapped(to_unit(torch.from_numpy(np.stack([smooth] * 3)[None])))[0, 0].numpy() * 255
    theirs = np.asarray(Image.fromarray(smooth).resize((20, 20), Image.Resampling.BICUBIC), float)
    assert np.abs(ours - theirs).max() < 1, "Pillow rounds to whole grey levels"


def test_to_unit_is_exact_for_every_grey_level():
    levels = torch.arange(256).reshape(1, 1, 16, 16)
    for kind in (torch.uint8, torch.int16):
        assert (to_unit(levels.to(kind)).flatten() == torch.arange(256) / 255).all()


def test_batch_size_changes_no_bit_of_the_logits():
    net = classifier("test_efficientnet")
    images, _ = digits(70)
    expected = predict(net, images, 16)
    for size in (32, 64, 128):
        assert (predict(net, images, size) == expected).all()


def test_a_classifier_survives_disk(tmp_path):
    net = classifier("test_vit")
    save_classifier(net, tmp_path / "w.safetensors")
    again = load_classifier(tmp_path / "w.safetensors")
    images, _ = digits(16)
    assert (predict(net, images, 16) == predict(again, images, 16)).all()
    assert again.blueprint.input_size == 32 and not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_damaged_weights_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(SatError, match=r"w\.safetensors"):
        load_classifier(path)
    with pytest.raises(SatError, match=r"none\.safetensors"):
        load_classifier(tmp_path / "none.safetensors")
    net = classifier("test_vit")
    save_classifier(net, path)
    state = load_file(path)
    state.pop("head.weight")
    save_file(state, path, metadata={"blueprint": json.dumps(vars(net.blueprint))})
    with pytest.raises(SatError, match=r"head\.weight"):
        load_classifier(path)


def test_an_unknown_architecture_is_named_with_what_is_close():
    with pytest.raises(SatError, match="test_resnet"):
        plan_blueprint("test_resnt", 10, 32)


def test_logits_that_are_not_finite_are_an_error():
    net = classifier("test_resnet")
    net.net.fc.bias.data[0] = float("nan")
    with pytest.raises(FloatingPointError, match="16 of 16"):
        predict(net, digits(16)[0], 16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_a_gpu():
    with pytest.raises(SatError, match="no GPU"):
        pick_device("cuda")


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_convnext", "test_byobnet"])
def test_features_are_what_the_last_layer_sees(architecture):
    net = classifier(architecture)
    images, _ = digits(20)
    found = features(net, images, 16)
    layer = net.net.get_classifier()
    with torch.no_grad():
        logits = layer(torch.from_numpy(found)).numpy()
    assert found.shape == (20, layer.in_features)
    assert np.allclose(logits, predict(net, images, 16), atol=1e-4)
