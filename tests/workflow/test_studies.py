"""The study files that come with the project: each can be planned here, and two are run on small images."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from projects import ROOT, Project

pytestmark = pytest.mark.slow
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SECOND = {"imagenet69_step_absolute", "imagenet69_step_normalised", "imagenet69_step_relative"}
"""Files for a second argument."""
STUDIES = sorted(
    path.stem
    for path in (ROOT / "studies").glob("*.yaml")
    if path.stem not in SECOND and not path.stem.startswith("published")
)


@pytest.mark.parametrize("name", STUDIES)
def test_dry_run(name: str, tmp_path: Path) -> None:
    project = Project.new(tmp_path / "a project")
    log = project.run("--dry-run", "--quiet", "rules", "--configfile", f"studies/{name}.yaml")
    config = yaml.safe_load((ROOT / f"studies/{name}.yaml").read_text())
    assert config["study"] == name
    tables = [config["models"]] if isinstance(config["models"], str) else config["models"]
    models = sum(len(pd.read_csv(ROOT / "studies" / table)) for table in tables)
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", log, re.MULTILINE))
    assert jobs["clean"] == str(models)
    # Variants attack each model again, but for those that take other images alone.
    rounds, rest = divmod(int(jobs["attack"]), models)
    assert rest == 0 and 1 <= rounds <= 1 + len(config.get("variants", {}))
    if config.get("training", {}).get("fine_tune"):
        assert jobs["train"] == jobs["hub"] == str(models)
    if asked := config.get("distillation"):
        teachers = models - 1 if asked["teachers"] == "all" else len(asked["teachers"])
        assert jobs["distil"] == str((teachers + 1) * asked["seeds"]) and jobs["distillation"] == "1"


def flowers(folder: Path, classes: int = 3, per_class: int = 40) -> None:
    """Pictures of flowers: petals around a middle, as many as the class says, in colours that say nothing."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    for petals in range(classes):
        (folder / f"{petals:03d}").mkdir(parents=True)
        for number in range(per_class):
            radius = np.hypot(x, y) * random.uniform(0.9, 1.3)
            angle = np.arctan2(y, x) + random.uniform(0, 0.3)
            flower = radius < 0.5 + 0.3 * np.cos((petals + 3) * angle)
            if petals == 0:
                flower = radius < 0.25
            picture = np.where(flower[..., None], random.uniform(150, 255, 3), random.uniform(0, 80, 3))
            picture = np.clip(picture + random.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{petals:03d}" / f"image_{number:05d}.png")


HUB = ("test_byobnet.r160_in1k", "test_efficientnet.r160_in1k")


def hub_cache(folder: Path) -> None:
    """What the hub's client leaves: two models of a thousand classes."""
    import timm

    for name in HUB:
        torch.manual_seed(1)
        repository = folder / f"models--timm--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs/main").write_text(COMMIT)
        (repository / "snapshots" / COMMIT).mkdir(parents=True)
        save_file(
            timm.create_model(name).state_dict(),
            repository / "snapshots" / COMMIT / "model.safetensors",
            metadata={"format": "pt"},
        )


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """studies/flowers102.yaml on three classes, with other models, on a CPU."""
    project = Project.new(tmp_path_factory.mktemp("flowers") / "a project")
    flowers(project.folder / "data/flowers102")
    hub_cache(project.folder / "hub")
    # A checkpoint of the user's, of as many classes as there are here: its classifier is replaced all the same.
    import timm

    torch.manual_seed(2)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), project.folder / "studies/mine.pth")
    (project.folder / "studies/few.csv").write_text(
        "model,architecture,weights,family,input_size,published_top1,training.fine_tune,training.epochs\n"
        f"byobnet,{HUB[0]},hub,conv,32,80.0,,\n"
        f"efficientnet,{HUB[1]},hub,conv,32,80.0,,\n"
        "mine,test_resnet,mine.pth,conv,32,,,2\n"
        "untuned,test_resnet,mine.pth,conv,32,,false,\n"
    )
    study = yaml.safe_load((project.folder / "studies/flowers102.yaml").read_text())
    # Only what a small machine and small images need to be different.
    study["models"] = "few.csv"
    study["reference"] = "../other.csv"
    study["images"] |= {"canvas": 32, "attack_images": 40, "train_fraction": 0.6}
    study["training"] |= {"epochs": 12, "warmup_epochs": 1, "batch_size": 16, "learning_rate": 0.005}
    study["min_accuracy"] = 0.0
    study["attack"]["steps"] = 5
    study["clusters"]["k"] = 2
    study["compute"] = {"batch_size": 32}
    (project.folder / "studies/flowers102.yaml").write_text(yaml.safe_dump(study))
    (project.folder / "other.csv").write_text(
        ",byobnet,efficientnet,mine\nbyobnet,4.6,2,3\nefficientnet,2,4.6,1\nmine,3,1,4.6\n"
    )
    project.results = project.folder / "results/flowers102"
    project.run_offline("--configfile", "studies/flowers102.yaml")
    return project


