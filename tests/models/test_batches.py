import numpy as np
import pytest
import torch

from nets import classifier, digits
from sat.attacks.lattice import ascend
from sat.errors import SatError
from sat.models.batches import Batch, in_batches, padded
from sat.models.classifier import predict


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 64, 100])
@pytest.mark.parametrize("size", [16, 48])
def test_batches_cover_every_image_once_in_multiples_of_16(count, size):
    seen = []
    for where, images in in_batches(count, Batch(size), lambda where: np.arange(count)[where]):
        assert (images == np.arange(where.start, where.stop)).all()
        batch = padded(images)
        assert len(batch) % 16 == 0 and len(batch) <= size
        assert (batch[: len(images)].numpy() == images).all() and (batch[len(images) :] == images[-1]).all()
        seen += images.tolist()
    assert seen == list(range(count))


class Small(torch.nn.Module):
    """A net on a device whose memory holds so many images."""

    def __init__(self, net, most):
        super().__init__()
        self.net, self.most = net, most
        self.sizes = []

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.net(images)


@pytest.mark.parametrize(("most", "sizes"), [(32, [96, 48, 16, 16, 16, 16, 16, 16, 16]), (64, [96, 48, 48, 16])])
def test_a_full_memory_halves_the_batch_and_changes_no_bit(most, sizes):
    net = classifier("test_resnet")
    images, _ = digits(100)
    expected = predict(net, images, 16)
    net.net = small = Small(net.net, most)
    halved = []
    found = predict(net, images, Batch(96, halved.append))
    assert (found == expected).all()
    # 48 halves to 16, the multiple of 16 below 24; what fits once is kept.
    assert small.sizes == sizes
    assert halved == ([48, 16] if most == 32 else [48])


def test_an_attack_goes_on_with_half_the_batch():
    net = classifier("test_vit")
    images, labels = digits(64)
    expected = ascend(net, images, labels, eps=8, step=2, steps=2).perturbation
    net.net = Small(net.net, 32)
    batch = Batch(64)
    parts = in_batches(
        64, batch, lambda where: ascend(net, images[where], labels[where], eps=8, step=2, steps=2).perturbation
    )
    assert (np.concatenate([part for _, part in parts]) == expected).all()
    assert batch.size == 32


def test_what_does_not_fit_at_all_is_said():
    net = classifier("test_resnet")
    net.net = Small(net.net, 8)
    with pytest.raises(SatError, match="does not hold 16 images"):
        predict(net, digits(40)[0], 64)


def test_other_errors_are_not_swallowed():
    def work(where):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        list(in_batches(16, Batch(16), work))
