"""TGR within an L-infinity ball, on whole grey levels, with the rules of the package torchattack."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from sat.attacks.settings import VITS, Momentum
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from sat.attacks.gradient import Model
    from sat.attacks.interface import Attacked
    from sat.models.classifier import Classifier

UNIT = Attack(
    summary="for ViTs, momentum, and gradients of tokens without their extremes",
    norm="linf",
    settings=Momentum,
    independent=True,
    cost="steps",
    nets=VITS,
    package="torchattack==1.7.2",
)
BLOCKS = 12
"""Number of blocks for which the package registers its rules, under the names of a ViT-B."""


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    step: int,
    steps: int,
    momentum: float,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with TGR, token gradient regularisation (Zhang et al., CVPR 2023).

    As a gradient passes back through a block's attention, queries, keys, values and
    MLP, it is weakened, and the tokens with its extreme values get none. Parameters,
    result and errors are those of `sat.attacks.lattice.ascend`.

    Raises
    ------
    SatError
        If the net is not built as timm's VisionTransformer is.

    Notes
    -----
    The rules are those of torchattack, the steps our own. Its rules take the extremes
    of a whole batch, so gradients are computed image by image.
    """
    import torch

    from sat.attacks.gradient import loss_gradient
    from sat.attacks.lattice import ascend
    from sat.attacks.vits import opened

    copy = opened(classifier)
    register(copy)

    def gradient_of(model: Model, unit: Tensor, target: Tensor) -> Tensor:
        pairs = zip(unit.split(1), target.split(1), strict=True)
        return torch.cat([loss_gradient(copy, image, label) for image, label in pairs])

    with warnings.catch_warnings():
        # Its rules mean the gradients of the last operation of a module, which is what these hooks see.
        warnings.filterwarnings("ignore", "Using a non-full backward hook", FutureWarning)
        return ascend(
            classifier,
            images,
            labels,
            eps=eps,
            step=step,
            steps=steps,
            momentum=momentum,
            gradient_of=gradient_of,
            device=device,
        )


def register(classifier: Classifier) -> None:
    """Give each block of a ViT the rules of torchattack's TGR for a ViT-B, however many blocks it has.

    Parameters
    ----------
    classifier : Classifier
        From `sat.attacks.vits.opened`.
    """
    from torch import nn
    from torchattack import TGR

    net: Any = classifier.net
    blocks = [*net.blocks]
    # What no image passes through gets the rules of the blocks that the net does not have.
    blocks += [_spare() for _ in range(-len(blocks) % BLOCKS)]
    for first in range(0, len(blocks), BLOCKS):
        part = nn.Module()
        part.blocks = nn.ModuleList(blocks[first : first + BLOCKS])
        TGR(part, hook_cfg="vit_base_patch16_224")


def _spare() -> nn.Module:
    from torch import nn

    attention = nn.ModuleDict({"qkv": nn.Identity(), "attn_drop": nn.Identity()})
    return nn.ModuleDict({"attn": attention, "mlp": nn.Identity()})
