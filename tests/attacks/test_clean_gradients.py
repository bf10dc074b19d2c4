"""Gradients at clean images against double precision, and whatever else is in the batch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from nets import classifier, digits
from sat.attacks.clean_gradients import input_gradients


def gradients(model, images, labels, batch=16):
    return np.concatenate([values for _, values in input_gradients(model, images, labels, batch)])


@pytest.mark.parametrize("architecture", ["test_vit", "test_resnet"])
def test_gradients_are_those_of_double_precision(architecture: str):
    model = classifier(architecture)
    images, labels = digits(5)
    found = gradients(model, images, labels)
    exact = copy.deepcopy(model).double()
    for i in range(5):
        unit = torch.from_numpy(images[i : i + 1]).double().div(255).requires_grad_()
        logits = exact(unit)[0]
        loss = torch.logsumexp(logits, 0) - logits[labels[i]]
        (gradient,) = torch.autograd.grad(loss, unit)
        expected = gradient[0].numpy()
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found[i], expected, atol=1e-4 * np.abs(expected).max())


def test_an_image_does_not_depend_on_its_batch():
    model = classifier("test_vit")
    images, labels = digits(40)
    whole = gradients(model, images, labels, 48)
    for rows in (slice(0, 16), slice(16, 40), slice(7, 9)):
        np.testing.assert_array_equal(gradients(model, images[rows], labels[rows]), whole[rows])
