"""A study that another group extends: its archive brings all that is finished, and only what is new runs."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from conftest import ADDED, ROWS, TINY
from projects import ADDED_JOBS, Project, unwrapped
from sat.store.artefact import SEAL, write_sidecar
from sat.store.bag import Bag, Entry, write_bag
from sat.store.history import read_history

pytestmark = pytest.mark.slow

STUDY = "studies/tiny/study.yaml"
CALL = ("--configfile", STUDY)
MATRIX = "results/tiny/similarity/sat.csv"


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


@pytest.fixture(scope="module")
def archive(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study with all parts; not to be changed."""
    path = tmp_path_factory.mktemp("archive") / "tiny.sat.zip"
    sat(finished, "export", "--with", "all", "-o", str(path))
    return path


def test_an_imported_study_runs_what_is_new_alone_and_another_lab_finds_the_same(
    finished: Project, archive: Path, tmp_path: Path
) -> None:
    """Two labs: one adds a model to the archive; one, which has trained this model itself, joins the archive to it."""
    lab = Project.new(tmp_path / "another lab")
    sat(lab, "import", str(archive))
    assert lab.planned(*CALL) == {}
    assert "all are as the study asks" in sat(lab, "verify", STUDY, "--full")
    assert contents(lab) == contents(finished)

    add_row(lab.folder / "studies/tiny/models.csv")
    planned = lab.planned(*CALL)
    assert {rule: planned[rule] for rule in ADDED_JOBS} == ADDED_JOBS
    assert not {"manifest", "images"} & set(planned)
    before = contents(lab)
    lab.run(MATRIX, *CALL)
    assert before.items() <= contents(lab).items(), "an imported file has changed"

    # The other has two models of its own, with another training, and takes over the archive's.
    second = {**ADDED, "model": "convnext", "architecture": "test_convnext", "cohort": "1"}
    training = {**TINY["training"], "epochs": 1}
    own = {**TINY, "study": "mine", "training": training}
    other = Project.new(
        tmp_path / "other", own, [{**ADDED, "cohort": "1", "training.epochs": "3"}, {**second, "training.epochs": ""}]
    )
    other.results = other.folder / "results/mine"
    other.run("results/mine/similarity/sat.csv")
    before = contents(other)
    said = sat(other, "import", str(archive), "--study", "config.yaml")
    assert "3 models of study tiny added: " in unwrapped(said)
    # Those who trained and attacked them stay known.
    runs = read_history(other.results)
    (made,) = read_history(finished.results)
    assert [run.start.get("joined", {}).get("study") for run in runs] == ["tiny", None] and runs[0].end == made.end
    assert f"of study  tiny, joined from {archive.name}" in sat(other, "history")
    assert sat(other, "plan")
    planned = other.planned("results/mine/similarity/sat.csv")
    assert {rule: [name.removeprefix("results/mine/") for name in names] for rule, names in planned.items()} == {
        "evaluate": [
            "tiles/c1-000/c2-000.h5",
            "tiles/c1-000/c2-001.h5",
            "tiles/c2-000/c1-000.h5",
            "tiles/c2-001/c1-000.h5",
        ],
        "similarity": ["similarity/pairs.parquet"],
    }
    other.run("results/mine/similarity/sat.csv")
    assert before.items() <= contents(other).items()
    ours, theirs = (pd.read_csv(each.results / "similarity/sat.csv", index_col=0) for each in (other, lab))
    assert sorted(ours.index) == sorted([*theirs.index, "convnext"])
    pd.testing.assert_frame_equal(ours.loc[theirs.index, theirs.columns], theirs, check_exact=True)
    pairs, expected = (
        pd.read_parquet(each.results / "similarity/pairs.parquet").set_index(["source", "target"])
        for each in (other, lab)
    )
    pd.testing.assert_frame_equal(pairs.loc[expected.index], expected, check_exact=True)
    findings = sat(other, "verify", "--full", status=1).splitlines()
    assert not [line for line in findings if line.startswith(("stale", "changed", "downstream"))]


