"""Convolutions of patches whose gradients take less work on a CPU, with the same bits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NARROW = 192
"""Most output channels for which a matrix product sums in the same order as the gradient of a convolution."""


class PatchConvolution(nn.Conv2d):
    """A convolution whose stride equals its kernel, such as a ViT's embedding of patches, with frozen weights.

    The gradient with respect to its input is a matrix product, and oneDNN has no fast path for it.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        trained = weight.requires_grad or (bias is not None and bias.requires_grad)
        fits = input.dtype == torch.float32 and input.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        quick = input.requires_grad and fits and not trained
        result: Tensor = (_Patches.apply if quick else super()._conv_forward)(input, weight, bias)
        return result


def quicken(net: nn.Module) -> None:
    """Turn the convolutions of patches of a net into `PatchConvolution`. Weights, results and gradients stay the same.

    Wide ones stay as they are, since the last bits of their gradients would differ.
    """
    for layer in net.modules():
        if (
            type(layer) is nn.Conv2d
            and layer.stride == layer.kernel_size != (1, 1)
            and (layer.padding, layer.dilation, layer.groups) == ((0, 0), (1, 1), 1)
            and layer.out_channels <= NARROW
        ):
            layer.__class__ = PatchConvolution


class _Patches(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        last = input.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format
        ctx.weight, ctx.sides = weight, input.shape[2:]
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
