"""sat check: what would fail is found, all of it, and nothing is executed, trained or written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image

from conftest import ROOT, ROWS, TINY
from forks import sat
from sat.status import check as checks
from sat.status.foreign import foreign
from sat.study.study import examine_study, load_study

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}


def check(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call the command; it must not leave a file."""
    before = sorted(folder.rglob("*"))
    done = sat(folder, ("check", *words), {**ENVIRONMENT, **variables}, "")
    assert sorted(folder.rglob("*")) == before and "Traceback" not in done.stderr, done.stderr
    return done


def pictures(folder: Path, classes: int = 3, per_class: int = 4) -> None:
    """Real pictures, a folder a class."""
    random = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(per_class):
            pixels = random.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}/{number}.png")


def checkpoint(path: Path, classes: int, architecture: str = "test_resnet") -> None:
    path.parent.mkdir(exist_ok=True)
    torch.save(timm.create_model(architecture, num_classes=classes).state_dict(), path)


def row(model: str, architecture: str = "test_resnet", weights: str = "train") -> dict[str, str]:
    return {"model": model, "architecture": architecture, "weights": weights, "family": "f"}


FOLDER = {**TINY["images"], "source": "folder", "root": "images", "attack_images": "all", "train_fraction": 0.5}


def test_the_demo_is_in_order_and_needs_no_torch(tmp_path):
    for name in ("config.yaml", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    script = (
        "import sys; from sat.__main__ import main; s = main(['check']); print('torch' in sys.modules); sys.exit(s)"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert time.monotonic() - begun < 30
    assert done.returncode == 0, done.stdout + done.stderr
    # 60 % of the 1,797 digits are for training.
    for words in (
        "digits: 12 models in use",
        "1,797 images of 10 classes (174 to 183 each): 1,078 to train on, 719 evaluated, 719 of them attacked",
        "12 model(s) are trained here",
        "'sat plan' shows every stage",
        "of memory; the largest job asks for",
        "GB free on the disk of",
        "No problem was found.",
    ):
        assert words in done.stdout, words
    assert done.stdout.endswith("False\n"), "torch was imported"


def test_five_mistakes_are_all_named(write_study, tmp_path):
    pictures(tmp_path / "images")
    (tmp_path / "images/class1/2.png").write_bytes(b"no picture")
    checkpoint(tmp_path / "weights/five.pth", 5)
    checkpoint(tmp_path / "weights/three.pth", 3)
    rows = [
        row("typo", "test_resnett"),
        row("lost", weights="weights/lost.pth"),
        row("other", weights="weights/five.pth"),
        row("good", weights="weights/three.pth"),
    ]
    write_study(rows, images=FOLDER, tile_sise=2)
    done = check(tmp_path, "study.yaml")
    assert done.returncode == 1
    problems = done.stdout.partition("Problems:\n")[2]
    for words in (
        "unknown key 'tile_sise'; did you mean tile_size?",
        "models.csv, row 2, column 'architecture': timm",
        "models.csv, row 3, column 'weights': there is no file",
        "class1/2.png (its format is not known",
        "model 'other': has 5 classes, and the images have 3",
    ):
        assert problems.count(words) == 1, (words, done.stdout)
    assert "5 problem(s)." in problems
    assert "1 of 2 checkpoints fit: good" in done.stdout
    assert "12 images of 3 classes (4 each): 6 to train on, 6 evaluated, 6 of them attacked" in done.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"tile_size": 0, "seed": -1, "images": {**TINY["images"], "canvas": 2}},
            ["tile_size", "seed", "images.canvas"],
        ),
        ({"study": None, "matrix": "lost.csv"}, ["study", "there is no file"]),
        ({"clusters": {"k": 2, "x": 1}, "attack": {"eps": "no"}}, ["clusters.x", "attack.eps"]),
        ({"images": {"root": "a"}}, ["images.source"]),
    ],
)
def test_faults_of_the_config_hide_none_of_the_table(write_study, change, words):
    study, faults = examine_study([write_study([*ROWS, row("a b"), row("vit")], **change)])
    said = "\n".join(faults)
    assert all(word in said for word in words), said
    if "matrix" not in change:
        assert "row 5, column 'model': 'a b'" in said and "'vit' is already in" in said
        assert len(faults) == 3 and [one.model for one in study.models] == ["byobnet", "resnet", "vit"]


def test_a_study_in_order_has_no_faults(write_study):
    path = write_study()
    assert examine_study([path]) == (load_study([path]), [])


@pytest.mark.parametrize(("policy", "status"), [("stop", 1), ("skip", 0)])
def test_a_truncated_image(write_study, tmp_path, policy, status):
    pictures(tmp_path / "images")
    path = tmp_path / "images/class0/3.png"
    path.write_bytes(path.read_bytes()[:-100])
    write_study(images={**FOLDER, "on_bad_image": policy})
    done = check(tmp_path, "study.yaml")
    assert done.returncode == status and "1 image(s) cannot be read: class0/3.png" in done.stdout
    assert ("they will be left out" in done.stdout) == (policy == "skip")


