"""What an attack declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sat.study.section import Section

Norm = Literal["linf", "l2"]
Selection = Literal["last_iterate", "first_success"]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Declaration of an attack: what config, plan, forecast and the attack stage must know of it.

    Its module's function ``run(classifier, images, labels, *, eps, device, ...)`` attacks one batch and returns an
    `sat.attacks.interface.Attacked`. By keyword it also gets each key of `settings` and, where the attack is `seeded`,
    ``draws``, an `sat.attacks.interface.Draws`. Sizes (`eps` and `step`) are in grey levels.
    """

    summary: str
    """What it is, in a few words: the config's documentation of `attack.method` shows them after its name."""
    norm: Norm
    """The norm in which eps bounds the perturbation."""
    settings: type[Section] = Section
    """Its fields are the keys of the config's section `attack` that it uses, beside method and eps. Each has a type, a
    default and a docstring. A key that several attacks use is defined once, in `sat.attacks.settings`. The key `step`
    is a size in the unit of eps."""
    selection: Selection = "last_iterate"
    """Which adversarial image is kept. An image that is kept at its first success may transfer less."""
    seeded: bool = False
    """Whether it draws random numbers, which are keyed by the study's seed."""
    lattice: bool = True
    """Whether it works on whole grey levels. If it does not, its images are rounded before they are stored."""
    cost: int | str
    """Number of gradients that it takes for an image, for the forecast; or the key of `settings` that says it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the config's section `attack` that it uses, beside method and eps."""
        return tuple(self.settings.model_fields)

    @property
    def dtype(self) -> str:
        """Type of the stored perturbation: within an L2 ball, single pixels may change by up to 255."""
        return "int8" if self.norm == "linf" else "int16"
