"""AutoAttack, through the package of its authors."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING

from sat.units.attack import Attack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sat.attacks.interface import Attacked, Draws
    from sat.models.classifier import Classifier

UNIT = Attack(
    summary="keeps each image's first success, and so may transfer less",
    norm="linf",
    selection="first_success",
    seeded=True,
    lattice=False,
    # 100 steps on all images, and work worth about 4,500 gradients on images that resist, assumed to be one in nine.
    cost=600,
    package="pyautoattack==0.2.0",
)
TARGETS = 9
"""Number of target classes of the standard version; the true class is not among them."""


def run(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    *,
    eps: int,
    draws: Draws,
    device: str = "cpu",
) -> Attacked:
    """Attack one batch with the standard AutoAttack in the L-infinity norm (Croce & Hein, ICML 2020).

    It runs APGD on the cross-entropy, targeted APGD, targeted FAB and Square. Each
    attacks the images that the attacks before it did not fool, and the first image
    that fools the model is kept. An image that withstands all four stays unchanged.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas; their classes are predicted correctly.
    labels : int array, shape (n,)
        True classes.
    eps : int
        Radius of the ball in grey levels.
    draws : Draws
    device : str

    Returns
    -------
    Attacked
        Zero gradients are not counted.

    Notes
    -----
    The package draws random numbers for a batch, not for each image. So images are
    attacked in slices of 16, by their place and independent of the batch size. A
    slice is seeded by the seeds of all its images. So the result of a slice depends
    on its own images alone, and that of an image on its 15 neighbours.

    With fewer than ten classes there are fewer targets. The targeted loss of APGD
    needs four classes. Three classes use the untargeted loss, two the cross-entropy
    alone.
    """
    import numpy as np
    import torch
    from pyautoattack import AutoAttack

    from sat.attacks.rounding import attacked
    from sat.models.batches import SLICE
    from sat.models.classifier import to_unit
    from sat.seeds import key

    # The package logs every step. Only its warnings (of randomised or dynamic defences) go to our log.
    logging.getLogger("auto-attack").setLevel(logging.WARNING)

    def model(unit: Tensor) -> Tensor:
        # The package needs gradients that are contiguous rows. Reshaping to rows and back makes them so.
        rows = unit.flatten(1).unflatten(1, unit.shape[1:])
        logits: Tensor = classifier(rows.contiguous(memory_format=torch.channels_last))
        return logits

    classes = classifier.blueprint.num_classes
    seeds = draws.keys("attack")
    found = []
    for first in range(0, len(images), SLICE):
        part = slice(first, first + SLICE)
        unit = to_unit(torch.from_numpy(images[part]).to(device)).contiguous()
        target = torch.from_numpy(np.asarray(labels[part], np.int64)).to(device)
        seed = key("AutoAttack", *seeds[part].tolist()) % 2**32
        attack = AutoAttack(model, norm="Linf", eps=eps / 255, seed=seed, device=device)
        attack.attacks_to_run = attacks_for(classes)
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(TARGETS, classes - 1)
        with contextlib.redirect_stdout(sys.stderr):
            adversarial, _ = attack.run_standard_evaluation(unit, target, batch_size=SLICE)
        found.append(adversarial.cpu())
    none = np.zeros(len(images), np.int64)
    return attacked(classifier, images, labels, torch.cat(found), none, eps=eps, norm="linf", device=device)


def attacks_for(classes: int) -> list[str]:
    """AutoAttack's attacks for a number of classes; from four classes on, those of its standard version."""
    directed = ["apgd-t"] if classes >= 4 else ["apgd-dlr"] if classes == 3 else []
    return ["apgd-ce", *directed, "fab-t", "square"]