def test_of_many_images_all_headers_are_read(write_study, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "WHOLE", 5)
    monkeypatch.setattr(checks, "SAMPLE", 3)
    pictures(tmp_path / "images")
    # The second of twelve is not in the sample of every fourth.
    (tmp_path / "images/class0/1.png").write_bytes(b"no picture")
    said, images = checks.check_images(load_study([write_study(images=FOLDER)]))
    assert images.n_images == {"train": 6, "eval": 6, "attack": 6}
    texts = [one.text for one in said]
    assert "the headers of all 12 images were read, and 3 images were decoded; 1 cannot be read" in texts
    assert sum("class0/1.png" in text for text in texts) == 1


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({"root": "nowhere"}, "nowhere: is not there"),
        ({"attack_images": 7}, "7 attack images of 6 evaluation images"),
        ({"eval_images": 7}, "key 'images.eval_images': 7 evaluation images of 6 that are not for training"),
        ({"attack_images": "list.txt"}, "'class9/0.png' is the name of 0 images"),
        ({"train_fraction": 0.0, "train_folder": "train"}, "0 of 12 images are in the folder 'train'"),
        ({"train_fraction": 0.99}, "no image is left for the evaluation"),
    ],
)
def test_images_that_cannot_be_split(write_study, tmp_path, images, words):
    pictures(tmp_path / "images")
    (tmp_path / "list.txt").write_text("class9/0.png\n")
    said, found = checks.check_images(load_study([write_study(images={**FOLDER, **images})]))
    assert found is None and [one.kind for one in said] == ["problem"] and words in said[0].text


def test_evaluation_images_are_counted_as_the_study_asks(write_study, tmp_path):
    pictures(tmp_path / "images")
    said, images = checks.check_images(load_study([write_study(images={**FOLDER, "eval_images": 4})]))
    assert images.n_images == {"train": 6, "eval": 4, "attack": 4} and len(images.labels) == 4
    assert "6 to train on, 4 evaluated, 4 of them attacked" in said[0].text


def test_a_list_that_is_not_there_is_one_mistake(write_study, tmp_path):
    pictures(tmp_path / "images")
    write_study(images={**FOLDER, "attack_images": "lost.txt"})
    done = check(tmp_path, "study.yaml")
    assert done.returncode == 1 and "1 problem(s)." in done.stdout and "there is no file lost.txt" in done.stdout


def test_weights_that_are_not_those_of_the_architecture(write_study, tmp_path):
    checkpoint(tmp_path / "weights/vit.pth", 10, "test_vit")
    (tmp_path / "weights/text.pth").write_text("no weights")
    rows = [row("one", weights="weights/vit.pth"), row("two", weights="weights/text.pth"), row("three")]
    write_study(rows)
    done = check(tmp_path, "study.yaml")
    assert done.returncode == 1 and "2 problem(s)." in done.stdout
    assert "model 'one': " in done.stdout and "is not a checkpoint of 'test_resnet'" in done.stdout
    assert "model 'two': " in done.stdout and "cannot be read as a state dict" in done.stdout


@pytest.mark.parametrize("offline", ["", "1"])
def test_weights_of_the_hub_are_looked_for_in_the_cache(write_study, tmp_path, offline):
    write_study(
        [row("one", "test_resnet.r160_in1k", "hub"), row("two")], training={**TINY["training"], "fine_tune": True}
    )
    done = check(tmp_path, "study.yaml", HF_HUB_CACHE=str(tmp_path / "none"), HF_HUB_OFFLINE=offline)
    how = "are not in the local cache, and HF_HUB_OFFLINE forbids a download" if offline else "will be downloaded"
    assert f"1 model(s) of the hub {how}: one" in done.stdout
    assert done.returncode == bool(offline)


def test_models_of_the_hub_need_the_classes_of_the_images(write_study, tmp_path):
    write_study([row("one", "test_resnet.r160_in1k", "hub"), row("two")])
    done = check(tmp_path, "study.yaml", HF_HUB_CACHE=str(tmp_path / "none"), HF_HUB_OFFLINE="")
    assert done.returncode == 1 and "model 'one': has 1000 classes, and the images have 10" in done.stdout


def test_a_matrix_that_is_none(tmp_path):
    (tmp_path / "given.yaml").write_text("study: given\nmatrix: sat.csv\nclusters: {k: 2}\n")
    (tmp_path / "sat.csv").write_text("model,a,b\na,4,1\nb,2,4\n")
    done = check(tmp_path, "given.yaml")
    assert done.returncode == 1 and "key 'matrix'" in done.stdout and "not symmetric" in done.stdout
    (tmp_path / "sat.csv").write_text("model,a,b\na,4,1\nb,1,4\n")
    done = check(tmp_path, "given.yaml")
    assert done.returncode == 0 and "2 models, symmetric" in done.stdout


