"""Background work in order, with its exceptions in the consumer and no thread left; and the attack against a loop."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

from nets import classifier, digits
from sat.attacks.apply import attack, attack_all
from sat.errors import SatError
from sat.models.batches import Batch
from sat.models.classifier import predict
from sat.models.feed import Ahead, Behind
from sat.store.chunks import Held

PGD = {"method": "pgd_linf", "eps": 24, "step": 6, "steps": 3, "random_start": True, "seed": 0, "model": "m"}


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("threads", [1, 3])
def test_work_comes_in_order_and_only_a_little_ahead(threads):
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.002 * (number % 3))
        return number**2

    with Ahead(range(30), work, threads) as feed:
        for number, found in enumerate(feed):
            assert found == number**2
            assert len(begun) <= number + threads + 2
    assert sorted(begun) == list(range(30))


def test_an_exception_of_the_background_is_raised_in_its_place():
    def work(number):
        if number == 3:
            raise SatError("image 3 is damaged")
        return number

    seen = []

    def consume():
        with Ahead(range(10), work, 2) as feed:
            for found in feed:
                seen.append(found)

    with pytest.raises(SatError, match=r"^image 3 is damaged$"):
        consume()
    assert seen == [0, 1, 2]


def test_a_consumer_that_fails_ends_the_threads():
    begun = []
    with pytest.raises(KeyboardInterrupt), Ahead(range(1000), begun.append, 2) as feed:
        for _ in feed:
            raise KeyboardInterrupt
    assert len(begun) < 10


def test_a_process_that_leaves_a_feed_open_ends():
    program = (
        "from sat.models.feed import Ahead; import time; "
        "feed = iter(Ahead(range(10**9), lambda _: time.sleep(0.01), 2)); next(feed); raise SystemExit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 7


def test_work_behind_is_in_order_and_bounded():
    done, most = [], []

    def work(number):
        time.sleep(0.002)
        done.append(number)

    with Behind(work, most=2) as behind:
        for number in range(20):
            behind.put(number)
            most.append(number + 1 - len(done))
    assert done == list(range(20)) and max(most) <= 3


def test_work_behind_is_finished_and_its_exception_raised():
    def full(number):
        if number == 1:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"), Behind(full) as behind:
        for number in range(10):
            behind.put(number)
    with pytest.raises(OSError, match="No space left"), Behind(full) as behind:
        for number in range(2):
            behind.put(number)
    # What is done before the producer fails is kept: a part of an attack is written then.
    done = []
    with pytest.raises(ZeroDivisionError), Behind(done.append) as behind:
        behind.put(1)
        behind.put(1 // 0)
    assert done == [1]


class Damaged:
    """Images of which one cannot be read."""

    shape, dtype = (100, 3, 32, 32), np.dtype(np.uint8)

    def read(self, rows, out):
        if 70 in rows:
            raise SatError("images.h5: is damaged (item 70)")
        out[...] = 0


def test_a_damaged_image_stops_the_predictions_with_its_message():
    with pytest.raises(SatError, match=r"^images.h5: is damaged \(item 70\)$"):
        predict(classifier("test_resnet"), Damaged(), 16)


class Small(torch.nn.Module):
    """A net on a device whose memory holds sixteen images."""

    def __init__(self, net):
        super().__init__()
        self.net, self.blueprint, self.sizes = net, net.blueprint, []

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > 16:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.net(images)


@pytest.mark.parametrize("method", ["pgd_linf", "pgd_l2"])
@pytest.mark.parametrize("full", [False, True], ids=["enough memory", "batches are halved"])
def test_an_attack_in_the_background_makes_the_bytes_of_a_loop(method, full):
    params = {**PGD, "method": method}
    net = classifier("test_vit")
    images, labels = digits(90)
    ids = np.arange(1000, 1090)
    rows = np.flatnonzero(np.random.default_rng(0).random(90) < 0.7)
    expected = [
        attack(net, images[part], labels[part], ids[part], params)
        for part in (rows[first : first + 16] for first in range(0, len(rows), 16))
    ]
    asked = Small(net) if full else net
    found = list(attack_all(asked, Held(images), labels, ids, rows, params, Batch(48)))
    assert [(where.start, where.stop) for where, _ in found][-1][1] == len(rows)
    for name in ("perturbation", "fooled", "zero_gradients"):
        ours = np.concatenate([getattr(result, name) for _, result in found])
        assert ours.tobytes() == np.concatenate([getattr(result, name) for result in expected]).tobytes(), name
    if full:
        assert 48 in asked.sizes and asked.sizes[-1] == 16
