"""The command images: what it does with images that it does not read, and with those of too many pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysed import call
from sat.store.step import Step

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def make(root: Path, out: Path, on_bad_image: str, megapixels: float) -> int:
    """List a folder and write its images; return the exit status."""
    manifest = Step("manifest", 1, {"source": "folder"})
    assert call("manifest", manifest.json, words=["--root", root, "--out", out / "manifest.csv"]) == 0
    params = {"source": "folder", "canvas": 32, "crop_pct": 1.0, "train_fraction": 0.0, "on_bad_image": on_bad_image}
    step = Step("images", 1, {**params, "split": "eval", "seed": 0}, {"manifest": manifest.recipe})
    words = ["--manifest", out / "manifest.csv", "--root", root, "--out", out / "eval.h5"]
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
