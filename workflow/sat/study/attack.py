"""The attack and its variants: the config's sections `attack` and `variants`.

The section `attack` is assembled from the declarations of attacks (`sat.units.attack`),
which give its methods, its keys with their types and defaults, and their documentation.
So no attack is named here. `AttackSettings` knows ours; a study with attacks of its own
has a section that knows those too.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, ValidationError, ValidationInfo, create_model, field_validator, model_validator
from pydantic.fields import FieldInfo

from sat.study.section import Count, Precision, Section, explain
from sat.units import check_known, declarations
from sat.units.attack import Attack, Norm


@lru_cache
def grey_levels(value: str | float, most: int | None = 1) -> Fraction:
    """Read a size in pixels of [0, 1], such as "8/255" or 0.1, as grey levels.

    Parameters
    ----------
    value : str or float
        A fraction as text, or a number.
    most : int, optional
        Largest size in pixels; None for a norm over all pixels, which has no limit.

    Returns
    -------
    Fraction
        The size in grey levels, at least 0. It is rounded to a whole number if it is one up to four decimals.

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
    # 8/255 written as a decimal number also means 8 grey levels.
    whole = Fraction(round(levels))
    return whole if abs(levels - whole) < Fraction(1, 10**4) else levels


_L2_ADVICE = "an L2 norm over all pixels of [0, 1]; write a number such as 3.0 for eps, 0.5 for step at 224 px"
_PATCH_ADVICE = "a number of pixels that may change; write a whole number such as 256, a patch of 16 x 16"
_ADVICE: dict[Norm, str] = {"linf": "whole grey levels such as '8/255'", "l2": _L2_ADVICE, "patch": _PATCH_ADVICE}


def _l2_size(value: str | float, key: str = "") -> str | float:
    try:
        if grey_levels(value, None) > 0:
            return value
    except ValueError:
        pass
    raise ValueError(f"{key}{value!r} is not an L2 size above 0, {_L2_ADVICE}")


def _pixels(value: str | float) -> str | float:
    try:
        if int(value) == float(value) > 0:
            return value
    except ValueError:
        pass
    raise ValueError(f"{value!r} is not a number of pixels; eps is {_PATCH_ADVICE}")


