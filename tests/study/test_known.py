"""What is known of nets and images before and after they are made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import ROWS
from sat.store.artefact import write_sidecar
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.study.study import load_study

FACTS = {"n_parameters": 400_000, "gmacs": 0.01, "input_size": 32, "forward_mb": 0.5, "gradient_mb": 2.0}
FOLDER = {"source": "folder", "root": ".", "canvas": 32, "train_fraction": 0.6, "attack_images": "all"}


def record(results: Path, artefact: Artefact, facts: dict[str, object], **changes: object) -> None:
    """Write a sidecar as a stage does."""
    path = results / f"{artefact.path}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    step = artefact.step
    content = {"format": 2, "params": step.params, "recipe": step.recipe, "inputs": {}, "facts": facts, **changes}
    write_sidecar(path, content)


def test_a_net_is_known_once_its_weights_are_made(write_study, tmp_path):
    plan = Plan(load_study([write_study()]))
    forecast = Forecast(plan, tmp_path)
    tile = plan.tile("c1-001", "c1-000")
    assert [plan.members(name) for name in ("c1-000", "c1-001")] == [("byobnet", "resnet"), ("vit",)]
    before = forecast.attack("vit")
    assert forecast.guessed_of(tile) == forecast.guessed_of(plan.adversarial("vit")) == ["vit"]
    record(tmp_path, plan.weights("vit"), FACTS)
    # The same forecast, as in the Snakefile of a run.
    assert forecast.known.size("vit").gmacs == 0.01
    assert forecast.guessed_of(tile) == forecast.guessed_of(plan.adversarial("vit")) == []
    assert forecast.guessed_of(plan.adversarial("resnet")) == ["resnet"]
    assert forecast.attack("vit").mem_mb < before.mem_mb
    assert forecast.disk(plan.weights("vit")) == 4 * 400_000


def test_the_table_goes_before_the_sidecar(write_study, tmp_path):
    rows = [{**row, "n_parameters": "1000000", "gmacs": "0.5"} for row in ROWS]
    plan = Plan(load_study([write_study(rows)]))
    record(tmp_path, plan.weights("vit"), FACTS)
    size = Forecast(plan, tmp_path).known.size("vit")
    assert (size.n_parameters, size.gmacs, size.gradient_mb) == (1_000_000, 0.5, 2.0)


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"recipe": "of another version"}, True),
        ({"params": {"architecture": "test_resnet", "input_size": None}}, False),
        ({"facts": {"n_parameters": -1, "gmacs": "many"}}, False),
        ({"params": None}, False),
    ],
    ids=["another version", "another net", "impossible numbers", "no params"],
)
def test_a_sidecar_counts_if_it_is_of_this_net(write_study, tmp_path, changes, counts):
    plan = Plan(load_study([write_study()]))
    weights = plan.weights("vit")
    record(tmp_path, weights, **{"facts": FACTS, **changes})
    assert Forecast(plan, tmp_path).known.size("vit").known is counts


def test_a_sidecar_that_cannot_be_read_and_one_of_an_earlier_version_do_no_harm(write_study, tmp_path):
    plan = Plan(load_study([write_study()]))
    record(tmp_path, plan.weights("vit"), {"n_parameters": 400_000})
    (tmp_path / "weights/resnet.safetensors.json").write_text("{")
    forecast = Forecast(plan, tmp_path)
    assert forecast.known.size("vit").n_parameters == 400_000
    assert forecast.guessed_of(plan.clean("vit")) == ["vit"]
    assert forecast.guessed_of(plan.clean("resnet")) == ["resnet"]
    assert forecast.clean("vit").mem_mb < forecast.clean("resnet").mem_mb


def test_images_are_counted_as_soon_as_they_are_listed_and_again_when_they_are_made(write_study, tmp_path):
    plan = Plan(load_study([write_study(images=FOLDER)]))
    forecast = Forecast(plan, tmp_path)
    assert forecast.n_images == {"train": 30_000, "eval": 20_000, "attack": 20_000}
    assert not forecast.known.counted
    hours = forecast.train("vit").minutes
    record(tmp_path, plan.manifest, {"n_images": 400})
    assert forecast.n_images == {"train": 240, "eval": 160, "attack": 160}
    assert forecast.known.counted
    assert forecast.train("vit").minutes < hours / 5
    # Images that cannot be read may have been left out.
    record(tmp_path, plan.images("eval"), {"n_images": 150})
    assert forecast.n_images == {"train": 240, "eval": 150, "attack": 150}
    record(tmp_path, plan.images("attack"), {"n_images": 149})
    record(tmp_path, plan.images("train"), {"n_images": 239})
    assert forecast.n_images == {"train": 239, "eval": 150, "attack": 149}


def test_a_folder_of_training_images_has_at_most_all_images(write_study, tmp_path):
    images = {key: value for key, value in FOLDER.items() if key != "train_fraction"} | {"train_folder": "train"}
    plan = Plan(load_study([write_study(images=images)]))
    (tmp_path / "train").mkdir()
    assert Forecast(plan, tmp_path).n_images == {"train": 1_281_167, "eval": 50_000, "attack": 50_000}
    record(tmp_path, plan.manifest, {"n_images": 400})
    assert Forecast(plan, tmp_path).n_images == {"train": 400, "eval": 400, "attack": 400}


def test_numbers_that_are_not_asked_for_are_not_read(write_study, tmp_path, monkeypatch):
    plan = Plan(load_study([write_study()]))
    record(tmp_path, plan.weights("vit"), FACTS)
    read: list[str] = []
    real = json.loads
    monkeypatch.setattr(json, "loads", lambda text, **options: read.append(text) or real(text, **options))
    forecast = Forecast(plan, tmp_path)
    assert not read
    for _ in range(3):
        forecast.known.size("vit")
    assert sum('"gradient_mb"' in text for text in read) == 1
