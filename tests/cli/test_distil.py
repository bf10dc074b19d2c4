"""The command distil refuses a teacher of other classes; images of a folder for training are trained on alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysed import call
from sat.models.classifier import build as build_classifier
from sat.models.classifier import plan_blueprint, save_classifier
from sat.store import hdf5
from sat.store.artefact import Job
from sat.store.step import Step
from sat.study.training import Training

SOURCE = Step("images", 1)


def write_images(path: Path, n: int = 32) -> None:
    with hdf5.writing(path) as file:
        stack = hdf5.image_dataset(file, "image", (n, 3, 32, 32), np.uint8)
        stack[:] = np.random.default_rng(0).integers(0, 256, (n, 3, 32, 32))
        file["label"], file["id"] = np.arange(n) % 4, np.arange(n)
    Job(SOURCE).finish(path, n_classes=4)


def test_a_teacher_of_other_classes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("train", "eval"):
        write_images(tmp_path / f"{name}.h5")
    teacher = tmp_path / "teacher.safetensors"
    save_classifier(build_classifier(plan_blueprint("test_vit", 7, 32)), teacher)
    Job(SOURCE).finish(teacher)
    params = {"student": "s", "architecture": "test_vit", "input_size": None, "seed": 0, "replicate": 0}
    params |= Training(epochs=1, batch_size=16).model_dump(exclude={"fine_tune"})
    params |= {"teacher": "big", "kind": "hard", "weight": 0.5}
    step = Step("distil", 1, params, dict.fromkeys(("train_images", "eval_images", "teacher"), SOURCE.recipe))
    words = ["--train-images", str(tmp_path / "train.h5"), "--eval-images", str(tmp_path / "eval.h5")]
    words += ["--teacher", str(teacher), "--out", str(tmp_path / "0.safetensors")]
    assert call("distil", step.json, words=words) == 1
    said = capsys.readouterr().err
    assert "teacher 'big': has 7 classes, and the student 4" in said and "distillation.teachers" in said
    assert not (tmp_path / "0.safetensors").exists()


def folder_of_images(root: Path) -> None:
    names = [f"{part}/{label}/{k}.png" for part in ("train", "val") for label in "ab" for k in "12"]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(root / name)


@pytest.mark.parametrize("folder", ["train", "train/", "elsewhere"])
def test_a_folder_of_training_images(tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str):
    root = tmp_path / "data"
    folder_of_images(root)
    manifest = Step("manifest", 1, {"source": "folder"})
    out = tmp_path / "manifest.csv"
    assert call("manifest", manifest.json, words=["--root", root, "--out", out]) == 0
    names = {}
    for split in ("train", "eval"):
        params = {"source": "folder", "canvas": 32, "crop_pct": 1.0, "train_fraction": 0.0, "on_bad_image": "stop"}
        step = Step(
            "images", 1, {**params, "split": split, "seed": 0, "train_folder": folder}, {"manifest": manifest.recipe}
        )
        path = tmp_path / f"{split}.h5"
        status = call("images", step.json, words=["--manifest", out, "--root", root, "--out", path])
        if folder == "elsewhere":
            assert status == 1 and "'images.train_folder'" in capsys.readouterr().err
            return
        with hdf5.reading(path) as file:
            names[split] = sorted(file["name"].asstr()[:])
            assert sorted(file["label"][:]) == [0, 0, 1, 1]
    assert names["train"] == ["train/a/1.png", "train/a/2.png", "train/b/1.png", "train/b/2.png"]
    assert names["eval"] == ["val/a/1.png", "val/a/2.png", "val/b/1.png", "val/b/2.png"]