@pytest.fixture
def lab(tmp_path: Path) -> Project:
    """A folder of another group, with the clone's files and no study."""
    return Project.new(tmp_path / "lab")


def files_of(project: Project) -> set[Path]:
    return {path for path in project.folder.rglob("*") if "__pycache__" not in path.parts}


def test_what_did_not_travel_is_made_again_if_it_is_the_same(finished: Project, lab: Project, tmp_path: Path) -> None:
    path = tmp_path / "small.sat.zip"
    said = unwrapped(sat(finished, "export", "-o", str(path)))
    assert "Left out: images" in said and "--with images,weights,predictions,attacks" in said
    assert "report/examples.parquet show some images of the data set (digits)" in said
    said = unwrapped(sat(lab, "import", str(path)))
    assert "Not in the archive: images, weights, predictions, attacks." in said
    assert "weights of byobnet, resnet, vit: trained on the study's images" in said
    # The results are there to be read, and nobody takes what is absent for a fault.
    assert lab.planned(*CALL) == {}
    said = sat(lab, "verify", STUDY, "--full")
    assert "did not come with the archive" in said and "all are as the study asks" in said
    with zipfile.ZipFile(path) as opened:
        assert not [name for name in opened.namelist() if name.endswith((".h5", ".safetensors"))]

    assert "files restored; none is missing" in sat(lab, "restore", STUDY, "--with", "all")
    assert contents(lab) == contents(finished)
    assert lab.planned(*CALL) == {}
    assert "did not come" not in sat(lab, "verify", STUDY, "--full")


def test_other_images_are_not_taken_for_those_of_the_study(finished: Project, lab: Project, tmp_path: Path) -> None:
    path = tmp_path / "small.sat.zip"
    sat(finished, "export", "--with", "weights", "-o", str(path))
    sat(lab, "import", str(path))
    other_content(lab.results / "images/attack.h5.json")
    said = unwrapped(sat(lab, "restore", STUDY, status=1))
    assert "images/attack.h5: is another one here (digest" in said and "Bring the same one" in said
    assert not (lab.results / "images/attack.h5").exists() and (lab.results / "images/eval.h5").exists()


def other_content(sidecar: Path) -> None:
    """Let a sidecar stand for other arrays."""
    record = json.loads(sidecar.read_text())
    del record[SEAL]
    write_sidecar(sidecar, {**record, "content_sha256": "0" * 64})


def packed_again(archive: Path, path: Path, changes: dict[str, bytes]) -> Path:
    """What somebody who knows the sums can make of an archive."""
    names = Bag(archive).digests
    with zipfile.ZipFile(archive) as opened:
        top = opened.namelist()[0].split("/")[0]
        entries = {name: Entry(opened.read(f"{top}/data/{name}")) for name in names}
        tags = {name: opened.read(f"{top}/{name}").decode() for name in ("README.txt", "sat-export.json")}
    write_bag(path, entries | {name: Entry(content) for name, content in changes.items()}, tags, {})
    return path


def test_archives_that_are_no_study_are_refused_and_nothing_is_written(
    finished: Project, archive: Path, lab: Project, tmp_path: Path
) -> None:
    before = files_of(lab)

    def refused(path: Path) -> str:
        said = unwrapped(sat(lab, "import", str(path), status=1))
        assert files_of(lab) == before, said
        return said

    bad = tmp_path / "bad.zip"
    assert "cannot be read" in refused(bad)
    bad.write_bytes(archive.read_bytes()[:-1000])
    assert "truncated or damaged" in refused(bad)
    with zipfile.ZipFile(bad, "w") as opened:
        opened.writestr("a/b.txt", "x")
    assert "is not an archive of 'sat export'" in refused(bad)
    # Snakemake would take such a profile, and Python such a module.
    for name in ("profiles/default/config.yaml", "results/tiny/more.csv", "studies/tiny/x.py"):
        assert f"holds {name}, which is not a file of" in refused(packed_again(archive, bad, {name: b"x"}))
    config = (finished.folder / "config.yaml").read_text()
    renamed = config.replace("study: tiny", "study: other")
    assert "says that it holds study tiny" in refused(packed_again(archive, bad, {STUDY: renamed.encode()}))
    code = f"__use_yte__: true\n{config}"
    assert "Nothing has run" in refused(packed_again(archive, bad, {STUDY: code.encode()}))
    settings = config.replace("steps: 3", "steps: 4")
    said = refused(packed_again(archive, bad, {STUDY: settings.encode()}))
    assert "are of other settings than its study file asks for" in said
    assert "is not what its sidecar says" in refused(packed_again(archive, bad, {MATRIX: b",a\na,1\n"}))
    lab.raise_version("attack")
    said = refused(archive)
    assert re.search(r"other versions of stages: attack (\d+) \(here (?!\1)\d+\)", said), said


