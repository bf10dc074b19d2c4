"""Apply the attack that a step names to a batch of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat.attacks.interface import Attacked, Draws
from sat.errors import SatError
from sat.models.batches import Batch, in_batches
from sat.models.classifier import Classifier
from sat.models.feed import Ahead, Line, blocks, line_to
from sat.store.chunks import Items
from sat.units import module
from sat.units.attack import Attack


def attack(
    classifier: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    params: Mapping[str, Any],
    device: str = "cpu",
    draws: Draws | None = None,
) -> Attacked:
    """Attack one batch with the method and settings of a step's params.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : uint8 array, shape (n, 3, S, S)
        Grey levels of the canvas.
    labels : int array, shape (n,)
        True classes.
    ids : int array, shape (n,)
        Ids of the images; random numbers are keyed by them.
    params : mapping
        Keys method, eps (in grey levels), the method's settings and, if the method is seeded, seed and model.
    device : str
    draws : Draws, optional
        Random numbers from `draw_ahead`; they are drawn now by default, and are the same.

    Returns
    -------
    Attacked

    Raises
    ------
    SatError
        If a package that the method needs is not installed, or an attack of the study's own breaks the contract.
    FloatingPointError
        If a gradient or an adversarial image is not finite.
    """
    unit = module("attacks", params["method"])
    declaration: Attack = unit.UNIT
    if declaration.package and find_spec(declaration.package.partition("==")[0]) is None:
        raise SatError(
            f"attack.method is {params['method']}, and a package is not installed that it needs; "
            f"pip install {declaration.package} (envs/requirements.txt), or choose another method."
        )
    given = _settings(declaration, params)
    if declaration.seeded:
        given["draws"] = draws or Draws(ids, params["seed"], params["model"])
    found: Attacked = unit.run(classifier, images, labels, device=device, **given)
    if "units" in params and (fault := broken(found, images, params["eps"], declaration)):
        raise SatError(f"attack {params['method']!r}: its function returns {fault}.")
    return found


def _settings(declaration: Attack, params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: params[key] for key in ("eps", *declaration.keys)}


def draw_ahead(ids: NDArray[np.integer], shape: tuple[int, ...], params: Mapping[str, Any]) -> Draws | None:
    """Draw the random numbers that an attack can have ahead, for images of a shape; None if it draws none at all."""
    unit = module("attacks", params["method"])
    if not unit.UNIT.seeded:
        return None
    draws = Draws(ids, params["seed"], params["model"])
    if hasattr(unit, "ahead"):
        unit.ahead(draws, shape, **_settings(unit.UNIT, params))
    return draws


def attack_all(
    classifier: Classifier,
    images: Items,
    labels: NDArray[np.integer],
    ids: NDArray[np.integer],
    rows: NDArray[np.integer],
    params: Mapping[str, Any],
    batch: Batch,
    device: str | Line = "cpu",
) -> Iterator[tuple[slice, Attacked]]:
    """Attack images batch by batch. The next ones are read, and their random numbers drawn, in the background.

    Parameters
    ----------
    classifier : Classifier
        The model to attack, frozen.
    images : Items, shape (n, 3, S, S)
    labels, ids : int array, shape (n,)
    rows : int array
        The images to attack.
    params : mapping
        See `attack`.
    batch : Batch
    device : str or Line

    Yields
    ------
    slice
        The slice of `rows`.
    Attacked
    """
    line = line_to(device)

    def load(places: NDArray[np.integer]) -> tuple[NDArray[np.integer], NDArray[np.uint8], Draws | None]:
        chosen = rows[places]
        levels = line.room((len(chosen), *images.shape[1:]), images.dtype).numpy()
        images.read(chosen, levels)
        return places, levels, draw_ahead(ids[chosen], images.shape[1:], params)

    with Ahead(blocks(np.arange(len(rows)), batch), load, line.threads) as feed:
        for places, levels, draws in feed:
            chosen, first = rows[places], int(places[0])

            def work(where: slice) -> Attacked:
                which = chosen[where]  # noqa: B023 - it is called before the next block comes
                part = draws and draws.part(where)  # noqa: B023
                return attack(classifier, levels[where], labels[which], ids[which], params, line.device, part)  # noqa: B023

            for where, found in in_batches(len(chosen), batch, work):
                yield slice(first + where.start, first + where.stop), found


def broken(found: object, images: NDArray[np.uint8], eps: float, declaration: Attack) -> str:
    """Say how the result of an attack breaks the contract; empty if it keeps it.

    Tests hold our attacks to it. Those of a study's own are looked at while they run.

    Parameters
    ----------
    found : object
        What the attack's function returned.
    images : uint8 array, shape (n, 3, S, S)
    eps : float
        Radius of the ball in grey levels, or number of pixels of a patch.
    declaration : Attack
    """
    if not isinstance(found, Attacked):
        return f"a {type(found).__name__} instead of a sat.attacks.interface.Attacked"
    count, change = len(images), found.perturbation
    flags: dict[str, object] = {"fooled": found.fooled, "zero_gradients": found.zero_gradients}
    if (found.fooled_unrounded is None) != declaration.lattice:
        return f"{'a' if declaration.lattice else 'no'} fooled_unrounded, and declares lattice={declaration.lattice}"
    if not declaration.lattice:
        flags["fooled_unrounded"] = found.fooled_unrounded
    for name, array in flags.items():
        kinds = "iu" if name == "zero_gradients" else "b"
        if not isinstance(array, np.ndarray) or array.shape != (count,) or array.dtype.kind not in kinds:
            return f"{name}, which should be an array of {'int' if kinds == 'iu' else 'bool'} and shape ({count},)"
    if not isinstance(change, np.ndarray) or change.shape != images.shape or change.dtype != declaration.dtype:
        return (
            f"a perturbation, which should be an array of {declaration.dtype} and shape {images.shape}, in grey levels"
        )
    if not count:
        return ""
    wide = change.astype(np.int16)
    if (images + wide).min() < 0 or (images + wide).max() > 255:
        return "images beyond the grey levels 0 to 255"
    sizes = {
        "linf": lambda: np.abs(wide).max(),
        "l2": lambda: np.sqrt(np.square(wide, dtype=np.int64).sum((1, 2, 3))).max(),
        "patch": lambda: (wide != 0).any(1).sum((1, 2)).max(),
    }
    size = float(sizes[declaration.norm]())
    return f"a perturbation of size {size:g} ({declaration.norm}), beyond eps, which is {eps:g}" if size > eps else ""
