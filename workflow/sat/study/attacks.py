"""The attacks by name: what config, plan and forecast must know of them.

Their functions are in `sat.attacks.registry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Norm = Literal["linf", "l2"]
Selection = Literal["last_iterate", "first_success"]


@dataclass(frozen=True)
class Method:
    """An attack."""

    norm: Norm
    """In which eps bounds the perturbation."""
    settings: tuple[str, ...] = ()
    """Keys of the config's section `attack` that it uses, beside method and eps."""
    selection: Selection = "last_iterate"
    """Which adversarial image is kept. Those of a first success may transfer less."""
    seeded: bool = False
    """Whether it draws random numbers, keyed by the study's seed."""
    lattice: bool = True
    """Whether it works on whole grey levels; what does not is rounded before it is stored."""
    cost: int | None = None
    """Gradients that it takes an image, for the forecast; None where that is the setting `steps`."""

    @property
    def dtype(self) -> str:
        """Type of the stored perturbation: within an L2 ball, single pixels may change by up to 255."""
        return "int8" if self.norm == "linf" else "int16"


METHODS = {
    "pgd_linf": Method("linf", ("step", "steps", "random_start"), seeded=True),
    "pgd_l2": Method("l2", ("step", "steps", "random_start"), seeded=True, lattice=False),
    "fgsm": Method("linf", cost=1),
    "mi_fgsm": Method("linf", ("step", "steps", "momentum")),
    # 100 steps on all images, and about 4,500 gradients' worth on those that resist: here taken for one in nine.
    "autoattack": Method("linf", selection="first_success", seeded=True, lattice=False, cost=600),
}
"""By the name that a config gives as `attack.method`."""
