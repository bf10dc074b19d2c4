"""The declaration of an attack."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sat.study.section import Section

Norm = Literal["linf", "l2", "patch"]
"""What eps bounds: in `linf` the change of each value and in `l2` the length of all changes, in grey levels; in `patch`
the number of pixels that change at all."""
ANY = ".*"
"""Regular expression of all architectures."""
Selection = Literal["last_iterate", "first_success"]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Declaration of an attack: what config, plan, forecast and the attack stage must know about it.

    The function ``run(classifier, images, labels, *, eps, device, ...)`` of its module attacks one batch and returns an
    `sat.attacks.interface.Attacked`. It also gets each key of `settings` as a keyword and, if the attack is `seeded`,
    ``draws``, an `sat.attacks.interface.Draws`. Sizes (`eps` and `step`) are in grey levels.

    If the module has a function ``ahead(draws, shape, *, eps, ...)``, it is called in the background while the batch
    before is attacked. It draws what `run` will need (`Draws.once`), and takes the same settings.
    """

    summary: str
    """Description in a few words. The config's documentation of `attack.method` shows it after the attack's name."""
    norm: Norm
    """What eps bounds."""
    nets: str = ANY
    """Regular expression of the architectures that it can attack, by timm's names without tags. A study that attacks
    other models with it is refused."""
    package: str = ""
    """Package that it needs and that may be missing, as pip is told, such as ``torchattack==1.7.2``. Its module has the
    same name."""
    settings: type[Section] = Section
    """Its fields are the keys of the config's section `attack` that it uses, beside method and eps. Each has a type, a
    default and a docstring. A key that several attacks use is defined once, in `sat.attacks.settings`. The key `step`
    is a size in the unit of eps."""
    selection: Selection = "last_iterate"
    """Which adversarial image is kept. If it is that of the first success, it may transfer less."""
    seeded: bool = False
    """Whether it draws random numbers, which are keyed by the study's seed."""
    independent: bool = False
    """Whether an image's result is the same, to the last bit, whichever images share its batch. Then `sat grow` adds
    images to a finished set; otherwise it attacks all images again. An attack keeps this if it works on whole slices of
    16 (`sat.models.batches.padded`), and nothing that it computes or draws for an image comes from another."""
    lattice: bool = True
    """Whether it works on whole grey levels. If it does not, its images are rounded before they are stored."""
    cost: int | str | Callable[[Mapping[str, Any]], int]
    """Number of gradients that it computes for an image, or the key of `settings` that holds this number, or a function
    of the settings. The forecast uses it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the config's section `attack` that it uses, beside method and eps."""
        return tuple(self.settings.model_fields)

    def supports(self, architecture: str) -> bool:
        """Whether it can attack nets of a timm architecture, given with a tag or without."""
        return re.fullmatch(self.nets, architecture.partition(".")[0]) is not None

    @property
    def dtype(self) -> str:
        """Type of the stored perturbation. Outside of an L-infinity ball, single values may change by up to 255."""
        return "int8" if self.norm == "linf" else "int16"


def coarse(norm: Norm, eps: float, side: int) -> str:
    """Say that whole grey levels cannot hold a perturbation of this size well.

    Parameters
    ----------
    norm : Norm
    eps : float
        Radius of the ball in grey levels.
    side : int
        Side of the canvas in pixels.

    Returns
    -------
    str
        Empty where they can.
    """
    mean = eps / math.sqrt(3 * side**2)
    if norm != "l2" or mean >= 1:
        return ""
    return (
        f"eps {eps / 255:g} is {mean:.2g} grey levels (root mean square) of the {3 * side**2:,} values of an image. "
        "Rounding to whole grey levels changes its direction, and below half a level it may also lose part of its "
        f"length. From eps {math.sqrt(3) * side / 255:.2g} on, it loses little"
    )
