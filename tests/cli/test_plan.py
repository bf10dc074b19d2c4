"""sat plan and sat check: what they say of models and images of which nothing is known yet."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from analysed import vouch
from conftest import ROWS, TINY
from projects import Project, unwrapped
from sat.store.user_files import register
from sat.study.plan import Plan
from sat.study.study import load_study

SIZED = {"n_parameters": "400000", "gmacs": "0.01"}


def stage(text: str, name: str) -> list[str]:
    """Cells of a stage's line after its five numbers: memory, the expected time if it is known, limits, disk."""
    line = re.search(rf"^{name} .*$", text, re.MULTILINE)
    assert line, text
    return re.split(r"\s{2,}", line[0].strip())[5:]


def test_rows_without_numbers_are_named_and_left_out_of_the_sums(write_study, sat, tmp_path):
    rows = [{**row, **(SIZED if row["model"] != "vit" else {"n_parameters": "", "gmacs": ""})} for row in ROWS]
    write_study(rows)
    said = sat(tmp_path, "plan", "study.yaml").stdout
    unknown = " 5 job(s) cannot be estimated yet (?): the table has no n_parameters and gmacs for vit, "
    assert unknown in unwrapped(said), said
    assert "sat describe ARCHITECTURE" in unwrapped(said) and "ResNet-50" in said
    memory, *_, limits, _ = stage(said, "attack")
    assert re.fullmatch(r"\d\.\d \+ \?", memory) and limits == "0.3 + ?", "two jobs of ten minutes, and one unknown"
    assert stage(said, "images") == ["1.5", "0.5", "< 0.1"]
    # Three more columns, and everything is known.
    write_study([{**row, **SIZED} for row in ROWS])
    said = sat(tmp_path, "plan", "study.yaml").stdout
    assert "cannot be estimated" not in said and "?" not in said
    assert stage(said, "attack")[-2] == "0.5"


def test_check_says_the_same_and_makes_up_no_sum(write_study, sat, tmp_path):
    write_study(ROWS)
    said = sat(tmp_path, "check", "study.yaml").stdout
    assert re.search(r"13 job\(s\) cannot be estimated yet .* for byobnet, resnet, vit, ", said), said
    hours = float(re.search(r"time limits of ([\d.]+) h", said)[1])
    write_study([{**row, **SIZED} for row in ROWS])
    full = sat(tmp_path, "check", "study.yaml").stdout
    assert "cannot be estimated" not in full
    assert hours < float(re.search(r"time limits of ([\d.]+) h", full)[1]), "jobs that are guessed do not count"


def test_a_finished_study_of_undescribed_nets_has_nothing_left_to_estimate(finished: Project):
    said = finished.sat("plan", "config.yaml").stdout
    assert "cannot be estimated" not in said and "?" not in said
    assert "Images: 1,078 to train on, 719 evaluated, 48 attacked." in said


def test_plan_counts_images_once_the_manifest_is_made(tmp_path):
    project = Project.new(
        tmp_path / "project",
        {**TINY, "images": {**TINY["images"], "source": "folder", "root": "photos", "attack_images": "all"}},
        [{**row, **SIZED} for row in ROWS],
    )
    for number in range(40):
        path = project.folder / f"photos/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), number, np.uint8)).save(path)
    before = project.sat("plan", "config.yaml").stdout
    assert (
        "Images: 30,000 to train on, 20,000 evaluated, 20,000 attacked, before they are counted: a guess."
        in unwrapped(before)
    )
    study = load_study([project.folder / "config.yaml"])
    step = Plan(study, register(study.files, project.results, write=False)).manifest.json
    out = "results/tiny/images/manifest.csv"
    done = project.sat("manifest", "--root", "photos", "--out", out, given=step)
    assert done.returncode == 0, done.stderr
    with (project.folder / out).open() as stream:
        assert len(list(csv.DictReader(stream))) == 40
    after = project.sat("plan", "config.yaml").stdout
    assert "Images: 24 to train on, 16 evaluated, 16 attacked." in after, after
    assert float(stage(before, "train")[1]) > float(stage(after, "train")[1])
    # Listing them from the folder says the same, without a manifest.
    Path(project.folder / f"{out}.json").unlink()
    assert "24 to train on, 16 evaluated, 16 of them attacked" in project.sat("check", "config.yaml").stdout


def test_a_reason_names_the_setting_that_changed_however_deep_it_lies(write_study, sat, tmp_path):
    before = Plan(load_study([write_study()]))
    made, results = before.artefacts()["study.json"], tmp_path / "results/tiny"
    results.mkdir(parents=True)
    (results / "study.json").write_text("{}")
    vouch(results / "study.json", made.step)
    assert "Why jobs" not in sat(tmp_path, "plan", "study.yaml").stdout
    rows = [{**row, "family": "other" if row["model"] == "vit" else row["family"]} for row in ROWS]
    write_study(rows, attack={**TINY["attack"], "steps": 4})
    said = unwrapped(sat(tmp_path, "plan", "study.yaml").stdout)
    assert "stale: config.attack.steps 3, now 4; models[vit].family vit, now other" in said
    write_study([*ROWS, {**ROWS[0], "model": "more"}])
    assert "stale: models had 3 entries, now 4" in unwrapped(sat(tmp_path, "plan", "study.yaml").stdout)
    # Another stage makes the same file: its version says nothing.
    vouch(results / "study.json", replace(made.step, stage="earlier", version=5))
    assert "stale: made by stage earlier, now by study" in unwrapped(sat(tmp_path, "plan", "study.yaml").stdout)