def _nearest_whole(levels: Fraction) -> str:
    low = max(1, levels.numerator // levels.denominator)
    return f"'{low}/255' or '{low + 1}/255'"


class AttackSection(Section):
    """The keys of the section `attack` that do not depend on the attacks; `AttackSettings` is the whole section."""

    attacks: ClassVar[Mapping[str, Attack]] = {}
    """Declarations of the attacks that it knows, by name."""
    method: str = "pgd_linf"
    eps: str | float = "8/255"
    """Radius of the ball, for pixels in [0, 1]. In L-infinity, it is a whole number of grey levels of the canvas, such
    as "8/255". In L2, it is the norm over all pixels, such as 3.0 at 224 px. For patches, it is the number of pixels of
    the canvas that may change, such as 256."""
    precision: Precision = "float32"
    """Precision in which the attacked model computes, as in `evaluation.precision`. Weights, the gradient at the image
    and the perturbation keep theirs."""

    @field_validator("method")
    @classmethod
    def _check_method(cls, value: str) -> str:
        return check_known("attacks", value, cls.attacks)

    @field_validator("eps")
    @classmethod
    def _check_eps(cls, value: str | float, info: ValidationInfo) -> str | float:
        if "method" not in info.data:
            # An unknown method has been reported already, and its norm is not known.
            return value
        norm = cls.attacks[info.data["method"]].norm
        if norm != "linf":
            return _l2_size(value) if norm == "l2" else _pixels(value)
        levels = grey_levels(value)
        if levels.denominator != 1:
            raise ValueError(
                f"{value!r} is {float(levels):g} grey levels, not a whole number; write {_nearest_whole(levels)}"
            )
        if not 1 <= levels <= 127:
            raise ValueError(f"{value!r} is {levels} grey levels; 1 to 127 are possible")
        return value

    @model_validator(mode="after")
    def _check_step(self) -> AttackSection:
        used = [name for name in _SIZES if name == "eps" or name in self.declaration.keys]
        norm = self.declaration.norm
        if norm != "linf":
            # A size of 8/255 per pixel means something else than a norm of 8/255 over all pixels.
            if missing := [name for name in used if name not in self.model_fields_set]:
                raise ValueError(f"{missing[0]}: {self.method} needs one of its own, {_ADVICE[norm]}")
            if "step" in used:
                _l2_size(self._own["step"], "step: ")
        elif "step" in used:
            step = self._own["step"]
            levels = grey_levels(step)
            if levels <= 0 or (levels.denominator != 1 and levels < 2 * self.eps_levels):
                raise ValueError(
                    f"step: {step!r} is {float(levels):g} grey levels, neither a whole number from 1 on nor at "
                    f"least 2 x eps; write {_nearest_whole(levels)}"
                )
        return self

    @model_validator(mode="after")
    def _check_own(self) -> AttackSection:
        # The types of the keys have been checked. Here the validators of the attack's own settings run.
        try:
            self.declaration.settings.model_validate(self._own)
        except ValidationError as error:
            raise ValueError(explain(error, "attack").removesuffix(".")) from None
        return self

    @property
    def _own(self) -> dict[str, Any]:
        """The settings that the method uses, as they were written."""
        return {name: getattr(self, name) for name in self.declaration.keys}

    @property
    def declaration(self) -> Attack:
        """The declaration of the method."""
        return self.attacks[self.method]

    @property
    def eps_levels(self) -> int | float:
        """Radius of the ball in grey levels, a whole number in L-infinity; or the number of pixels of a patch."""
        if self.declaration.norm == "patch":
            return int(self.eps)
        return int(grey_levels(self.eps)) if self.declaration.norm == "linf" else float(grey_levels(self.eps, None))

    @property
    def step_levels(self) -> int | float:
        """Step size in grey levels. A step of 2 x eps or more counts as 2 x eps, because the result is the same."""
        step = self._own["step"]
        if self.declaration.norm == "l2":
            return float(grey_levels(step, None))
        return int(min(grey_levels(step), 2 * grey_levels(self.eps)))

    @property
    def gradients(self) -> int:
        """Number of gradients that the attack computes for an image."""
        cost = self.declaration.cost
        if callable(cost):
            return cost(self._own)
        return int(self._own[cost]) if isinstance(cost, str) else cost

    @property
    def params(self) -> dict[str, Any]:
        """Method, eps and the settings that the method uses, sizes in grey levels; the precision if not float32."""
        settings = self._own
        if "step" in settings:
            settings["step"] = self.step_levels
        if self.precision != "float32":
            settings["precision"] = self.precision
        return {"method": self.method, "eps": self.eps_levels, **settings}

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Make the same attack with other settings.

        Parameters
        ----------
        changes : mapping
            Keys of the section that change. If the norm changes, this attack's sizes are not used.

        Raises
        ------
        ValueError
            If the settings together are not valid.
        """
        kept = self.model_dump()
        other = self.attacks.get(changes.get("method", self.method))
        if other and other.norm != self.declaration.norm:
            needed = [name for name in _SIZES if name == "eps" or name in other.keys]
            if missing := [name for name in needed if name not in changes]:
                raise ValueError(
                    f"{changes['method']} is of another norm than the study's {self.method}, so key "
                    f"'attack.{missing[0]}' has to be given: {_ADVICE[other.norm]}"
                )
            # If the method has no step, the step is ignored.
            kept = {name: value for name, value in kept.items() if name not in _SIZES}
        try:
            return self.model_validate({**kept, **changes})
        except ValidationError as error:
            raise ValueError(explain(error, "attack").removesuffix(".")) from None


_SIZES = ("eps", "step")
"""Keys whose unit depends on the norm."""
_BALLS: dict[Norm, str] = {"linf": "Within an L-infinity ball", "l2": "Within an L2 ball", "patch": "On a few pixels"}


def _method_field(attacks: Mapping[str, Attack]) -> FieldInfo:
    """Make the key `method`, with the attacks' names and summaries."""
    told = []
    for norm, ball in _BALLS.items():
        listed = [f"`{name}`, {attack.summary}" for name, attack in attacks.items() if attack.norm == norm]
        told += [f"{ball}: {'; '.join(listed)}."] if listed else []
    default = AttackSection.model_fields["method"].default
    field: FieldInfo = Field(default, description=" ".join(told), json_schema_extra={"enum": list(attacks)})
    return field


def own_fields(attacks: Mapping[str, Attack]) -> dict[str, tuple[Any, FieldInfo]]:
    """Collect the keys that attacks declare, each once, in the form of pydantic's `create_model`.

    Parameters
    ----------
    attacks : mapping of str to Attack
        Declarations by name.

    Returns
    -------
    dict of str to (type, FieldInfo)

    Raises
    ------
    TypeError
        If the declarations do not fit into one section: a key has no default, is reserved, or is declared in two ways.
    """
    fields: dict[str, FieldInfo] = {}
    users: dict[str, list[str]] = {}
    for name, attack in attacks.items():
        for key, field in attack.settings.model_fields.items():
            where = f"attack {name!r}: setting {key!r}"
            if hasattr(AttackSection, key) or key in AttackSection.model_fields:
                raise TypeError(f"{where} is a name that the section 'attack' uses itself; choose another")
            if field.is_required():
                raise TypeError(f"{where} has no default; a config need not name it, so give it one")
            if repr(fields.setdefault(key, field)) != repr(field):
                raise TypeError(
                    f"{where} differs from that of {users[key][0]!r}; define it once (sat.attacks.settings), or choose "
                    "another name"
                )
            users.setdefault(key, []).append(name)
    found = {}
    for key, field in fields.items():
        used = ", ".join(f"`{name}`" for name in users[key])
        described = copy(field)
        described.description = f"{field.description or ''} Used by {used}.".strip()
        found[key] = (field.annotation, described)
    return found


def attack_settings(attacks: Mapping[str, Attack]) -> type[AttackSection]:
    """Make the section `attack` of a config that knows these attacks.

    Parameters
    ----------
    attacks : mapping of str to Attack
        Declarations by name.

    Raises
    ------
    TypeError
        If the declarations do not fit into one section; see `own_fields`.
    """
    fields: dict[str, Any] = own_fields(attacks)
    made = create_model(
        "AttackSettings",
        __base__=AttackSection,
        __module__=__name__,
        __doc__="The attack. Keys that its method does not use are ignored. They change no result and rerun nothing.",
        method=(str, _method_field(attacks)),
        **fields,
    )
    made.attacks = attacks
    return made


if TYPE_CHECKING:
    AttackSettings = AttackSection
else:
    AttackSettings = attack_settings(declarations("attacks"))


class Variant(Section):
    """A variant: the study's models are attacked with other settings, or on fewer images."""

    attack: dict[str, str | int | float | bool] = {}
    """Keys of the section `attack` that differ from the study's."""
    attack_images: Count | None = None
    """Number of the study's attack images that are used, from the first on; all by default."""
