"""A study that another group extends: its archive brings all that is finished, and only what is new runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from conftest import ADDED, ROWS, TINY
from projects import Project, unwrapped

pytestmark = pytest.mark.slow

STUDY = "studies/tiny/study.yaml"
CALL = ("--configfile", STUDY)
MATRIX = "results/tiny/similarity/sat.csv"
ADDS = {
    "train": ["weights/mambaout.safetensors"],
    "clean": ["clean/mambaout.h5"],
    "gate": ["clean/mambaout.gate.json"],
    "attack": ["adversarial/mambaout.h5"],
    "evaluate": [
        "tiles/c1-000/c2-000.h5",
        "tiles/c1-001/c2-000.h5",
        "tiles/c2-000/c1-000.h5",
        "tiles/c2-000/c1-001.h5",
        "tiles/c2-000/c2-000.h5",
    ],
    "similarity": ["similarity/pairs.parquet"],
}
"""What a fourth model in a cohort of its own takes, until the matrix."""


def sat(project: Project, *words: str, status: int = 0) -> str:
    done = project.sat(*words)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


def contents(project: Project) -> dict[str, bytes]:
    folders = ("images", "weights", "clean", "adversarial", "tiles")
    files = (path for folder in folders for path in (project.results / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(project.results)): path.read_bytes() for path in files}


def add_row(table: Path) -> None:
    with table.open("a", newline="") as stream:
        csv.DictWriter(stream, ADDED.keys(), lineterminator="\n").writerow(ADDED)


@pytest.fixture
def archive(finished: Project, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.sat.zip"
    sat(finished, "export", "--with", "all", "-o", str(path))
    return path


def test_an_imported_study_runs_what_is_new_alone_and_gives_what_one_place_gives(
    finished: Project, project: Project, archive: Path, tmp_path: Path
) -> None:
    """Two labs: one extends its own study, one extends the archive. A third joins the archive to other models."""
    lab = Project.new(tmp_path / "another lab")
    sat(lab, "import", str(archive))
    assert lab.planned(*CALL) == {}
    assert "all are as the study asks" in sat(lab, "verify", STUDY, "--full")
    assert contents(lab) == contents(finished)

    add_row(lab.folder / "studies/tiny/models.csv")
    planned = lab.planned(*CALL)
    assert {rule: planned[rule] for rule in ADDS} == ADDS
    assert not {"manifest", "images"} & set(planned)
    before = contents(lab)
    lab.run(MATRIX, *CALL)
    assert before.items() <= contents(lab).items(), "an imported file has changed"

    project.write_table([*ROWS, ADDED])
    project.run(MATRIX)
    for name in ("similarity/sat.csv", "similarity/affinity.csv", "similarity/pairs.parquet"):
        assert (lab.results / name).read_bytes() == (project.results / name).read_bytes(), name

    # The third has two models of its own, with another training, and takes over the archive's.
    second = {**ADDED, "model": "convnext", "architecture": "test_convnext", "cohort": "1"}
    training = {**TINY["training"], "epochs": 1}
    own = {**TINY, "study": "mine", "training": training}
    third = Project.new(
        tmp_path / "third", own, [{**ADDED, "cohort": "1", "training.epochs": "3"}, {**second, "training.epochs": ""}]
    )
    third.results = third.folder / "results/mine"
    third.run("results/mine/similarity/sat.csv")
    before = contents(third)
    said = sat(third, "import", str(archive), "--study", "config.yaml")
    assert "3 models of study tiny added: " in unwrapped(said)
    assert sat(third, "plan")
    planned = third.planned("results/mine/similarity/sat.csv")
    assert {rule: [name.removeprefix("results/mine/") for name in names] for rule, names in planned.items()} == {
        "evaluate": [
            "tiles/c1-000/c2-000.h5",
            "tiles/c1-000/c2-001.h5",
            "tiles/c2-000/c1-000.h5",
            "tiles/c2-001/c1-000.h5",
        ],
        "similarity": ["similarity/pairs.parquet"],
    }
    third.run("results/mine/similarity/sat.csv")
    assert before.items() <= contents(third).items()
    ours, theirs = (pd.read_csv(each.results / "similarity/sat.csv", index_col=0) for each in (third, lab))
    assert sorted(ours.index) == sorted([*theirs.index, "convnext"])
    pd.testing.assert_frame_equal(ours.loc[theirs.index, theirs.columns], theirs, check_exact=True)
    stale = sat(third, "verify", "--full", status=1)
    assert not [
        line for line in stale.splitlines() if line.startswith(("stale", "changed")) and "/similarity/" not in line
    ]
