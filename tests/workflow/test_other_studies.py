"""A study beside another study: the same images and attack, or not."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from projects import Project
from sat.store.artefact import SEAL, write_sidecar

pytestmark = pytest.mark.slow


@pytest.fixture
def beside(project: Project) -> Project:
    """The tiny study, and results/earlier, which is the same study with a name of its own."""
    shutil.copytree(project.results, project.folder / "results/earlier")
    for sidecar in (project.folder / "results/earlier").rglob("*.json"):
        record = json.loads(sidecar.read_text().replace("results/tiny/", "results/earlier/"))
        if record.pop(SEAL, None):
            write_sidecar(sidecar, record)
    project.configure(compare_to="results/earlier", reference="results/earlier", reference_listed=["vit"])
    return project


def test_the_same_images_and_attack(beside: Project) -> None:
    assert set(beside.planned()) == {"study", "groups", "reference", "atlas", "crate"}
    beside.run()
    groups = pd.read_csv(beside.results / "analysis/groups.csv").set_index("kind")
    assert groups.loc["compare", "mean"] == groups.loc["all", "mean"]
    figure = (beside.results / "figures/groups.svg").read_text()
    assert "other study" in figure and "other matrix" not in figure
    table = pd.read_csv(beside.results / "analysis/reference.csv")
    table = table[table["of"] == "sat"].set_index(["group", "rule"])
    assert table.loc[("all", "both"), "mean_offset"] == 0 and table.loc[("all", "both"), "n_pairs"] > 0
    assert {"native at the canvas size", "other sizes", "listed"} <= set(table.index.get_level_values(0))
    assert table.loc[("listed", "any"), "n_models"] == 1
    assert "the same images and attack" in (beside.results / "figures/reference.svg").read_text()
    assert beside.planned() == {}


def test_another_attack_is_refused_for_a_mean_and_named_for_a_reference(beside: Project) -> None:
    attack = beside.config["attack"]
    beside.configure(attack={**attack, "steps": 2})
    done = beside.snakemake("--keep-going")
    assert done.returncode != 0
    log = (beside.results / "logs/analysis/groups.log").read_text()
    assert "steps 3 instead of 2" in log and "compare_to" in log and "Traceback" not in log
    figure = (beside.results / "figures/reference.svg").read_text()
    assert "steps 3 instead of 2" in figure and "other images" not in figure


def test_a_matrix_alone_is_named_as_one(beside: Project) -> None:
    matrix = pd.read_csv(beside.results / "similarity/sat.csv", index_col=0)
    matrix.fillna(0.5).to_csv(beside.folder / "alone.csv")
    beside.configure(compare_to="alone.csv", reference="alone.csv")
    beside.run()
    figure = (beside.results / "figures/groups.svg").read_text()
    assert "other matrix" in figure and "other study" not in figure
    assert "settings not known" in (beside.results / "figures/reference.svg").read_text()


def test_names_and_folders_that_are_not_there(beside: Project) -> None:
    for key, value, message in (
        ("reference", "results/nothing", "there is no file"),
        ("reference_listed", ["nobody"], "nobody: no such model"),
    ):
        wrong = beside.config | {key: value}
        beside.configure(**wrong)
        done = beside.snakemake("--dry-run")
        assert done.returncode != 0 and message in done.stdout + done.stderr
        beside.configure(reference="results/earlier", reference_listed=[])
