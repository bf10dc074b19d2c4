"""Artefacts beside ones that were made again: every value here, and within stated tolerances elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (makes HDF5 know the filter)
import numpy as np
import pandas as pd
import pytest

from sat.status.agreement import circumstances, compare, compare_elsewhere
from sat.store import hdf5
from sat.store.artefact import write_sidecar

HERE = {"machine": {"cpu": "A"}, "packages": {"torch": "2", "snakemake": "9"}, "run": {"threads": 1, "build": "x"}}


def record(path: Path, stage: str, **facts: Any) -> Path:
    write_sidecar(f"{path}.json", {"stage": stage, "recipe": "r", "inputs": {}, "facts": facts, **HERE})
    return path


def adversarial(path: Path, perturbation: np.ndarray, whitebox: float = 0.9, compression: str | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    with hdf5.writing(path) as file:
        file.create_dataset(
            "perturbation", data=perturbation, compression=compression, chunks=(1, *perturbation.shape[1:])
        )
        file["attacked"] = np.ones(len(perturbation), bool)
    return record(path, "attack", whitebox=whitebox)


@pytest.fixture
def perturbation() -> np.ndarray:
    return np.random.default_rng(0).integers(-8, 9, (10, 3, 4, 4)).astype(np.int8)


def test_another_packing_is_the_same_and_a_kept_digest_is_not_believed(tmp_path: Path, perturbation: np.ndarray):
    before = adversarial(tmp_path / "a.h5", perturbation)
    assert compare(before, adversarial(tmp_path / "again/a.h5", perturbation)).level == "bytes"
    packed = adversarial(tmp_path / "packed/a.h5", perturbation, compression="gzip")
    assert compare(before, packed).level == "values" and compare(before, packed).same
    # The digest within the file stays that of the honest content.
    with h5py.File(packed, "r+") as file:
        file["perturbation"][3, 0, 0, 0] += 5
    found = compare(before, packed)
    assert not found.same and found.words == "perturbation: 1 of 480 values differ, by 5 at most"


@pytest.mark.parametrize(
    ("changed", "whitebox", "level"), [(0.3, 0.91, "near"), (0.6, 0.9, "apart"), (0.3, 0.8, "apart")]
)
def test_sets_of_another_machine_may_differ_in_half_of_their_pixels(
    tmp_path: Path, perturbation: np.ndarray, changed: float, whitebox: float, level: str
):
    before, other = adversarial(tmp_path / "a.h5", perturbation), perturbation.copy()
    other.reshape(-1)[: round(changed * other.size)] += 1
    found = compare_elsewhere(before, adversarial(tmp_path / "again/a.h5", other, whitebox))
    assert found.level == level and f"{1 - changed:.1%} of pixels equal" in found.words
    assert compare(before, tmp_path / "again/a.h5").level == "apart", "here, one pixel is too many"


def similar(path: Path, sat: list[float]) -> Path:
    path.parent.mkdir(exist_ok=True)
    table = pd.DataFrame({"model_a": ["a", "b", "c"], "model_b": ["b", "c", "a"], "sat": sat})
    table.assign(sat_low=[1.0, 1.0, 1.0], sat_high=[2.0, 2.0, 2.0]).to_csv(path, index=False)
    return record(path, "similarity")


def test_sat_of_another_machine_lies_within_its_interval(tmp_path: Path):
    before = similar(tmp_path / "most_similar.csv", [1.5, 1.6, 1.7])
    assert compare_elsewhere(before, similar(tmp_path / "in/most_similar.csv", [1.01, 1.9, 1.7])).level == "near"
    found = compare_elsewhere(before, similar(tmp_path / "out/most_similar.csv", [1.5, 2.1, 1.7]))
    assert found.level == "apart" and found.words == "sat within its interval for 2 of 3 pairs"


def test_a_table_says_which_cells_differ(tmp_path: Path):
    texts = ["x", None, "y"]
    for name, value in (("a", 1.0), ("b", 1.25)):
        (tmp_path / name).mkdir()
        pd.DataFrame({"text": texts, "number": [value, np.nan, 3.0]}).to_csv(tmp_path / name / "t.csv", index=False)
        record(tmp_path / name / "t.csv", "groups")
    found = compare(tmp_path / "a/t.csv", tmp_path / "b/t.csv")
    assert found.words == "number: 1 of 3 values differ, by 0.25 at most"


def test_what_float_rounding_depends_on_decides_where_tolerances_hold():
    assert circumstances(HERE, {**HERE, "packages": {"torch": "2", "snakemake": "10"}}) == []
    # An earlier version did not record the build.
    assert circumstances({**HERE, "run": {"threads": 1}}, HERE) == []
    other = {"machine": {"cpu": "B"}, "packages": {"torch": "3"}, "run": {"threads": 2, "build": "y"}}
    assert circumstances(HERE, other) == ["CPU A, now B", "torch 2, now 3", "build x, now y", "threads 1, now 2"]
