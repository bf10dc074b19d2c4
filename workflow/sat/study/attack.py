"""The attack and its variants: the config's sections `attack` and `variants`."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from sat.study.attacks import METHODS, Method
from sat.study.section import Count, Section, explain


def grey_levels(value: str | float, most: int | None = 1) -> Fraction:
    """Read a size in pixels of [0, 1], such as "8/255" or 0.1, as grey levels.

    Parameters
    ----------
    value : str or float
        A fraction as text, or a number.
    most : int, optional
        Largest size in pixels; None for a norm over all pixels, which has none.

    Returns
    -------
    Fraction
        The size in grey levels, from 0 on; whole if it is so to four decimals.

    Raises
    ------
    ValueError
        If it is not a number from 0 to the largest.
    """
    try:
        parts = [Fraction(part.strip()) for part in str(value).split("/")]
        unit = parts[0] / parts[1] if len(parts) == 2 else parts[0]
        if len(parts) > 2 or unit < 0 or (most is not None and unit > most):
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is not a size in [0, 1]; write whole grey levels such as '8/255'") from None
    levels = unit * 255
    # 8/255 written as a decimal number is 8 grey levels all the same.
    whole = Fraction(round(levels))
    return whole if abs(levels - whole) < Fraction(1, 10**4) else levels


_L2_ADVICE = "an L2 norm over all pixels of [0, 1]; write a number such as 3.0 for eps, 0.5 for step at 224 px"


def _l2_size(value: str | float, key: str = "") -> str | float:
    try:
        if grey_levels(value, None) > 0:
            return value
    except ValueError:
        pass
    raise ValueError(f"{key}{value!r} is no size above 0 in L2, {_L2_ADVICE}")


def _nearest_whole(levels: Fraction) -> str:
    low = max(1, levels.numerator // levels.denominator)
    return f"'{low}/255' or '{low + 1}/255'"


class Attack(Section):
    """The attack. What its method does not use is ignored: it changes nothing and reruns nothing."""

    method: Literal["pgd_linf", "pgd_l2", "fgsm", "mi_fgsm", "autoattack"] = "pgd_linf"
    """Within an L-infinity ball: `pgd_linf`, projected gradient descent; `fgsm`, one step of size eps; `mi_fgsm`, with
    momentum; `autoattack`, which keeps what its first success gives, and so may transfer less. Within an L2 ball:
    `pgd_l2`."""
    eps: str | float = "8/255"
    """Radius of the ball in pixels of [0, 1]. L-infinity: whole grey levels of the canvas, written as "8/255". L2: the
    norm over all pixels, such as 3.0 at 224 px."""
    step: str | float = "2/255"
    """Step size, in the unit of eps. From 2 x eps on, every touched pixel is pinned to an end of the L-infinity ball.
    Not of `fgsm` and `autoattack`."""
    steps: Count = 10
    """Number of steps. Not of `fgsm` and `autoattack`."""
    random_start: bool = True
    """Start from a random place within the ball, keyed by seed, image and model. Of `pgd_linf` and `pgd_l2`."""
    momentum: Annotated[float, Field(ge=0)] = 1.0
    """Decay of the gathered gradient. Of `mi_fgsm`."""

    @field_validator("eps")
    @classmethod
    def _check_eps(cls, value: str | float, info: ValidationInfo) -> str | float:
        # A method that is none has been complained of already.
        method = METHODS.get(info.data.get("method", ""))
        if method and method.norm == "l2":
            return _l2_size(value)
        levels = grey_levels(value)
        if levels.denominator != 1:
            raise ValueError(
                f"{value!r} is {float(levels):g} grey levels, not a whole number; write {_nearest_whole(levels)}"
            )
        if not 1 <= levels <= 127:
            raise ValueError(f"{value!r} is {levels} grey levels; 1 to 127 are possible")
        return value

    @model_validator(mode="after")
    def _check_step(self) -> Attack:
        used = ("eps", "step") if "step" in self.traits.settings else ("eps",)
        if self.traits.norm == "l2":
            # 8/255 of every pixel is nothing like 8/255 over all of them.
            if missing := [name for name in used if name not in self.model_fields_set]:
                raise ValueError(f"{missing[0]}: {self.method} needs one of its own, {_L2_ADVICE}")
            if "step" in used:
                _l2_size(self.step, "step: ")
        elif "step" in used:
            levels = grey_levels(self.step)
            if levels <= 0 or (levels.denominator != 1 and levels < 2 * self.eps_levels):
                raise ValueError(
                    f"step: {self.step!r} is {float(levels):g} grey levels, neither a whole number from 1 on nor at "
                    f"least 2 x eps; write {_nearest_whole(levels)}"
                )
        return self

    @property
    def traits(self) -> Method:
        """What is known of the method."""
        return METHODS[self.method]

    @property
    def eps_levels(self) -> int | float:
        """Radius of the ball in grey levels: whole in L-infinity."""
        return int(grey_levels(self.eps)) if self.traits.norm == "linf" else float(grey_levels(self.eps, None))

    @property
    def step_levels(self) -> int | float:
        """Step in grey levels; one that pins is equal to 2 x eps, whatever was written."""
        if self.traits.norm == "l2":
            return float(grey_levels(self.step, None))
        return int(min(grey_levels(self.step), 2 * grey_levels(self.eps)))

    @property
    def params(self) -> dict[str, Any]:
        """Method, eps and those settings that the method uses; sizes in grey levels."""
        settings = {name: getattr(self, name) for name in self.traits.settings}
        if "step" in settings:
            settings["step"] = self.step_levels
        return {"method": self.method, "eps": self.eps_levels, **settings}

    def changed(self, changes: Mapping[str, Any]) -> Attack:
        """The same attack with other settings.

        Parameters
        ----------
        changes : mapping
            Some keys of the section. Sizes of another norm are not taken over.

        Raises
        ------
        ValueError
            If they make no attack.
        """
        kept = self.model_dump()
        method = changes.get("method", self.method)
        if method in METHODS and METHODS[method].norm != self.traits.norm:
            needed = [name for name in ("eps", "step") if name == "eps" or name in METHODS[method].settings]
            if missing := [name for name in needed if name not in changes]:
                raise ValueError(
                    f"{method} is of another norm than the study's {self.method}, so key 'attack.{missing[0]}' has to "
                    "be given: " + (_L2_ADVICE if METHODS[method].norm == "l2" else "whole grey levels such as '8/255'")
                )
            # Of a method that has no step, no step is looked at.
            kept = {name: value for name, value in kept.items() if name not in ("eps", "step")}
        try:
            return Attack.model_validate({**kept, **changes})
        except ValidationError as error:
            raise ValueError(explain(error, "attack").removesuffix(".")) from None


class Variant(Section):
    """The study's models attacked under other settings, or on fewer images."""

    attack: dict[str, str | int | float | bool] = {}
    """Keys of the section `attack` that differ from the study's."""
    attack_images: Count | None = None
    """How many of the study's attack images, from the first on; all by default."""
