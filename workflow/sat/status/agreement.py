"""Compare an artefact with one that was made again: to the last bit, or within tolerances where it was made elsewhere.

Float rounding differs between builds, types of CPU and devices. An attack and a training amplify it, so the same bytes
are not to be expected elsewhere. `TOLERANCES` says what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.files import file_digest

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

Level = Literal["bytes", "values", "near", "apart", "open"]
"""How well two artefacts agree: every byte, every value, within the tolerances, not even that, or it cannot be said."""

EQUAL_PIXELS = 0.999
"""Least share of equal pixels of images; the others differ by one grey level at most."""
CLEAN_PREDICTIONS, ADVERSARIAL_PREDICTIONS = 0.99, 0.98
"""Least shares of images to which the same class is given."""
EQUAL_PERTURBATIONS = 0.5
"""Least share of equal pixels of the perturbations of images that both sets attack."""
SUCCESS = 0.02
"""Largest difference of white-box success, and of the accuracy of models that were trained."""
COSINE = 0.99
"""Least mean cosine of gradients."""
CLOSE, CELLS = 1e-3, 0.99
"""Relative difference up to which numbers of a table count as equal, and the least share of equal cells."""

TOLERANCES = (
    f"images: {EQUAL_PIXELS:.1%} of pixels equal, the others within 1 grey level; predictions: the same class for "
    f"{CLEAN_PREDICTIONS:.0%} of clean and {ADVERSARIAL_PREDICTIONS:.0%} of adversarial images; adversarial sets: "
    f"{EQUAL_PERTURBATIONS:.0%} of pixels equal and white-box success within {SUCCESS}; trained models: accuracy "
    f"within {SUCCESS}; rates and SAT: within their intervals; other tables: {CELLS:.0%} of cells within "
    f"{CLOSE:.1%}; figures and pages are not compared"
)
"""What counts as agreement elsewhere, in words."""

ADDED = "later code also writes"
"""Begins the words for an array that was added without another meaning of those that were there."""
Told = tuple[bool, str]
"""Whether two artefacts agree within the tolerances, and how far, in words."""


@dataclass(frozen=True)
class Agreement:
    """How well two artefacts agree."""

    level: Level
    words: str = ""
    """What differs, and how much; empty if nothing does. An array that only later code writes is no difference."""

    @property
    def same(self) -> bool:
        """Whether they have the same content."""
        return self.level in ("bytes", "values")


def compare(before: Path, now: Path) -> Agreement:
    """Compare two artefacts to the last bit of every value; how values are packed in the file does not count.

    Digests that the files or their sidecars hold are not believed.

    Parameters
    ----------
    before, now : Path
        The artefact, and the one that was made again; each with its sidecar.
    """
    if sidecar_path(before) == before:
        # It is its own sidecar, so the circumstances of the run do not count.
        old, new = read_sidecar(before), read_sidecar(now)
        if old["recipe"] == new["recipe"] and old["facts"] == new["facts"]:
            return Agreement("bytes")
        names = [name for name in {**old["facts"], **new["facts"]} if old["facts"].get(name) != new["facts"].get(name)]
        said = [f"{name} {old['facts'].get(name)}, now {new['facts'].get(name)}" for name in names]
        return Agreement("apart", "; ".join(said) or "another recipe")
    if file_digest(before) == file_digest(now):
        return Agreement("bytes")
    differences: Mapping[str, Callable[[Path, Path], Iterator[str]]] = {
        ".h5": _arrays,
        ".safetensors": _tensors,
        ".csv": _cells,
        ".parquet": _cells,
    }
    if before.suffix not in differences:
        return Agreement("apart", "other bytes")
    found = [*differences[before.suffix](before, now)]
    only_more = all(text.startswith(ADDED) for text in found) and _commit(before) != _commit(now)
    return Agreement("values" if not found or only_more else "apart", "; ".join(found))


def compare_elsewhere(before: Path, now: Path) -> Agreement:
    """Compare two artefacts of different machines or builds, within `TOLERANCES`.

    Parameters
    ----------
    before, now : Path
        The artefact, and the one that was made again; each with its sidecar.
    """
    found = compare(before, now)
    if found.same:
        return found
    if before.suffix in (".svg", ".html", ".rst"):
        return Agreement("open", "not compared, since fonts and libraries may draw it in another way")
    stage = read_sidecar(before)["stage"]
    near = _TOLERANT.get(stage, _near_facts if sidecar_path(before) == before else _near_table)
    agrees, words = near(before, now)
    return Agreement("near" if agrees else "apart", words)


def circumstances(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in what the circumstances of two jobs differ on which float rounding may depend.

    Parameters
    ----------
    before, now : mapping
        Sidecars.

    Returns
    -------
    list of str
        Builds, type of CPU, device and threads; empty if they are the same. What an earlier version did not record
        does not count.
    """
    old, new = _circumstances(before), _circumstances(now)
    return [f"{name} {old[name]}, now {new[name]}" for name in old if name in new and old[name] != new[name]]


