"""Patch-Fool: a few patches of a ViT, changed without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sat.attacks.settings import VITS, StepCount
from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sat.attacks.interface import Attacked, Draws
    from sat.models.classifier import Classifier


class Settings(StepCount):
    """Keys of the config's section `attack`."""

    rate: Annotated[float, Field(gt=0)] = 0.05
    """Learning rate of Adam, for pixels in [0, 1]; it falls by 5 % after every 10 steps. The authors' 0.22 is for
    normalised pixels, which is about the same, and goes with 250 steps."""
    attention: Annotated[float, Field(ge=0)] = 0.002
    """Weight of the loss that draws attention to the patch: 0.002 in the paper. With 0, only the cross-entropy
    counts."""


UNIT = Attack(
    summary="for ViTs, Patch-Fool, the patches that get the most attention",
    norm="patch",
    settings=Settings,
    seeded=True,
    independent=True,
    lattice=False,
    # Beside that of the cross-entropy, a step takes one gradient back to each block of the first half.
    cost=lambda settings: 3 * int(settings["steps"]),
    nets=VITS,
)
LAYER = 4
"""Block whose attention chooses the patch, counted from 0; the last one of a net that has fewer."""


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    steps: int,
    rate: float,
    attention: float,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with Patch-Fool; keep the last iterate (Fu et al., ICLR 2022).

    The patches that get the most attention in one block are replaced: as many as eps
    pixels of the canvas hold. From random pixels on, Adam raises the cross-entropy,
    and the attention that the first of these patches gets in the blocks of the first
    half. Where a gradient of the latter opposes that of the cross-entropy, the part
    that does is taken out.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, a frozen ViT.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    eps : int
        Number of pixels of the canvas that may change.
    steps : int
    rate, attention : float
        See `Settings`.
    draws : Draws
    device : str

    Returns
    -------
    Attacked

    Raises
    ------
    SatError
        If the net is not built as timm's VisionTransformer is, or a patch has more than eps pixels.
    FloatingPointError
        If a gradient is not finite.

    Notes
    -----
    The part that opposes is taken out as the paper's formula says. The authors' code
    divides by the length of the main gradient where the formula has its square.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    from sat.attacks.rounding import attacked
    from sat.attacks.vits import attention_maps, cells, opened
    from sat.models.batches import padded
    from sat.models.classifier import to_unit

    copy = opened(classifier)
    net: Any = copy.net
    prefix = net.num_prefix_tokens
    clean = to_unit(padded(images).to(device))
    target = padded(np.asarray(labels, np.int64)).to(device)
    patch = padded(draws.uniform("patch", images.shape[1:])).to(device, memory_format=torch.channels_last)
    patch.requires_grad_()
    zero = torch.zeros(len(clean), dtype=torch.int64, device=device)
    optimiser = torch.optim.Adam([patch], lr=rate, maximize=True)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 10, 0.95)
    with attention_maps(copy) as maps:
        with torch.no_grad():
            copy(clean)
        got = maps[min(LAYER, len(maps) - 1)].mean((1, 2))[:, prefix:]
        order = got.argsort(dim=1, descending=True, stable=True)
        mask = _mask(cells(copy, images.shape[-1]), order, eps)
        for _ in range(steps):
            logits = copy(torch.where(mask, patch, clean)).float()
            loss = F.cross_entropy(logits, target, reduction="sum")
            (main,) = torch.autograd.grad(loss, patch, retain_graph=True)
            gradient = main
            # Attention of the first block does not depend on what the net makes of the patch, and is left out.
            for found in maps[1 : len(maps) // 2] if attention else ():
                drawn = found.mean(1)[torch.arange(len(clean)), :, prefix + order[:, 0]]
                loss = drawn.clamp_min(torch.finfo(torch.float32).tiny).log().mean(1).sum()
                (other,) = torch.autograd.grad(loss, patch, retain_graph=True)
                gradient = gradient + attention * without_opposition(other, main)
            if not gradient.isfinite().all():
                raise FloatingPointError("a gradient is not finite")
            zero += (gradient == 0).flatten(1).all(1)
            patch.grad = gradient
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                patch.clamp_(0, 1)
    adversarial = torch.where(mask, patch.detach(), clean)
    zeros = zero[: len(images)].cpu().numpy()
    return attacked(classifier, images, labels, adversarial, zeros, eps=eps, norm="patch", device=device)


def _mask(cell: Tensor, order: Tensor, eps: int) -> Tensor:
    """Pixels that may change: those of the first patches of each image that eps pixels hold.

    Parameters
    ----------
    cell : int64 Tensor, shape (S, S)
        Patch of each pixel.
    order : int64 Tensor, shape (n, patches)
        Patches, that with the most attention first.
    eps : int

    Returns
    -------
    bool Tensor, shape (n, 1, S, S)

    Raises
    ------
    SatError
        If a patch alone has more pixels than eps.
    """
    from sat.errors import SatError

    pixels = cell.flatten().bincount(minlength=order.shape[1])
    if (largest := int(pixels.max())) > eps:
        raise SatError(
            f"attack.eps is {eps} pixels, and a patch of this net has up to {largest}; write {largest} or more."
        )
    held = pixels[order].cumsum(1) <= eps
    chosen = held.new_zeros(held.shape).scatter(1, order, held)
    return chosen[:, cell][:, None]


def without_opposition(gradient: Tensor, main: Tensor) -> Tensor:
    """Take out of a gradient, image by image, what opposes the main one (Yu et al., NeurIPS 2020, PCGrad).

    Parameters
    ----------
    gradient, main : float Tensor, shape (n, 3, S, S)

    Returns
    -------
    float Tensor, same shape
        Where both point to different sides, the part of the gradient that is orthogonal to the main one.
    """
    product = (gradient * main).sum((1, 2, 3), keepdim=True)
    length = main.square().sum((1, 2, 3), keepdim=True).clamp_min(1e-30)
    kept: Tensor = gradient - product.clamp_max(0) / length * main
    return kept
