"""Gradients through frozen layers on a CPU: the same bits as PyTorch's, with less work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

NARROW = 192
"""Most output channels for which a matrix product sums in the same order as the gradient of a convolution."""


class QuickGradients(TorchFunctionMode):
    """Context in which the layers of a frozen model are called so that their gradients take less work.

    Two layers are slow on a CPU, and the results are equal bit by bit (the tests compare them):

    - Batch normalisation also sums what only gradients of its weights need, and keeps its input for that.
    - The gradient of a convolution whose stride equals its kernel, such as a ViT's embedding of patches, is a matrix
      product, and oneDNN has no fast path for it.

    Everything else is called as always: on other devices, under autocast, and layers with weights that are trained.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of PyTorch, or what replaces it."""
        return REPLACED.get(func, func)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training and _quick(input, running_mean, running_var, weight, bias):
        result: Tensor = _BatchNorm.apply(input, running_mean, running_var, weight, bias, eps)
        return result
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, *more: Any, **named: Any
) -> Tensor:
    # A layer passes padding, dilation and groups by position.
    plain = more in ((), ((0, 0), (1, 1), 1)) and not named
    if plain and len(weight) <= NARROW and stride == tuple(weight.shape[2:]) != (1, 1) and _quick(input, weight, bias):
        result: Tensor = _Patches.apply(input, weight, bias)
        return result
    return torch.conv2d(input, weight, bias, stride, *more, **named)


REPLACED: Mapping[Callable[..., Any], Callable[..., Any]] = {F.batch_norm: _batch_norm, torch.conv2d: _conv2d}


def _quick(input: Tensor, *weights: Tensor | None) -> bool:
    """Say whether a layer computes in float32 on a CPU, with weights that are frozen."""
    fits = input.dtype == torch.float32 and input.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return fits and not any(weight is not None and weight.requires_grad for weight in weights)


def _layout(images: Tensor) -> torch.memory_format:
    last = torch.channels_last
    return last if images.ndim == 4 and images.is_contiguous(memory_format=last) else torch.contiguous_format


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        shape = (-1, *[1] * (input.ndim - 2))
        ctx.factor = (1 / (var.double() + eps).sqrt()).float().view(shape)
        ctx.weight = None if weight is None else weight.view(shape)
        ctx.layout = _layout(input)
        return F.batch_norm(input, mean, var, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # Not by the product of the two: that would be rounded in another way.
        gradient = gradient.contiguous(memory_format=ctx.layout) * ctx.factor
        return gradient if ctx.weight is None else gradient.mul_(ctx.weight), None, None, None, None, None


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.weight, ctx.sides, ctx.layout = weight, input.shape[2:], _layout(input)
        return torch.conv2d(input, weight, bias, tuple(weight.shape[2:]))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        patches = torch.einsum("nohw,ocij->nhiwjc", gradient, ctx.weight)
        images = patches.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)
        # Pixels at the end of a side that fill no patch have no effect.
        below, right = (full - covered for full, covered in zip(ctx.sides, images.shape[2:], strict=True))
        if below or right:
            images = F.pad(images, (0, right, 0, below))
        return images.contiguous(memory_format=ctx.layout), None, None
