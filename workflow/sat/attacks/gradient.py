"""The gradient that all our own attacks follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Model: TypeAlias = Callable[[Tensor], Tensor]
"""Function from images in units of [0, 1] to logits: a Classifier, or one behind a transformation of the images."""
Gradient: TypeAlias = Callable[[Model, Tensor, Tensor], Tensor]
"""Function of model, images and true classes with the shapes of `loss_gradient`."""
SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Replaces the norm of a gradient that is zero everywhere."""


def loss_gradient(classifier: Model, unit: Tensor, target: Tensor) -> Tensor:
    """Compute the gradient of the sum of the cross-entropies, so that no image depends on its neighbours.

    Parameters
    ----------
    classifier : Model
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
