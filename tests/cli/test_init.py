"""sat init: what it writes passes sat check, and it overwrites nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from snakemake.cli import get_profile_dir

from conftest import ROOT
from projects import unwrapped
from sat.cli.init import HEAD


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three classes of pictures, in a folder whose name is no plain YAML."""
    folder = tmp_path / "my pictures: lab #2"
    random = np.random.default_rng(0)
    for label in "abc":
        (folder / label).mkdir(parents=True)
        for number in range(6):
            pixels = random.integers(0, 256, (70, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def test_what_it_writes_passes_the_check(sat, tmp_path, pictures):
    done = sat(tmp_path, "init", "a folder of mine", "--images", str(pictures))
    assert done.returncode == 0 and "cd 'a folder of mine'\n  sat check study.yaml\n  sat run" in done.stdout
    folder = tmp_path / "a folder of mine"
    assert yaml.safe_load((folder / "study.yaml").read_text())["study"] == "a_folder_of_mine"
    checked = sat(folder, "check", "study.yaml")
    assert checked.returncode == 0 and "No problem was found." in checked.stdout, checked.stdout


def test_without_images_the_check_names_the_key(sat, tmp_path, pictures):
    assert "images: root" in sat(tmp_path, "init", "mine").stdout
    checked = sat(tmp_path / "mine", "check", "study.yaml")
    assert checked.returncode == 1 and "1 problem(s)." in checked.stdout and "'images.root'" in checked.stdout
    # As it says: call it images and put it there.
    pictures.rename(tmp_path / "mine/images")
    assert sat(tmp_path / "mine", "check", "study.yaml").returncode == 0


def test_images_within_the_folder_are_named_from_there(sat, tmp_path, pictures):
    sat(tmp_path, "init", ".", "--images", str(pictures))
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["images"]["root"] == pictures.name
    refused = sat(tmp_path, "init", "other", "--images", "none")
    assert refused.returncode == 1 and "--images none: is not there" in refused.stderr
    assert not (tmp_path / "other").exists()


def test_images_that_are_divided_into_train_and_val_are_taken_so(sat, tmp_path, pictures):
    shutil.copytree(pictures, tmp_path / "photos/val")
    pictures.rename(tmp_path / "photos/train")
    (tmp_path / "photos/val/a/0.png").unlink()
    sat(tmp_path, "init", "mine", "--images", "photos")
    images = yaml.safe_load((tmp_path / "mine/study.yaml").read_text())["images"]
    assert images["train_folder"] == "train" and "train_fraction" not in images
    checked = sat(tmp_path / "mine", "check", "study.yaml")
    assert checked.returncode == 0, checked.stdout
    assert "35 images of 3 classes" in checked.stdout and "18 to train on, 17 evaluated" in unwrapped(checked.stdout)


def test_a_class_called_train_is_a_class(sat, tmp_path, pictures):
    (pictures / "a").rename(pictures / "train")
    sat(tmp_path, "init", "mine", "--images", str(pictures))
    images = yaml.safe_load((tmp_path / "mine/study.yaml").read_text())["images"]
    assert images["train_fraction"] == 0.6 and "train_folder" not in images


def test_a_folder_without_folders_is_refused(sat, tmp_path, pictures):
    refused = sat(tmp_path, "init", "mine", "--images", str(pictures / "a"))
    assert refused.returncode == 1 and "holds no folders; put the images of each class" in refused.stderr
    assert not (tmp_path / "mine").exists()


def test_nothing_is_overwritten(sat, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/models.csv").write_text("precious")
    (tmp_path / "mine/gpu").symlink_to("nowhere")
    done = sat(tmp_path, "init", "mine")
    assert done.returncode == 1 and "mine/models.csv, mine/gpu: exist already, so nothing was written" in done.stderr
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["gpu", "models.csv"]
    assert (tmp_path / "mine/models.csv").read_text() == "precious"
    (tmp_path / "file").write_text("")
    done = sat(tmp_path, "init", "file")
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_snakemake_finds_the_profiles_from_the_folder(sat, tmp_path, monkeypatch):
    sat(tmp_path, "init", "mine")
    monkeypatch.chdir(tmp_path / "mine")
    for name in ("slurm", "gpu"):
        assert get_profile_dir(name)[1].resolve() == ROOT / f"profiles/{name}/profile.yaml"


def test_the_explanations_are_those_of_the_default_study(sat, tmp_path):
    sat(tmp_path, "init", "mine")
    text = (tmp_path / "mine/study.yaml").read_text()
    here = {line.partition("#")[2] for line in text.splitlines()[HEAD.count("\n") :] if "#" in line}
    there = {line.partition("#")[2] for line in (ROOT / "config.yaml").read_text().splitlines()}
    own = {" one sub-folder for each class", " in grey levels of the canvas"}
    own.add(" raise it to well above chance, which is 1 / number of classes")
    assert here - there == own and len(here) > 12
    assert yaml.safe_load(text)["min_accuracy"] == 0


def test_the_net_of_the_file_goes_from_images_to_logits(sat, tmp_path):
    sat(tmp_path, "init", "mine")
    space = {"__name__": "my_nets"}
    exec((tmp_path / "mine/my_nets.py").read_text(), space)
    for size in (32, 64, 224):
        assert space["small"](7)(torch.zeros(2, 3, size, size)).shape == (2, 7)
