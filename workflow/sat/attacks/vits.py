"""Vision transformers opened up: their attention maps, and the patches that their tokens stand for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from sat.errors import SatError
from sat.models.classifier import Classifier

PARTS = ("attn.qkv", "attn.attn_drop", "mlp")
"""Modules of each block that attacks on ViTs use, by timm's names."""


def opened(classifier: Classifier) -> Classifier:
    """Copy a ViT, so that it computes its attention maps as values of their own, which a fused kernel does not.

    Parameters
    ----------
    classifier : Classifier

    Returns
    -------
    Classifier
        A copy that may be given hooks.

    Raises
    ------
    SatError
        If the net is not built as timm's VisionTransformer is.
    """
    copy = deepcopy(classifier)
    net: Any = copy.net
    blocks = getattr(net, "blocks", ())
    try:
        for block in blocks:
            for part in PARTS:
                block.get_submodule(part)
            block.attn.fused_attn = False
    except AttributeError:
        blocks = ()
    if not len(blocks) or not hasattr(getattr(net, "patch_embed", None), "grid_size"):
        raise SatError(
            f"architecture {classifier.blueprint.architecture!r} is not built as timm's VisionTransformer is, so this "
            "attack cannot be made on it; take the model's row out of the table, or choose another attack.method."
        )
    return copy


@contextmanager
def attention_maps(classifier: Classifier) -> Iterator[list[Tensor]]:
    """Collect the attention maps of each forward pass.

    Parameters
    ----------
    classifier : Classifier
        From `opened`.

    Yields
    ------
    list of Tensor
        Filled anew by each pass: one map for each block, float, shape (n, heads, tokens, tokens). Rows are queries.
    """
    net: Any = classifier.net
    maps: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        if len(maps) == len(net.blocks):
            maps.clear()
        maps.append(result)

    handles = [block.attn.attn_drop.register_forward_hook(keep) for block in net.blocks]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def cells(classifier: Classifier, side: int) -> Tensor:
    """Number of the patch that each pixel of the canvas belongs to.

    The net may see the canvas in another size than its own, and a patch need not be a whole number of pixels wide
    then. A pixel belongs to the patch in which its centre lies.

    Parameters
    ----------
    classifier : Classifier
        From `opened`.
    side : int
        Side of the canvas in pixels.

    Returns
    -------
    int64 Tensor, shape (side, side)
        Patches in the order of the net's tokens, without those that are no patches.
    """
    net: Any = classifier.net
    rows, columns = net.patch_embed.grid_size
    centre = (torch.arange(side, device=classifier.mean.device) + 0.5) / side
    found: Tensor = (centre * rows).long()[:, None] * columns + (centre * columns).long()
    return found