def test_mistakes_are_told_and_nothing_is_written(
    finished: Project, archive: Path, lab: Project, tmp_path: Path
) -> None:
    assert "exists already, so nothing was packed" in sat(finished, "export", "-o", str(archive), status=1)
    assert "did you mean weights?" in sat(finished, "export", "--with", "weight", status=1)
    unfinished = Project.new(tmp_path / "unfinished", TINY, ROWS)
    (unfinished.results / "logs").mkdir(parents=True)
    assert "Run the study to its end first" in unwrapped(sat(unfinished, "export", status=1))
    (lab.folder / "results/tiny").mkdir(parents=True)
    said = unwrapped(sat(lab, "import", str(archive), status=1))
    assert "results/tiny: is there already" in said and "--into FOLDER" in said
    assert list((lab.folder / "results").rglob("*")) == [lab.folder / "results/tiny"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attack": {**TINY["attack"], "steps": 4}}, "attack: steps 4 here, 3 in the archive"),
        ({"images": {**TINY["images"], "canvas": 48}}, "images: canvas 48 here, 32 in the archive"),
        ({"tile_size": 3}, "tile_size 3 here, 2 in the archive"),
        ({"seed": 5}, "images: seed 5 here, 0 in the archive"),
        ({}, "the images of images/attack.h5 (content"),
    ],
    ids=lambda value: next(iter(value), "other images") if isinstance(value, dict) else "",
)
def test_a_study_of_other_images_or_of_another_attack_takes_over_nothing(
    archive: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    second = {**ADDED, "model": "convnext", "architecture": "test_convnext"}
    mine = Project.new(tmp_path / "mine", {**TINY, "study": "mine", **changes}, [ADDED, second])
    folder, unpacked = mine.folder / "results/mine/images", tmp_path / "archive"
    unpacked.mkdir()
    Bag(archive).unpack(unpacked, lambda name: True)
    shutil.copytree(unpacked / "results/tiny/images", folder)
    # Images of the same step and of other bytes, as another folder of images gives them.
    other_content(folder / "attack.h5.json")
    table, files = (mine.folder / "models.csv").read_bytes(), set(mine.folder.rglob("*"))
    said = unwrapped(sat(mine, "import", str(archive), "--study", "config.yaml", status=1))
    assert "nothing was imported. What differs: " in said and words in said, said
    assert (mine.folder / "models.csv").read_bytes() == table
    new = {path for path in set(mine.folder.rglob("*")) - files if "__pycache__" not in path.parts}
    assert {path.name for path in new} <= {".run.lock", ".jobs.lock"}


def test_names_that_both_have_and_parts_that_are_needed_are_told(
    finished: Project, project: Project, archive: Path, tmp_path: Path
) -> None:
    said = unwrapped(sat(project, "import", str(archive), "--study", "config.yaml", status=1))
    assert "3 of the archive's models have names that study tiny has too: byobnet, resnet, vit" in said
    small = tmp_path / "small.zip"
    sat(finished, "export", "--with", "images", "-o", str(small))
    said = unwrapped(sat(project, "import", str(small), "--study", "config.yaml", status=1))
    assert "the archive has no attacks and no predictions and no weights" in said
