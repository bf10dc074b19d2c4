"""The gradient that all our own attacks follow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sat.models.classifier import Classifier

SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Replaces the norm of a gradient that is zero everywhere."""


def loss_gradient(classifier: Classifier, unit: Tensor, target: Tensor) -> Tensor:
    """Compute the gradient of the sum of the cross-entropies, so that no image depends on its neighbours.

    Parameters
    ----------
    classifier : Classifier
    unit : float Tensor, shape (n, 3, S, S)
        Images in units of [0, 1].
    target : int64 Tensor, shape (n,)
        True classes.

    Returns
    -------
    float Tensor, shape (n, 3, S, S)
    """
    unit.requires_grad_()
    loss = F.cross_entropy(classifier(unit).float(), target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, unit)
    return gradient
