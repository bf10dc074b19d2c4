"""The command images: which images it chooses, and what it does with those that it does not read."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from analysed import call
from sat.images.images import stratified_permutation
from sat.store.step import Step

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def make(root: Path, out: Path, on_bad_image: str, megapixels: float, split: str = "eval", **more: object) -> int:
    """List a folder and write its images; return the exit status."""
    manifest = Step("manifest", 1, {"source": "folder"})
    assert call("manifest", manifest.json, words=["--root", root, "--out", out / "manifest.csv"]) == 0
    params = {"source": "folder", "canvas": 32, "crop_pct": 1.0, "train_fraction": 0.0, "on_bad_image": on_bad_image}
    listed = more.pop("listed", "")
    step = Step("images", 1, {**params, "split": split, "seed": 0, **more}, {"manifest": manifest.recipe})
    words = ["--manifest", out / "manifest.csv", "--root", root, "--out", out / f"{split}.h5"]
    words += ["--list", listed] if listed else []
    return call("images", step.json, words=[*words, "--max-megapixels", str(megapixels)])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(root / name)
    return root


def test_another_format_is_named_or_left_out(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (root / "b/2.png").write_bytes(EPS)
    assert make(root, tmp_path, "stop", 1) == 1
    said = capsys.readouterr().err
    assert f"image 'b/2.png' of {root}: cannot be read (its format is EPS, and these are read: BMP, GIF, JPEG" in said
    assert make(root, tmp_path, "skip", 1) == 0
    skipped = json.loads((tmp_path / "eval.h5.json").read_text())["facts"]["skipped"]
    assert [entry["name"] for entry in skipped] == ["b/2.png"]


@pytest.mark.parametrize("on_bad_image", ["stop", "skip"])
def test_too_many_pixels_always_stop(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], on_bad_image: str):
    """Otherwise the key, which is in no step, would decide which images a study has."""
    Image.new("RGB", (300, 200)).save(root / "a/2.png")
    assert make(root, tmp_path, on_bad_image, 0.05) == 1
    said = capsys.readouterr().err
    assert f"image 'a/2.png' of {root}: it has 300 x 200 = 0.1 million pixels" in said
    assert "'compute.max_megapixels' allows 0.05" in said and not (tmp_path / "eval.h5").exists()
    assert make(root, tmp_path, on_bad_image, 0.07) == 0


BAD = ("a/3.png", "b/5.png", "c/0.png")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Thirty images of three classes, three of which cannot be read."""
    root = tmp_path / "data"
    for label in "abc":
        (root / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(root / f"{label}/{number}.png")
    for name in BAD:
        (root / name).write_bytes(EPS)
    return root


def names_in(path: Path) -> list[str]:
    with h5py.File(path) as file:
        return file["name"].asstr()[:].tolist()


@pytest.mark.parametrize("training", [{}, {"train_fraction": 0.4}])
@pytest.mark.parametrize("count", [1, 4, 9, 15, 18, "all"])
def test_evaluation_images_are_a_prefix_of_one_order(damaged: Path, tmp_path: Path, count: object, training: dict):
    """Brute force: the order is that of the whole, less the images that cannot be read."""
    rows = [f"{label}/{number}.png" for label in "abc" for number in range(10)]
    labels = np.repeat(np.arange(3), 10)
    order = [rows[place] for place in stratified_permutation(labels, 0)]
    order = [name for name in order[: 18 if training else 30] if name not in BAD]
    assert make(damaged, tmp_path, "skip", 1, eval_images=count, **training) == 0
    found = names_in(tmp_path / "eval.h5")
    assert found == (order if count == "all" else order[:count])
    for attacked in (1, 3, "all"):
        # A number of attack images says nothing of the evaluation images.
        asked = {} if isinstance(attacked, int) else {"eval_images": count}
        assert make(damaged, tmp_path, "skip", 1, "attack", attack_images=attacked, **asked, **training) == 0
        attack = names_in(tmp_path / "attack.h5")
        assert attack == (order[:attacked] if isinstance(attacked, int) else found)
        assert set(attack) <= set(found) or (attacked != "all" and attacked > len(found))


def test_listed_attack_images_are_evaluation_images(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert make(damaged, tmp_path, "skip", 1, eval_images=12) == 0
    evaluated, listed = names_in(tmp_path / "eval.h5"), tmp_path / "list.txt"
    listed.write_text("\n".join(evaluated[5:8]))
    more = {"listed": listed, "attack_images": {"list": "digest"}, "eval_images": 12}
    assert make(damaged, tmp_path, "skip", 1, "attack", **more) == 0
    assert names_in(tmp_path / "attack.h5") == evaluated[5:8]
    assert make(damaged, tmp_path, "skip", 1) == 0
    other = names_in(tmp_path / "eval.h5")[20]
    listed.write_text(f"{evaluated[0]}\n{other}")
    assert make(damaged, tmp_path, "skip", 1, "attack", **more) == 1
    said = capsys.readouterr().err
    assert f"1 of 2 images are not evaluation images ({other})" in said and "raise images.eval_images" in said


def test_more_than_there_are(damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert make(damaged, tmp_path, "skip", 1, eval_images=31) == 1
    assert "key 'images.eval_images': 31 evaluation images of 30 that" in capsys.readouterr().err
