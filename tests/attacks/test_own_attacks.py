"""An attack of a study's own is held to the contract while it runs."""

from __future__ import annotations

import numpy as np
import pytest

from sat.attacks.apply import broken
from sat.attacks.interface import Attacked
from sat.units.attack import Attack

IMAGES = np.full((2, 3, 4, 4), 100, np.uint8)
IMAGES[0, 0, 0, 0] = 250


def made(**changes: object) -> Attacked:
    change = np.zeros(IMAGES.shape, np.int8)
    change[:, 1, 2] = 3
    whole = {"perturbation": change, "fooled": np.ones(2, bool), "zero_gradients": np.zeros(2, np.int64)}
    return Attacked(**{**whole, **changes})


def wide(value: int, place: tuple[object, ...], kind: type = np.int8) -> np.ndarray:
    change = np.zeros(IMAGES.shape, kind)
    change[place] = value
    return change


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (made(), ""),
        (made(perturbation=wide(-4, (1, 2, 3, 3))), "of size 4 (linf), beyond eps, which is 3"),
        (made(perturbation=wide(-128, (1, 2, 3, 3))), "images beyond the grey levels 0 to 255"),
        (made(perturbation=wide(6, (0, 0, 0, 0))), "images beyond the grey levels 0 to 255"),
        (
            made(perturbation=wide(3, (), np.int16)),
            "perturbation, which should be an array of int8 and shape (2, 3, 4, 4)",
        ),
        (made(perturbation=wide(1, (), np.float32)), "a perturbation, which should be an array of int8"),
        (made(perturbation=wide(1, ())[:1]), "a perturbation, which should be an array of int8"),
        (made(fooled=np.ones(3, bool)), "fooled, which should be an array of bool and shape (2,)"),
        (made(fooled=np.ones(2)), "fooled, which should be an array of bool"),
        (made(zero_gradients=None), "zero_gradients, which should be an array of int"),
        (made(fooled_unrounded=np.ones(2, bool)), "a fooled_unrounded, and declares lattice=True"),
        (IMAGES, "a ndarray instead of a sat.attacks.interface.Attacked"),
    ],
)
def test_what_breaks_the_contract_is_told(found: object, said: str) -> None:
    reason = broken(found, IMAGES, 3, Attack(summary="x", norm="linf", cost=1))
    assert said in reason and bool(reason) == bool(said)


@pytest.mark.parametrize(
    ("norm", "eps", "fits"), [("l2", 20, True), ("l2", 9, False), ("patch", 4, True), ("patch", 3, False)]
)
def test_the_size_is_that_of_the_norm(norm: str, eps: float, fits: bool) -> None:
    # Four pixels of a row change by 5 in one colour: a length of 10.
    change = wide(5, (slice(None), 1, 2), np.int16)
    unrounded = {"fooled_unrounded": np.ones(2, bool)}
    reason = broken(
        made(perturbation=change, **unrounded), IMAGES, eps, Attack(summary="x", norm=norm, cost=1, lattice=False)
    )
    assert (reason == "") == fits