def _circumstances(sidecar: Mapping[str, Any]) -> dict[str, str]:
    run = sidecar.get("run") or {}
    packages = {name: version for name, version in (sidecar.get("packages") or {}).items() if name != "snakemake"}
    found = {"CPU": (sidecar.get("machine") or {}).get("cpu"), **packages}
    found |= {"device": run.get("device_name"), "build": run.get("build"), "threads": run.get("threads")}
    return {name: str(value) for name, value in found.items() if value is not None}


def _commit(path: Path) -> str | None:
    found: str | None = (read_sidecar(path).get("git") or {}).get("commit")
    return found


# To the last bit


def _arrays(before: Path, now: Path) -> Iterator[str]:
    from sat.store.hdf5 import SLICE

    with _both(before, now) as (old, new):
        for name in sorted({*old, *new}):
            if name not in old or name not in new:
                yield f"{name} is missing now" if name in old else f"{ADDED} {name}"
                continue
            one, other = old[name], new[name]
            if one.shape != other.shape or one.dtype != other.dtype:
                yield f"{name}: {one.dtype} {one.shape}, now {other.dtype} {other.shape}"
                continue
            starts = range(0, len(one), SLICE)
            yield from _counted(
                name, ((one[start : start + SLICE], other[start : start + SLICE]) for start in starts), one.size
            )


def _tensors(before: Path, now: Path) -> Iterator[str]:
    from safetensors import safe_open

    with safe_open(before, "np") as old, safe_open(now, "np") as new:
        if old.metadata() != new.metadata():
            yield "the blueprint differs"
        if set(old.keys()) != set(new.keys()):
            yield "they have other tensors"
            return
        for name in sorted(old.keys()):
            one, other = old.get_tensor(name), new.get_tensor(name)
            yield from _counted(name, [(one, other)], one.size)


def _cells(before: Path, now: Path) -> Iterator[str]:
    from sat.store.tables import read_table

    old, new = read_table(before), read_table(now)
    if list(old) != list(new) or len(old) != len(new):
        yield f"{len(old)} rows and columns {', '.join(old)}; now {len(new)} rows and columns {', '.join(new)}"
        return
    for name in old:
        yield from _counted(str(name), [(old[name].to_numpy(), new[name].to_numpy())], len(old))


def _counted(name: str, slices: Any, size: int) -> Iterator[str]:
    """Count the values that differ in pairs of arrays of the same shape."""
    import numpy as np

    count, largest = 0, 0.0
    for one, other in slices:
        if one.shape != other.shape:
            yield f"{name}: shape {one.shape}, now {other.shape}"
            return
        apart = one != other
        numbers = one.dtype.kind in "fiub" and other.dtype.kind in "fiub"
        if numbers:
            apart &= ~(np.isnan(one.astype(float)) & np.isnan(other.astype(float)))
        elif one.dtype == object or other.dtype == object:
            apart &= np.array([[a == a or b == b] for a, b in zip(one.flat, other.flat, strict=True)]).reshape(
                apart.shape
            )
        count += int(apart.sum())
        if numbers and apart.any():
            largest = max(largest, float(np.nanmax(np.abs(one[apart].astype(float) - other[apart].astype(float)))))
    if count:
        yield f"{name}: {count:,} of {size:,} values differ" + (f", by {largest:.3g} at most" if largest else "")


# Within tolerances


def _near_images(before: Path, now: Path) -> Told:
    import numpy as np

    with _both(before, now) as (old, new):
        if {*old} != {*new} or any(old[name].shape != new[name].shape for name in old):
            return False, "; ".join(_arrays(before, now))
        others = [name for name in old if name != "image" and not np.array_equal(old[name][:], new[name][:])]
        equal = total = largest = 0
        for row in range(len(old["image"])):
            apart = np.abs(old["image"][row].astype(int) - new["image"][row].astype(int))
            equal, total, largest = equal + int((apart == 0).sum()), total + apart.size, max(largest, int(apart.max()))
    share = equal / total if total else 1.0
    said = f"{share:.3%} of pixels equal, the others within {largest} grey level(s)"
    said += f"; {', '.join(others)} differ" if others else ""
    return share >= EQUAL_PIXELS and largest <= 1 and not others, said


def _near_clean(before: Path, now: Path) -> Told:
    with _both(before, now) as (old, new):
        shares = {name: _agree(old[name][:], new[name][:]) for name in ("attack_prediction", "eval_prediction")}
    least = min(shares.values())
    return least >= CLEAN_PREDICTIONS, f"the same class for {least:.1%} of images"


def _near_tile(before: Path, now: Path) -> Told:
    with _both(before, now) as (old, new):
        share = _agree(old["prediction"][:], new["prediction"][:])
    return share >= ADVERSARIAL_PREDICTIONS, f"the same class for {share:.1%} of adversarial images"


