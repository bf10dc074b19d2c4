"""What differs between two studies, compared with their tables read by hand."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

import sat
from conftest import TINY
from projects import Project
from sat.status.diff import Side, compare, models, settings
from sat.store.artefact import Job
from sat.store.step import Step

TABLE = [
    {"model": "a", "architecture": "test_vit", "family": "x", "use": True, "cohort": 1},
    {"model": "b", "architecture": "test_resnet", "family": "x", "use": True, "cohort": 1},
    {"model": "gone", "architecture": "test_resnet", "family": "x", "use": False, "cohort": 1},
]


def side(name: str, config: dict, table: list) -> Side:
    return Side.of(name, {"config": config, "models": table}, None)


def test_settings_that_differ_are_named_with_both_values():
    first = side("A", {"study": "a", "seed": 0, "attack": {"eps": "8/255", "steps": 10}, "compare_to": None}, [])
    second = side("B", {"study": "b", "seed": 0, "attack": {"eps": "4/255", "steps": 10}, "compare_to": ["x", "y"]}, [])
    assert settings(first, second) == ["attack.eps: 8/255 | 4/255", "compare_to: none | x, y"]
    assert settings(first, first) == []


def test_models_of_one_study_alone_and_cells_that_differ_are_named():
    other = [{**TABLE[0], "family": "y", "cohort": 2}, {**TABLE[1], "model": "c"}]
    first, second = side("A", {}, TABLE), side("B", {}, other)
    assert models(first, second) == ["only in A: b", "only in B: c", "a: family: x | y"]


@pytest.mark.slow
def test_a_study_and_its_results_do_not_differ(finished: Project):
    done = finished.sat("diff", "results/tiny", "config.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("no difference") == 2 and "the same, to the last bit" in done.stdout


@pytest.mark.slow
def test_another_attack_is_named_and_its_shift_of_sat_is_that_of_the_tables(project: Project):
    kept = project.folder / "before"
    shutil.copytree(project.results, kept)
    project.configure(attack={"eps": "24/255", "step": "8/255", "steps": 1})
    asked = project.sat("diff", "before", "config.yaml")
    assert asked.returncode == 1 and "has no matrix of these settings yet" in asked.stdout
    project.run("results/tiny/similarity/sat.csv", "results/tiny/study.json")
    done = project.sat("diff", "before", "results/tiny")
    said = " ".join(done.stdout.split())
    assert done.returncode == 1 and "attack.steps: 3 | 1" in said and "measured with steps 1 instead of 3" in said
    assert max(map(len, done.stdout.splitlines())) <= 80

    old, new = (pd.read_csv(folder / "similarity/sat.csv", index_col=0) for folder in (kept, project.results))
    upper = np.triu(np.ones(old.shape, bool), 1)
    shift = (new - old).to_numpy()[upper]
    assert f"SAT of {len(shift)} pairs in common: median shift {np.median(shift):+.3f}" in said
    tables = [pd.read_csv(folder / "similarity/most_similar.csv") for folder in (kept, project.results)]
    both = tables[0].merge(tables[1], on=["model_a", "model_b"])
    apart = sum(max(row.sat_low_x, row.sat_low_y) > min(row.sat_high_x, row.sat_high_y) for row in both.itertuples())
    assert f"{apart} of these pairs have intervals that do not overlap" in said
    assert "Image by image: 3 models on 48 images that both studies have" in said
    assert f"SAT: mean shift {np.mean(shift):+.3f} [" in said and "affinity: needs four models in common" in said


@pytest.mark.slow
def test_studies_with_few_common_images_are_not_compared_image_by_image(project: Project):
    kept = project.folder / "before"
    shutil.copytree(project.results, kept)
    project.configure(images={**TINY["images"], "attack_images": 8})
    project.run("results/tiny/similarity/sat.csv", "results/tiny/study.json")
    ids = [set(sat.open_study(folder).images().id) for folder in (kept, project.results)]
    assert len(ids[0] & ids[1]) == 8
    said = " ".join(project.sat("diff", "before", "results/tiny").stdout.split())
    assert "have 8 attack images in common" in said and "images that both studies have" not in said


def test_two_studies_of_the_same_matrix_do_not_differ(tmp_path):
    pair = pd.DataFrame([[4.0, 1.0, 2.0], [1.0, 4.0, 3.0], [2.0, 3.0, 4.0]], list("abc"), list("abc"))
    for name, matrix in (("one", pair), ("two", pair), ("other", pair + 0.5)):
        path = tmp_path / name / "similarity/sat.csv"
        path.parent.mkdir(parents=True)
        matrix.to_csv(path, index_label="model")
        Job(Step("matrix", 2, {"sha256": name})).finish(path)
    one, two, other = (Side(name, {"study": name}, {}, tmp_path / name) for name in ("one", "two", "other"))
    said, differ = compare(one, two)
    assert "nothing is known of its images and attack" in said and "the same, to the last bit" in said
    assert not differ
    said, differ = compare(one, other)
    assert "median shift +0.500" in said and differ


@pytest.mark.slow
def test_a_folder_without_a_study_is_refused(finished: Project):
    done = finished.sat("diff", "results", "config.yaml")
    assert done.returncode == 1 and "there is no study.json in it" in done.stderr