STUDY = ("--configfile", "studies/flowers102.yaml")


def test_fine_tuned_models_learn_what_they_did_not_know(garden: Project) -> None:
    accuracy = {
        name: json.loads((garden.results / f"clean/{name}.gate.json").read_text())["facts"]["accuracy"]
        for name in ("byobnet", "efficientnet", "mine", "untuned")
    }
    assert min(accuracy["byobnet"], accuracy["efficientnet"]) > 0.6 > accuracy["untuned"], accuracy
    with h5py.File(garden.results / "images/train.h5") as train, h5py.File(garden.results / "images/eval.h5") as rest:
        assert len(train["id"]) == 72 and not set(train["id"][:]) & set(rest["id"][:])


def test_training_started_from_the_models_own_weights_with_a_new_classifier(garden: Project) -> None:
    begun = load_file(garden.results / "pretrained/byobnet.safetensors")
    source = load_file(next((garden.folder / f"hub/models--timm--{HUB[0]}").rglob("model.safetensors")))
    assert begun.keys() == source.keys() and all(torch.equal(begun[name], source[name]) for name in source)
    tuned = load_file(garden.results / "weights/byobnet.safetensors")
    assert [len(weights[next(name for name in weights if name.endswith("fc.bias"))]) for weights in (begun, tuned)] == [
        1000,
        3,
    ]
    facts = json.loads((garden.results / "weights/byobnet.safetensors.json").read_text())
    assert facts["inputs"]["pretrained"]["path"] == "results/flowers102/pretrained/byobnet.safetensors"
    assert (facts["stage"], facts["params"]["optimiser"], facts["params"]["precision"]) == (
        "train",
        "adamw",
        "bfloat16",
    )
    assert len(facts["facts"]["history"]) == 12
    # Its row says that this one is used as it is.
    assert not (garden.results / "pretrained/untuned.safetensors").exists()
    untuned = load_file(garden.results / "weights/untuned.safetensors")
    mine = torch.load(garden.folder / "studies/mine.pth", weights_only=True)
    assert all(torch.equal(untuned[name], mine[name]) for name in mine)


def test_everything_else_follows(garden: Project) -> None:
    done = garden.sat("verify", "--full", "--study", "studies/flowers102.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    matrix = pd.read_csv(garden.results / "similarity/sat.csv", index_col=0)
    assert list(matrix) == ["byobnet", "efficientnet", "mine", "untuned"] and matrix.notna().all(axis=None)
    models = pd.read_csv(garden.results / "similarity/models.csv")
    assert "published" not in " ".join(models.get("note", pd.Series(dtype=str)).fillna("")), "of other images"
    agreement = pd.read_csv(garden.results / "analysis/reference.csv")
    assert len(agreement) and (garden.results / "figures/reference.svg").exists()
    done = garden.run_offline("--dry-run", *STUDY)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_another_setting_trains_again_and_fetches_nothing(garden: Project) -> None:
    done = garden.run_offline("--dry-run", *STUDY, "--config", "training={epochs: 3}")
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    # The row of `mine` has its own number of epochs.
    assert jobs["train"] == "2" and not {"hub", "checkpoint", "images"} & jobs.keys()


def test_the_lines_that_lay_flowers_out(tmp_path: Path) -> None:
    """The documented lines, on files as torchvision's download leaves them."""
    from scipy.io import savemat

    base = tmp_path / "data/flowers-102"
    (base / "jpg").mkdir(parents=True)
    for number in range(1, 6):
        Image.new("RGB", (8, 8)).save(base / f"jpg/image_{number:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": np.array([[1, 2, 2, 77, 1]])})
    savemat(base / "setid.mat", {"trnid": [[1, 2]], "valid": [[3]], "tstid": [[4, 5]]})
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/flowers102.md").read_text(), re.DOTALL)[1]
    # The download alone is left out: that these are the published files, by their digests.
    skipped = "from torchvision.datasets import Flowers102 as F; F._check_integrity = lambda self: True\n"
    done = Project(tmp_path).call(sys.executable, "-c", skipped + code)
    assert done.returncode == 0, done.stderr
    found = sorted(
        str(path.relative_to(tmp_path / "data/flowers102")) for path in (tmp_path / "data/flowers102").rglob("*.jpg")
    )
    assert found == [
        f"{label}/image_{number:05d}.jpg"
        for label, number in (("001", 1), ("001", 5), ("002", 2), ("002", 3), ("077", 4))
    ]
