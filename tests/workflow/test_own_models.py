"""A study on a folder of images, with weights from the hub and checkpoints of one's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

from conftest import TINY
from hub import serve
from projects import ANALYSES, PAGES, SNAKEMAKE, Project, locked_copy

pytestmark = pytest.mark.slow
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB, MISSING = "test_byobnet.r160_in1k", "test_efficientnet.r160_in1k"


def write_images(folder: Path, per_class: int = 12) -> None:
    """Digits as a folder of images, a sub-folder a class."""
    digits = load_digits()
    for label in range(10):
        (folder / f"digit {label}").mkdir(parents=True)
        for number in np.flatnonzero(digits.target == label)[:per_class]:
            levels = np.rint(digits.images[number] * 255 / 16).astype(np.uint8)
            Image.fromarray(levels).save(folder / f"digit {label}" / f"scan{number}.png")


def write_hub_cache(folder: Path, weights: Path) -> None:
    """What the hub's client leaves after a download: a thousand outputs, of which ten know the digits."""
    state = {}
    for name, value in load_file(weights).items():
        if value.shape[:1] == (10,):
            wide = torch.full((1000, *value.shape[1:]), 0.0 if value.ndim > 1 else -50.0)
            wide[:10] = value
            value = wide
        state[name] = value
    repository = folder / f"models--timm--{HUB}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    save_file(state, repository / "snapshots" / COMMIT / "model.safetensors", metadata={"format": "pt"})


def row(model: str, architecture: str, weights: str, **more: str) -> dict[str, str]:
    return {
        "model": model,
        "architecture": architecture,
        "weights": weights,
        "family": "any",
        "input_size": "32",
        **more,
    }


ROWS = [
    row("saved", "test_resnet", "my weights/saved.safetensors"),
    row("plain", "test_vit", "my weights/plain.pth"),
    row("fetched", HUB, "hub"),
]


