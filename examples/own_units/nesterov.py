"""NI-FGSM: each gradient is taken where the momentum would lead next (Lin et al., ICLR 2020)."""

from sat.attacks.settings import Momentum
from sat.units.attack import Attack


class Settings(Momentum):
    """Keys of the study's section `attack`: step, steps and momentum, as for our attacks."""

    ahead: float = 1.0
    """How far the gradient looks ahead, in steps. With 0, the attack is MI-FGSM."""


UNIT = Attack(summary="momentum that looks ahead", norm="linf", settings=Settings, lattice=False, cost="steps")


def run(classifier, images, labels, *, eps, step, steps, momentum, ahead, device):
    """Attack one batch: images uint8 (n, 3, S, S), labels int (n,); eps and step are in grey levels."""
    import numpy as np
    import torch

    from sat.attacks.gradient import loss_gradient
    from sat.attacks.rounding import attacked

    clean = torch.from_numpy(images).to(device).float() / 255
    target = torch.from_numpy(np.asarray(labels)).to(device).long()
    found, total = clean.clone(), torch.zeros_like(clean)
    zero = torch.zeros(len(images), dtype=torch.long, device=device)
    for _ in range(steps):
        there = (found + ahead * step / 255 * momentum * total.sign()).clamp(0, 1)
        gradient = loss_gradient(classifier, there.detach(), target)
        norm = gradient.abs().sum((1, 2, 3), keepdim=True)
        zero += norm.flatten() == 0
        total = momentum * total + gradient / norm.clamp(min=1e-30)
        found = (found + step / 255 * total.sign()).clamp(clean - eps / 255, clean + eps / 255).clamp(0, 1)
    # Floats are rounded to whole grey levels and brought back into the ball.
    return attacked(classifier, images, labels, found, zero.cpu().numpy(), eps=eps, norm="linf", device=device)
