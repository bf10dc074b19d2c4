"""One result's job by hand: it finds its inputs, leaves the results alone, and says whether all is as it was."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

from projects import Project
from sat.__main__ import main

pytestmark = pytest.mark.slow

ONE_OF_EACH = [
    "study.json",
    "images/manifest.csv",
    "images/attack.h5",
    "clean/vit.h5",
    "clean/vit.gate.json",
    "adversarial/vit.h5",
    "tiles/c1-000/c1-001.h5",
    "similarity/pairs.parquet",
    "figures/groups.svg",
    "analysis/stability.csv.json",
]


@pytest.mark.parametrize("artefact", ONE_OF_EACH)
def test_a_job_by_hand_makes_the_same(
    finished: Project, artefact: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(finished.folder)
    before = finished.state("**/*")
    status = main(["rerun", f"results/tiny/{artefact}"])
    said = capsys.readouterr().out
    assert status == 0
    assert f"results/tiny/{artefact.removesuffix('.json')}" in said and "the same" in said
    assert "not the same" not in said
    assert finished.state("**/*") == before


def test_what_is_not_the_same_is_named_and_can_be_kept(project: Project):
    path = project.results / "analysis/groups.csv"
    table = pd.read_csv(path)
    table.loc[0, "mean"] += 0.5
    table.to_csv(path, index=False)
    done = project.sat("rerun", "results/tiny/analysis/groups.csv", "--keep", "kept")
    assert done.returncode == 1
    assert "analysis/groups.csv: not the same as kept/results/tiny/analysis/groups.csv" in done.stdout
    assert "figures/groups.svg: the same" in done.stdout
    assert pd.read_csv(project.folder / "kept/results/tiny/analysis/groups.csv")["mean"][0] == table["mean"][0] - 0.5


def test_what_is_no_result_is_told_with_what_was_meant(finished: Project):
    done = finished.sat("rerun", "results/tiny/analysis/group.csv")
    assert done.returncode == 1
    assert "is not a result of study tiny" in done.stderr and "results/tiny/analysis/groups.csv" in done.stderr


def test_an_input_that_is_not_there_is_named(project: Project):
    (project.results / "clean/vit.h5").unlink()
    done = project.sat("rerun", "results/tiny/adversarial/vit.h5")
    assert done.returncode == 1 and "results/tiny/clean/vit.h5: is not there yet" in done.stderr


def test_a_stage_called_without_a_step_says_who_calls_it(finished: Project):
    # A terminal gives no step: the command would wait for one for ever.
    done = finished.call(
        "script", "-qec", f"PYTHONPATH=workflow '{sys.executable}' -m sat study --out x.json", "/dev/null"
    )
    assert done.returncode != 0 and "sat rerun" in done.stdout
