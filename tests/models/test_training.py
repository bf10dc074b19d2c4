import numpy as np
import pytest
import torch

from sat.images.datasets import decode, open_dataset
from sat.images.images import to_canvas
from sat.models.classifier import plan_blueprint, predict
from sat.models.training import train

SETTINGS = {
    "batch_size": 64,
    "learning_rate": 0.002,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip_gradient": 1.0,
    "noise": 0.02,
}


@pytest.fixture(scope="module")
def images():
    data = open_dataset("digits", None, "", None)
    scans = [decode(scan)[0] for _, scan in data.read(range(512))]
    return np.stack([to_canvas(scan, 32, 1.0) for scan in scans]), data.listing().labels[:512]


@pytest.fixture(scope="module")
def blueprint():
    return plan_blueprint("test_resnet", 10, 32)


def test_it_learns(images, blueprint):
    records = []
    model = train(blueprint, *images, epochs=8, seed=(0, "m"), report=records.append, **{**SETTINGS, "batch_size": 32})
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert records[-1]["loss"] < records[0]["loss"]
    accuracy = (predict(model.freeze(), images[0], 128).argmax(1) == images[1]).mean()
    assert accuracy > 0.7, "chance is 0.1"


def test_the_same_seed_gives_the_same_weights_and_another_does_not(images, blueprint):
    torch.manual_seed(123)
    first = train(blueprint, *images, epochs=1, seed=(0, "m"), **SETTINGS).state_dict()
    torch.manual_seed(321)
    again = train(blueprint, *images, epochs=1, seed=(0, "m"), **SETTINGS).state_dict()
    other = train(blueprint, *images, epochs=1, seed=(1, "m"), **SETTINGS).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_too_few_images(images, blueprint):
    with pytest.raises(ValueError, match="fewer than one batch"):
        train(blueprint, images[0][:10], images[1][:10], epochs=1, seed=(0, "m"), **SETTINGS)


def test_a_loss_that_explodes_is_an_error(images, blueprint):
    with pytest.raises(FloatingPointError, match="learning_rate"):
        train(blueprint, *images, epochs=3, seed=(0, "m"), **{**SETTINGS, "learning_rate": 1e30, "clip_gradient": 1e30})