def _near_set(before: Path, now: Path) -> Told:
    import numpy as np

    with _both(before, now) as (old, new):
        if old["perturbation"].shape != new["perturbation"].shape:
            return False, "other images"
        rows = np.flatnonzero(old["attacked"][:] & new["attacked"][:])
        attacked = _agree(old["attacked"][:], new["attacked"][:])
        equal = [float((old["perturbation"][row] == new["perturbation"][row]).mean()) for row in rows]
    share = float(np.mean(equal)) if equal else 1.0
    success = [read_sidecar(path)["facts"]["whitebox"] or 0.0 for path in (before, now)]
    agrees = attacked >= CLEAN_PREDICTIONS and share >= EQUAL_PERTURBATIONS and abs(success[0] - success[1]) <= SUCCESS
    return agrees, (
        f"{share:.1%} of pixels equal, {attacked:.1%} of images attacked by both or neither, "
        f"white-box success {success[0]:.3f}, now {success[1]:.3f}"
    )


def _near_gradients(before: Path, now: Path) -> Told:
    import numpy as np

    with _both(before, now) as (old, new):
        one, other = old["gradient"][:].astype(float), new["gradient"][:].astype(float)
    if one.shape != other.shape:
        return False, "other images"
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosine = float(((one * other).sum(axis=1) / np.where(lengths > 0, lengths, 1)).mean())
    return cosine >= COSINE, f"mean cosine of gradients {cosine:.4f}"


def _near_training(before: Path, now: Path) -> Told:
    accuracy = []
    for path in (before, now):
        facts = read_sidecar(path)["facts"]
        accuracy.append(facts["accuracy"] if "accuracy" in facts else facts["history"][-1]["accuracy"])
    said = f"accuracy {accuracy[0]:.3f}, now {accuracy[1]:.3f} (weights of another training are not compared)"
    return abs(accuracy[0] - accuracy[1]) <= SUCCESS, said


def _near_facts(before: Path, now: Path) -> Told:
    import math

    old, new = (read_sidecar(path)["facts"] for path in (before, now))

    def near(one: object, other: object) -> bool:
        if isinstance(one, float) and isinstance(other, float):
            return math.isclose(one, other, abs_tol=SUCCESS)
        return one == other

    return {*old} == {*new} and all(near(old[name], new[name]) for name in old), compare(before, now).words


def _near_similarity(before: Path, now: Path) -> Told:
    """Rates and SAT lie within the intervals that they had before."""
    from sat.store.tables import read_table

    keys, value = {
        "pairs.parquet": (["source", "target"], "rate"),
        "most_similar.csv": (["model_a", "model_b"], "sat"),
    }.get(before.name, ([], ""))
    if not keys:
        return _near_table(before, now)
    old, new = read_table(before).set_index(keys), read_table(now).set_index(keys)
    if set(old.index) != set(new.index):
        return False, "other pairs"
    found = new[value].reindex(old.index)
    inside = found.between(old[f"{value}_low"], old[f"{value}_high"]) | (found.isna() & old[value].isna())
    # The pair of a model with itself has no interval.
    inside |= found == old[value]
    return bool(inside.all()), f"{value} within its interval for {int(inside.sum()):,} of {len(inside):,} pairs"


def _near_table(before: Path, now: Path) -> Told:
    import numpy as np
    import pandas as pd

    from sat.store.tables import read_table

    old, new = read_table(before), read_table(now)
    if list(old) != list(new) or len(old) != len(new):
        return False, "; ".join(_cells(before, now))
    equal = 0
    for name in old:
        one, other = old[name], new[name]
        if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
            a, b = one.to_numpy(float), other.to_numpy(float)
            scale = float(np.nanmax(np.abs(a))) if np.isfinite(a).any() else 0.0
            equal += int(np.isclose(a, b, rtol=CLOSE, atol=CLOSE * scale, equal_nan=True).sum())
        else:
            equal += int(((one == other) | (one.isna() & other.isna())).sum())
    share = equal / old.size if old.size else 1.0
    return share >= CELLS, f"{share:.1%} of cells agree"


def _near_tensors(before: Path, now: Path) -> Told:
    # Weights that are fetched or converted are not computed, so they are the same everywhere.
    return False, compare(before, now).words


_TOLERANT: Mapping[str, Callable[[Path, Path], Told]] = {
    "images": _near_images,
    "train": _near_training,
    "distil": _near_training,
    **dict.fromkeys(("hub", "checkpoint", "code"), _near_tensors),
    "clean": _near_clean,
    "gradients": _near_gradients,
    "attack": _near_set,
    "evaluate": _near_tile,
    "similarity": _near_similarity,
}


@contextmanager
def _both(before: Path, now: Path) -> Iterator[tuple[h5py.File, h5py.File]]:
    from sat.store.hdf5 import reading

    with reading(before) as old, reading(now) as new:
        yield old, new


def _agree(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """Share of equal values; 0 for other shapes."""
    if one.shape != other.shape:
        return 0.0
    return float((one == other).mean()) if one.size else 1.0
