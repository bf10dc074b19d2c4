"""Evaluation of adversarial images against a loop that adds, clips and scales image by image on the CPU."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from nets import classifier, digits, perturb
from sat.attacks.evaluate import Source, evaluate
from sat.attacks.lattice import ascend
from sat.attacks.noise import Noise, noise
from sat.errors import SatError
from sat.models import feed
from sat.models.classifier import predict
from sat.store import hdf5
from sat.store.chunks import Chunks, Held

SHAPE = (3, 32, 32)


def found(targets, images, sources, batch=16, device="cpu"):
    """Predictions and confidences, shape (targets, sources, images), from those of the batches."""
    prediction = np.full((len(targets), len(sources), images.shape[0]), -1, np.int16)
    confidence = np.full(prediction.shape, np.nan, np.float16)
    for one in evaluate(targets, images, sources, batch, device):
        prediction[one.target, one.source, one.rows] = one.prediction
        confidence[one.target, one.source, one.rows] = one.confidence
    return prediction, confidence


def plain(net, images, change, attacked):
    """The same with the least code: sixteen images at once, since single ones differ in the last bits."""
    prediction, confidence = np.full(len(images), -1, np.int16), np.full(len(images), np.nan, np.float16)
    rows = np.flatnonzero(attacked)
    for first in range(0, len(rows), 16):
        part = rows[first : first + 16]
        whole = np.resize(part, 16)
        unit = torch.from_numpy(perturb(images[whole], change[whole])).float() / 255
        with torch.no_grad():
            logits = net(unit.contiguous(memory_format=torch.channels_last)).numpy()[: len(part)]
        prediction[part] = logits.argmax(1)
        total = np.exp(logits - logits.max(1, keepdims=True)).sum(1)
        confidence[part] = 1 / total
    return prediction, confidence


class NoRoom(feed.Line):
    """The line to a device whose memory does not hold the images."""

    def holds(self, source):
        return False


class Unordered(feed.Line):
    """A line whose threads finish in another order than they begin."""

    threads = 3

    def load(self, source, rows):
        time.sleep(0.02 * (1 - rows.min() / source.shape[0]))
        return super().load(source, rows)


class Counted(Held):
    """Images that count how often each is read."""

    def __init__(self, array):
        super().__init__(array)
        self.counts = np.zeros(len(array), int)

    def read(self, rows, out):
        np.add.at(self.counts, rows, 1)
        super().read(rows, out)


@pytest.mark.parametrize("line", [feed.Line, Unordered])
def test_an_image_that_stays_on_the_device_is_read_once_when_it_is_first_needed(line):
    images, _ = digits(70)
    random = np.random.default_rng(1)
    sources = [random.random(70) < share for share in (0.3, 0.0, 0.5, 0.9, 0.3)]
    change = random.integers(-8, 9, (5, 70, *SHAPE)).astype(np.int8)
    read = Counted(images)
    nets = {"vit": classifier("test_vit")}
    given = [Source(Held(one), attacked) for one, attacked in zip(change, sources, strict=True)]
    prediction, _ = found(nets, read, given, device=line())
    assert (read.counts == np.any(sources, axis=0)).all()
    for number, attacked in enumerate(sources):
        assert (prediction[0, number] == plain(nets["vit"], images, change[number], attacked)[0]).all()


@pytest.mark.parametrize("batch", [16, 48])
@pytest.mark.parametrize("line", [feed.Line, NoRoom, Unordered])
def test_every_byte_is_that_of_a_plain_loop(tmp_path, batch, line):
    random = np.random.default_rng(0)
    images, _ = digits(70)
    ids = np.arange(70)
    with hdf5.writing(tmp_path / "images.h5") as file:
        hdf5.image_dataset(file, "image", images.shape, np.uint8)[:] = images
    changes = [random.integers(-24, 25, images.shape, np.int8) for _ in range(3)]
    attacked = [random.random(70) < 0.6, np.zeros(70, bool), np.ones(70, bool)]
    noisy = {"norm": "linf", "eps": 24, "seed": 0}
    sources = []
    for number, (change, mask) in enumerate(zip(changes, attacked, strict=True)):
        with hdf5.writing(tmp_path / f"{number}.h5") as file:
            data = hdf5.image_dataset(file, "perturbation", images.shape, np.int8)
            for row in np.flatnonzero(mask):
                data[row] = change[row]
        sources.append(Source(Chunks(tmp_path / f"{number}.h5", "perturbation"), mask))
    sources.append(Source(Noise(ids, SHAPE, noisy), np.ones(70, bool)))
    changes.append(noise(ids, SHAPE, noisy))
    targets = {name: classifier(f"test_{name}") for name in ("resnet", "vit")}
    prediction, confidence = found(targets, Chunks(tmp_path / "images.h5", "image"), sources, batch, line())
    for target, net in enumerate(targets.values()):
        for source, change in enumerate(changes):
            mask = sources[source].attacked
            expected, sure = plain(net, images, change, mask)
            assert prediction[target, source].tobytes() == expected.tobytes()
            np.testing.assert_array_equal(confidence[target, source], sure)


def test_a_zero_perturbation_reproduces_the_clean_predictions():
    net = classifier("test_resnet")
    images, _ = digits(70)
    attacked = np.random.default_rng(0).random(70) < 0.6
    prediction, _ = found({"resnet": net}, images, [Source(Held(np.zeros(images.shape, np.int8)), attacked)])
    assert (prediction[0, 0][attacked] == predict(net, images, 64).argmax(1)[attacked]).all()
    assert (prediction[0, 0][~attacked] == -1).all()


def test_the_source_itself_errs_where_its_attack_says_so():
    net = classifier("test_vit")
    images, labels = digits(40)
    labels = predict(net, images, 32).argmax(1)
    result = ascend(net, images, labels, eps=24, step=6, steps=3)
    prediction, _ = found({"vit": net}, images, [Source(Held(result.perturbation), np.ones(40, bool))])
    assert ((prediction[0, 0] != labels) == result.fooled).all()


def test_a_target_with_damaged_weights_is_named():
    images, _ = digits(16)
    good, bad = classifier("test_resnet"), classifier("test_resnet")
    bad.net.fc.weight.data[0, 0] = float("nan")
    source = Source(Held(np.zeros(images.shape, np.int8)), np.ones(16, bool))
    with pytest.raises(SatError, match=r"model 'bad': 16 of 16 images give logits that are not finite"):
        found({"good": good, "bad": bad}, images, [source])


def test_a_source_may_be_for_some_targets_only():
    images, _ = digits(20)
    targets = {name: classifier(f"test_{name}") for name in ("resnet", "vit")}
    change = Held(np.random.default_rng(0).integers(-24, 25, images.shape, np.int8))
    every = np.ones(20, bool)
    both, _ = found(targets, images, [Source(change, every)])
    one, _ = found(targets, images, [Source(change, every, [1]), Source(change, every, [0])])
    assert (one[1, 0] == both[1, 0]).all() and (one[0, 1] == both[0, 0]).all()
    assert (one[0, 0] == -1).all() and (one[1, 1] == -1).all()
