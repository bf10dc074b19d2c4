"""Distillation with Snakemake itself: what a teacher or a seed more makes run, and what comes out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scipy.stats import ttest_rel

from conftest import ADDED, ROWS
from projects import Project, locked_copy
from sat.store.artefact import read_sidecar
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow

ASKED = {"student": "vit", "teachers": "all", "seeds": 1}
BASES = {"vit": "Transformer", "resnet": "CNN", "byobnet": "CNN", "mambaout": "Transformer"}


def rows(*more: dict[str, str]) -> list[dict[str, str]]:
    return [{**row, "base_architecture": BASES[row["model"]]} for row in (*ROWS, *more)]


@pytest.fixture(scope="module")
def shared(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny study with a student of two teachers, one seed."""

    def make(folder: Path) -> None:
        project = finished.copy(folder)
        project.configure(distillation=ASKED)
        # Of the new jobs alone: what stands there is theirs to read.
        assert set(project.planned()) == {"study", "distil", "distillation", "atlas", "crate"}
        project.run()

    base = tmp_path_factory.getbasetemp()
    return Project(locked_copy((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "distilled", make))


@pytest.fixture
def distilled(shared: Project, tmp_path: Path) -> Project:
    return shared.copy(tmp_path / "p")


def table(project: Project, name: str = "distillation") -> pd.DataFrame:
    return pd.read_csv(project.results / f"analysis/{name}.csv")


def accuracy(project: Project, teacher: str, seed: int) -> float:
    return float(read_sidecar(project.results / f"distilled/{teacher}/{seed}.safetensors")["facts"]["accuracy"])


def test_two_teachers_and_one_seed_give_tables_and_no_correlation(shared: Project):
    found = table(shared).set_index("teacher")
    assert sorted(found.index) == ["byobnet", "resnet"]
    sat = pd.read_csv(shared.results / "similarity/sat.csv", index_col=0)
    for name in found.index:
        assert found.loc[name, "gain"] == pytest.approx(accuracy(shared, name, 0) - accuracy(shared, "_alone", 0))
        assert found.loc[name, "sat"] == pytest.approx(sat.loc["vit", name], nan_ok=True)
    assert found["gain_low"].isna().all() and (found["relation"] == "other").all()
    assert found["affinity"].isna().all(), "three models have none"
    related = table(shared, "distillation_relation").set_index("of")
    assert related.index.tolist() == ["sat"] * 3 + ["affinity"] * 3
    assert related["spearman"].isna().all() and related["by"].unique().tolist() == ["family"]
    log = (shared.results / "logs/analysis/distillation.log").read_text()
    assert "one seed: nothing says how much of a gain is chance" in log and "too few" in log and "no affinity (3" in log
    assert shared.planned() == {} and shared.sat("verify").returncode == 0
    status = shared.sat("status").stdout
    assert "Nothing is left to do." in status and " 3 " in next(
        x for x in status.splitlines() if x.startswith("distil ")
    )


def test_logs_are_where_status_looks(shared: Project):
    plan = Plan(load_study([shared.folder / "config.yaml"]))
    jobs = {name for name, made in plan.jobs().items() if made[0].step.stage.startswith("distil")}
    assert all((shared.results / f"logs/{job}.log").exists() for job in jobs) and len(jobs) == 4


def test_a_seed_more_runs_its_own_jobs_alone(distilled: Project):
    before = distilled.state("distilled/**/*")
    distilled.configure(distillation={**ASKED, "seeds": 2})
    planned = distilled.planned()
    assert planned["distil"] == [f"distilled/{name}/1.safetensors" for name in ("_alone", "byobnet", "resnet")]
    assert set(planned) == {"study", "distil", "distillation", "atlas", "crate"}
    distilled.run()
    assert before.items() <= distilled.state("distilled/**/*").items()
    found = table(distilled).set_index("teacher")
    pairs = [[accuracy(distilled, name, seed) for seed in (0, 1)] for name in ("resnet", "_alone")]
    assert found.loc["resnet", "gain"] == pytest.approx(np.subtract(*pairs).mean())
    low, high = ttest_rel(*pairs).confidence_interval(0.95)
    assert found.loc["resnet", ["gain_low", "gain_high"]].tolist() == pytest.approx([low, high])


def test_a_teacher_more_runs_its_own_jobs_alone(distilled: Project):
    before = distilled.state("distilled/**/*")
    distilled.write_table([*ROWS, ADDED])
    planned = distilled.planned()
    assert planned["distil"] == ["distilled/mambaout/0.safetensors"]
    assert planned["train"] == ["weights/mambaout.safetensors"] and planned["distillation"] == [
        "analysis/distillation.csv"
    ]
    distilled.run()
    assert before.items() <= distilled.state("distilled/**/*").items()
    assert len(table(distilled)) == 3 and distilled.planned() == {}
    # Another temperature is none of the student's business who learns alone.
    distilled.configure(distillation={**ASKED, "temperature": 1.0})
    planned = distilled.planned()
    assert planned["distil"] == [f"distilled/{name}/0.safetensors" for name in ("byobnet", "mambaout", "resnet")]
    assert set(planned) == {"study", "distil", "distillation", "atlas", "crate"}


def test_who_hardly_listens_to_the_teacher_becomes_who_has_none(distilled: Project, monkeypatch: pytest.MonkeyPatch):
    """The same loop, the same seeds: a teacher of no weight changes nothing but rounding."""
    distilled.configure(distillation={**ASKED, "weight": 1e-9})
    distilled.run()
    states = [load_file(distilled.results / f"distilled/{name}/0.safetensors") for name in ("_alone", "resnet")]
    for name, value in states[0].items():
        assert np.abs(value - states[1][name]).max() < 1e-3, name
    assert accuracy(distilled, "resnet", 0) == pytest.approx(accuracy(distilled, "_alone", 0), abs=0.01)


def test_base_architectures_of_the_table_split_the_teachers(distilled: Project):
    distilled.write_table(rows())
    distilled.configure(importance={"permutations": 19})
    planned = distilled.planned()
    assert "distillation" in planned and not {"distil", "train", "similarity"} & set(planned)
    distilled.run("results/tiny/analysis/distillation.csv")
    assert table(distilled)["base_architecture"].tolist() == ["CNN", "CNN"]
    assert table(distilled, "distillation_relation")["by"].unique().tolist() == ["base architecture"]


def test_recommend_says_what_was_measured_and_what_was_published(shared: Project, finished: Project):
    said = shared.sat("recommend", "teacher", "--student", "vit")
    assert said.returncode == 0, said.stderr
    assert "a teacher for vit" in said.stdout and "gain here" in said.stdout
    words = " ".join(said.stdout.split())
    assert "all teachers (2): too few teachers or values for a correlation of gain with SAT" in words
    assert "Chosen because it is the most accurate" in words and "arXiv 2210.11407v1" in words
    assert "this study has no affinity" in words and max(map(len, said.stdout.splitlines())) <= 80
    # Without distillation there is no measurement.
    said = finished.sat("recommend", "teacher", "--student", "resnet")
    assert said.returncode == 0, said.stderr
    assert "Not measured: this study has not distilled resnet" in said.stdout
    assert "highest SAT, same family" in said.stdout and "most accurate" in said.stdout
    said = shared.sat("recommend", "teacher", "--student", "vit", "--config", "distillation={student: vit, seeds: 4}")
    assert "is of other settings; run snakemake first" in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--student MODEL"),
        (["--student", "vitt"], "did you mean vit"),
        (["--student", "vit", "--from", "vit"], "no teacher can be recommended"),
        (["--student", "vit", "--from", "zzz"], "there are byobnet, resnet, vit"),
        (["--student", "vit", "--config", "eps_s=0.5"], "was made by another step"),
        (["--student", "vit", "--config", "study=other"], "results/other: is not in this folder"),
    ],
)
def test_what_cannot_be_recommended(shared: Project, words: list[str], message: str):
    done = shared.sat("recommend", "teacher", *words)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
