"""The files that a study names find a place in an archive, and a study reads them there as it did before."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from conftest import ROWS, TINY
from sat.errors import SatError
from sat.sharing.contents import own_files, read_rows
from sat.sharing.packing import study_text
from sat.store.files import file_digest
from sat.store.user_files import REGISTRY, elsewhere, register
from sat.study.plan import Plan
from sat.study.study import load_study, merged_config

NETS = "from helper import width\n\n\ndef small(num_classes):\n    return width, num_classes\n"


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """A study whose files lie in its folder, below it, beside it and elsewhere."""
    home, beside = tmp_path / "lab/study", tmp_path / "lab/shared"
    for folder in (home / "tables", home / "nets", beside):
        folder.mkdir(parents=True)
    own = {**ROWS[0], "model": "own", "architecture": "my_nets:small", "input_size": "32"}
    trained = {**ROWS[0], "model": "kept", "weights": "runs/kept.pth"}
    for path, rows in ((home / "tables/a.csv", ROWS), (beside / "b.csv", [own, trained])):
        with path.open("w", newline="") as stream:
            table = csv.DictWriter(stream, own, restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
    (home / "nets/my_nets.py").write_text(NETS)
    (home / "nets/helper.py").write_text("width = 8\n")
    (home / "nets/other.py").write_text("nobody imports it\n")
    (beside / "chosen.txt").write_text("1\n2\n")
    (beside / "runs").mkdir()
    (beside / "runs/kept.pth").write_bytes(b"weights")
    config = {**TINY, "models": ["tables/a.csv", "../shared/b.csv"], "code": "nets/my_nets.py"}
    config["images"] = {**TINY["images"], "attack_images": str(beside / "chosen.txt")}
    (home / "study.yaml").write_text("# why\n" + yaml.safe_dump(config))
    return home / "study.yaml"


def test_an_archived_study_is_the_same_study_elsewhere(scattered: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    study, config = load_study([scattered]), merged_config([scattered])
    before = Plan(study, register(study.files, tmp_path / "registry", write=False))
    own = own_files(study, config, scattered.parent)
    assert sorted(own.entries) == ["b.csv", "chosen.txt", "nets/helper.py", "nets/my_nets.py", "tables/a.csv"]

    place, results = tmp_path / "import/studies/tiny", tmp_path / "import/results/tiny"
    for name, entry in own.entries.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        content = entry.content
        (place / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    (place / "study.yaml").write_bytes(study_text([scattered], config, own))
    monkeypatch.chdir(tmp_path / "import")
    with pytest.raises(SatError, match=r"there is no file .*kept.pth"):
        load_study([place / "study.yaml"])
    # The checkpoint does not travel: its digest stands for it.
    results.mkdir(parents=True)
    (results / REGISTRY).write_bytes(elsewhere({"kept": before.digests["kept"]}))
    moved = load_study([place / "study.yaml"])
    after = Plan(moved, register(moved.files, results, write=False))
    assert after.digests["kept"] == file_digest(tmp_path / "lab/shared/runs/kept.pth")
    # study.json names the files, two of which have other names now. Page and crate show it; all else is the same.
    recipes, others = ({path: made.step.recipe for path, made in plan.artefacts().items()} for plan in (before, after))
    changed = {path for path in recipes if recipes[path] != others[path]}
    pages = {"report/atlas.html", "report/landing.rst", "provenance/ro-crate-metadata.json", "provenance/Snakefile"}
    assert changed == {"study.json", *pages}
    assert set(read_rows(place / "study.yaml", moved.config.models)) == set(study.model)


def test_a_study_in_one_file_is_archived_to_the_letter(write_study, tmp_path: Path) -> None:
    path = write_study()
    path.write_text("# a comment that says why\n" + path.read_text())
    study, config = load_study([path]), merged_config([path])
    own = own_files(study, config, tmp_path)
    assert study_text([path], config, own) == path.read_bytes() and list(own.entries) == ["models.csv"]
    # Settings of the command become part of the file.
    config = merged_config([path], {"seed": 7})
    assert yaml.safe_load(study_text([path], config, own_files(study, config, tmp_path)))["seed"] == 7


def test_two_files_of_one_name_are_told(write_study, tmp_path: Path) -> None:
    path = write_study()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/models.csv").write_text("model,architecture,weights,family\nnew,test_resnet,train,x\n")
    config = {**yaml.safe_load(path.read_text()), "models": ["models.csv", str(tmp_path / "other/models.csv")]}
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(SatError, match=r"would be called models.csv in the archive; rename one"):
        own_files(load_study([path]), config, tmp_path)