@pytest.fixture(scope="module")
def own(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(folder: Path) -> None:
        project = Project.new(folder, {**TINY, "images": {}}, ROWS)
        project.configure(
            images={
                "source": "folder",
                "root": "pictures of digits",
                "class_map": "classes.txt",
                "canvas": 32,
                "crop_pct": 1.0,
                "attack_images": 40,
            }
        )
        (folder / "classes.txt").write_text("".join(f"digit {label}\n" for label in range(10)))
        write_images(folder / "pictures of digits")
        weights = finished.results / "weights"
        (folder / "my weights").mkdir()
        shutil.copy(weights / "resnet.safetensors", folder / "my weights/saved.safetensors")
        torch.save(load_file(weights / "vit.safetensors"), folder / "my weights/plain.pth")
        write_hub_cache(folder / "hub", weights / "byobnet.safetensors")
        project.run_offline()

    return Project(locked_copy(shared / "own", make))


@pytest.fixture
def project(own: Project, tmp_path: Path) -> Project:
    return own.copy(tmp_path / "a copy")


def test_results_are_those_of_the_same_models_on_the_same_images(own: Project, finished: Project) -> None:
    # The pictures are among the digits of the other study, so their predictions must be the same, whichever way
    # the weights came.
    with h5py.File(own.results / "images/eval.h5") as file:
        labels, names = file["label"][:], file["name"].asstr()[:]
        assert sorted(np.bincount(labels)) == [12] * 10
        numbers = [int(name.rpartition("scan")[2].removesuffix(".png")) for name in names]
    for mine, theirs in (("saved", "resnet"), ("fetched", "byobnet")):
        with h5py.File(own.results / f"clean/{mine}.h5") as file:
            prediction = dict(zip(numbers, file["eval_prediction"][:].tolist(), strict=True))
        compared = 0
        with (
            h5py.File(finished.results / f"clean/{theirs}.h5") as clean,
            h5py.File(finished.results / "images/eval.h5") as images,
        ):
            for number, found in zip(images["id"][:].tolist(), clean["eval_prediction"][:].tolist(), strict=True):
                if number in prediction:
                    compared += 1
                    assert prediction[number] == found
        assert compared > 20
    assert own.sat("verify", "--full").returncode == 0


def test_sidecars_say_where_weights_came_from(own: Project) -> None:
    facts = json.loads((own.results / "weights/fetched.safetensors.json").read_text())["facts"]
    assert (facts["repository"], facts["revision"], facts["file"]) == (f"timm/{HUB}", COMMIT, "model.safetensors")
    import hashlib

    snapshot = own.folder / f"hub/models--timm--{HUB}/snapshots/{COMMIT}/model.safetensors"
    assert facts["source_sha256"] == hashlib.sha256(snapshot.read_bytes()).hexdigest()
    step = json.loads((own.results / "weights/plain.safetensors.json").read_text())
    digest = hashlib.sha256((own.folder / "my weights/plain.pth").read_bytes()).hexdigest()
    assert step["params"]["sha256"] == step["facts"]["source_sha256"] == digest
    assert str(own.folder) not in json.dumps(step["params"])


def test_models_of_other_classes_are_in_no_ensemble(own: Project) -> None:
    """The hub's model has a thousand outputs, those of the checkpoints ten."""
    assert "fetched: has a different number of classes" in (own.results / "logs/analysis/ensembles.log").read_text()
    done = own.sat("recommend", "ensemble", "--size", "2", "--from", "fetched", "plain", "saved")
    assert "fetched: has a different number of classes" in done.stderr and "Traceback" not in done.stderr


def test_touched_and_moved_files_rerun_nothing(project: Project) -> None:
    assert project.planned() == {}
    for file in ("my weights/plain.pth", "my weights/saved.safetensors", "classes.txt"):
        os.utime(project.folder / file)
    assert project.planned() == {}
    (project.folder / "my weights").rename(project.folder / "elsewhere")
    (project.folder / "pictures of digits").rename(project.folder / "pictures")
    project.configure(images={**project.config["images"], "root": "pictures"})
    project.write_table([{**line, "weights": line["weights"].replace("my weights", "elsewhere")} for line in ROWS])
    # study.json says what the files of the study say, and the page says what study.json says.
    assert project.planned() == {
        "study": ["study.json"],
        "atlas": ["report/atlas.html"],
        "crate": ["provenance/ro-crate-metadata.json"],
    }


def test_another_checkpoint_at_the_same_path_reruns_its_model_alone(project: Project) -> None:
    path = project.folder / "my weights/plain.pth"
    state = torch.load(path, weights_only=True)
    state["head.bias"] += 0.01
    torch.save(state, path)
    assert project.sat("verify").returncode == 1
    planned = project.planned()
    assert planned["checkpoint"] == ["weights/plain.safetensors"]
    assert planned["attack"] == ["adversarial/plain.h5"]
    assert "hub" not in planned
    project.run_offline()
    assert project.sat("verify").returncode == 0


@pytest.mark.parametrize(("stage", "models"), [("hub", ["fetched"]), ("checkpoint", ["plain", "saved"])])
def test_raising_a_version_reruns_the_models_of_that_source(project: Project, stage: str, models: list[str]) -> None:
    project.raise_version(stage)
    planned = project.planned()
    assert planned[stage] == [f"weights/{model}.safetensors" for model in models]
    assert planned["attack"] == [f"adversarial/{model}.h5" for model in models]
    assert not {"manifest", "images"} & planned.keys()


def test_foreign_checkpoint_lists_its_keys(project: Project) -> None:
    path = project.folder / "my weights/plain.pth"
    state = torch.load(path, weights_only=True)
    state["extra.weight"] = state.pop("head.bias")
    torch.save(state, path)
    done = project.snakemake("--quiet")
    log = (project.results / "logs/weights/plain.log").read_text()
    assert done.returncode != 0
    assert "1 missing keys (head.bias); 1 unexpected keys (extra.weight)" in log
    assert "Traceback" not in log


def test_offline_without_the_weights_says_so_within_seconds(project: Project) -> None:
    project.write_table([{**line, "cohort": "1"} for line in ROWS] + [row("other", MISSING, "hub", cohort="2")])
    before = project.state("adversarial/*.h5")
    begun = time.monotonic()
    done = project.run_offline(check=False)
    seconds = time.monotonic() - begun
    log = (project.results / "logs/weights/other.log").read_text()
    assert done.returncode != 0
    assert "model 'other'" in log and f"hf download timm/{MISSING} model.safetensors" in log
    assert "Traceback" not in log
    assert not (project.results / "weights/other.safetensors").exists()
    assert 'downloads=Resource("downloads", 4)' in done.stdout + done.stderr
    assert project.state("adversarial/*.h5") == before
    # Snakemake and the imports of torch and timm included, on a busy machine.
    assert seconds < 90


def test_after_the_fetches_no_job_needs_a_network(own: Project, tmp_path: Path) -> None:
    """First what comes from outside, by local rules; then the rest where there is no network at all."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here: unshare -rn fails")
    project = own.copy(tmp_path / "without a network")
    shutil.rmtree(project.results)
    shutil.rmtree(project.folder / ".snakemake")
    weights = project.folder / f"hub/models--timm--{HUB}/snapshots/{COMMIT}/model.safetensors"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": "1"}
    with serve() as (hub, url):
        hub.files[f"timm/{HUB}/model.safetensors"] = weights.read_bytes()
        fetch = project.snakemake(
            "--until", "hub", "checkpoint", "manifest", "study", environment={**environment, "HF_ENDPOINT": url}
        )
    assert fetch.returncode == 0, fetch.stderr[-4000:]
    assert hub.seen and not (project.results / "clean").exists()
    rest = project.call("unshare", "-rn", str(SNAKEMAKE), "--cores", "2", environment=environment)
    assert rest.returncode == 0, rest.stderr[-4000:]
    assert not {"hub", "manifest"} & set(re.findall(r"^(?:local)?rule (\w+):", rest.stderr, re.MULTILINE))
    # The same bytes as with the other cache.
    assert project.state("adversarial/*.h5").keys() == own.state("adversarial/*.h5").keys()
    for name, (_, digest) in own.state("adversarial/*.h5").items():
        assert project.state(name)[name][1] == digest


def test_without_class_map_a_thousand_outputs_are_refused(project: Project) -> None:
    project.configure(images={**project.config["images"], "class_map": None})
    done = project.run_offline(check=False)
    log = (project.results / "logs/clean/fetched.log").read_text()
    assert done.returncode != 0
    assert "has 1000 classes, and the images have 10" in log and "class_map" in log


def test_changed_folder_is_refused_until_it_is_listed_again(project: Project) -> None:
    shutil.rmtree(project.results / "images")
    project.run_offline("manifest", "--force")
    (project.folder / "pictures of digits/digit 3/more.png").write_bytes(
        next((project.folder / "pictures of digits/digit 4").iterdir()).read_bytes()
    )
    done = project.run_offline(check=False)
    assert done.returncode != 0
    assert "--forcerun manifest" in (project.results / "logs/images/eval.log").read_text()


def test_unreadable_image_stops_or_is_left_out_and_listed(project: Project) -> None:
    broken = project.folder / "pictures of digits/digit 7"
    victim = sorted(broken.iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:60])
    shutil.rmtree(project.results / "images")
    done = project.run_offline("results/tiny/images/eval.h5", check=False)
    assert done.returncode != 0
    assert f"image 'digit 7/{victim.name}'" in (project.results / "logs/images/eval.log").read_text()
    project.configure(images={**project.config["images"], "on_bad_image": "skip"})
    project.run_offline("results/tiny/images/eval.h5", "results/tiny/images/attack.h5")
    facts = json.loads((project.results / "images/eval.h5.json").read_text())["facts"]
    assert [entry["name"] for entry in facts["skipped"]] == [f"digit 7/{victim.name}"]
    assert facts["n_images"] == 119
    with (
        h5py.File(project.results / "images/attack.h5") as attack,
        h5py.File(project.results / "images/eval.h5") as file,
    ):
        assert len(attack["image"]) == 40
        assert attack["id"][:].tolist() == file["id"][:40].tolist()


def test_list_of_attack_images(project: Project) -> None:
    with h5py.File(project.results / "images/eval.h5") as file:
        names = file["name"].asstr()[:20][::-1]
    (project.folder / "mine.txt").write_text("# ours\n" + "".join(f"{Path(name).name}\n" for name in names))
    project.configure(images={**project.config["images"], "attack_images": "mine.txt"})
    project.run_offline("results/tiny/images/attack.h5")
    with h5py.File(project.results / "images/attack.h5") as file:
        assert file["name"].asstr()[:].tolist() == names.tolist()
    assert project.planned().keys() == {
        "clean",
        "gate",
        "attack",
        "evaluate",
        "similarity",
        *ANALYSES,
        *PAGES,
    } | ({"study"} & project.planned().keys())