def test_a_disk_that_is_too_small_and_no_gpu(write_study, tmp_path, monkeypatch):
    study = load_study([write_study(compute={"device": "cuda"})])
    load = checks.Load(memory_mb=10**9, disk_left=10**18)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = list(checks.check_machine(study, load, tmp_path / "results/tiny"))
    found = {one.kind: one.text for one in said if "GPU" in one.text and "torch" not in one.text}
    assert "this machine has no GPU" in found["caution"]
    assert any(one.kind == "problem" and "too small" in one.text for one in said)
    assert any(one.kind == "caution" and "more memory than this machine has" in one.text for one in said)


CODE = "default-resources: [\"mem_mb=__import__('os').system('touch mark')\"]\n"


@pytest.mark.parametrize("place", ["default/profile.yaml", "profiles/default/config.yaml", "default"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CODE, "has Python code under default-resources"),
        ('__use_yte__: true\n__definitions__: [\'open("mark", "w")\']\n', "runs Python code (YTE)"),
        ("config: {seed: 3}\n", "sets config"),
        ("configfile: other.yaml\n", "sets configfile"),
        ("snakefile: theirs\n", "names a program (snakefile)"),
        ("set-resources: {attack: {mem_mb: 'exec(\"1\")'}}\n", "has Python code under set-resources"),
    ],
)
def test_a_profile_in_a_received_folder(tmp_path, place, content, words):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    (found,) = foreign(tmp_path, [tmp_path], ROOT)
    assert words in found.text and found.harms and not (tmp_path / "mark").exists()
    # In the folder of a study that is not the folder of the call, it does no harm yet.
    (tmp_path / "here").mkdir()
    (found,) = foreign(tmp_path / "here", [tmp_path], ROOT)
    assert words in found.text and not found.harms


@pytest.mark.parametrize(
    ("value", "code"),
    [
        *((word, False) for word in ("2000", "4GB", "gpu-a100", "a100*2", "'--x=1'", "\"'--nice=3'\"", "~/tmp")),
        *((word, True) for word in ("f()", "[1 for x in y]", "f'{x}'", "x if y else z", " f()", "f() + $SHLVL")),
    ],
)
def test_what_of_a_profile_is_code(tmp_path, value, code):
    path = tmp_path / "default/profile.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({"default-resources": [f"x={value}"]}))
    assert [one.harms for one in foreign(tmp_path, [], ROOT)] == [code]


def test_plain_profiles_and_the_project_s_own_are_no_problem(tmp_path):
    assert list(foreign(ROOT, [ROOT / "studies"], ROOT)) == []
    (tmp_path / "profiles/site").mkdir(parents=True)
    (tmp_path / "profiles/site/profile.yaml").write_text(
        "jobs: 5\ndefault-resources:\n- mem_mb=2000\n- slurm_partition=gpu-a100\n- slurm_extra=\"'--exclude=n1'\"\n"
    )
    assert list(foreign(tmp_path, [], ROOT)) == []
    (tmp_path / "profiles/site").rename(tmp_path / "profiles/default")
    (found,) = foreign(tmp_path, [], ROOT)
    assert "changes how Snakemake runs" in found.text and not found.harms
    (tmp_path / "Snakefile").write_text("")
    assert [one.path.name for one in foreign(tmp_path, [], ROOT)] == ["default", "Snakefile"]


def test_a_profile_that_the_environment_names(tmp_path, monkeypatch):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/profile.yaml").write_text("config: {seed: 3}\n")
    (tmp_path / "here").mkdir()
    assert list(foreign(tmp_path / "here", [], ROOT)) == []
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(tmp_path / "p"))
    (found,) = foreign(tmp_path / "here", [], ROOT)
    assert found.harms and "changes the study" in found.text


def test_a_received_folder_as_the_working_folder(write_study, tmp_path):
    write_study()
    (tmp_path / "default").mkdir()
    (tmp_path / "default/profile.yaml").write_text(CODE + 'x: "\\e[2J"\n')
    done = check(tmp_path, "study.yaml")
    assert done.returncode == 1 and "has Python code under default-resources" in done.stdout
    assert "1 problem(s)." in done.stdout


def test_words_of_a_study_do_not_steer_the_terminal(write_study, tmp_path):
    write_study([*ROWS, row("\x1b[2J")], tile_size="\x1b[2J")
    done = check(tmp_path, "study.yaml")
    plan = sat(tmp_path, ("plan", "study.yaml"), ENVIRONMENT, "")
    assert done.returncode == plan.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr + plan.stdout + plan.stderr


@pytest.mark.parametrize("page", sorted(file.name for file in (ROOT / "docs").glob("*.md")))
def test_tests_that_a_page_names_exist(page):
    text = (ROOT / "docs" / page).read_text()
    for file, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", text):
        assert f"\ndef {name}(" in (ROOT / file).read_text(), (file, name)
    assert page != "security.md" or text.count("::") > 20
