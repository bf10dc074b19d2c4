"""A study with more images goes on from its results on fewer, and ends in what it would be if made at once."""

from __future__ import annotations

import h5py
import pytest

from projects import Project, unwrapped
from sat.store import hdf5
from sat.store.artefact import SEAL, content_account, read_sidecar, write_sidecar

pytestmark = pytest.mark.slow

MATRIX = "results/tiny/similarity/pairs.parquet"


def log(project: Project, job: str) -> str:
    return (project.results / "logs" / f"{job}.log").read_text()


def belongs_to_other_images(project: Project, model: str) -> None:
    """Make a set that is kept that of other images, and its sidecar with it."""
    kept = project.results / f".shorter/adversarial/{model}.h5"
    copy = kept.with_suffix(".copy")
    copy.write_bytes(kept.read_bytes())  # the kept file is one with the study's own
    hdf5.codec()
    with h5py.File(copy, "r+") as file:
        file.attrs["images_sha256"] = "0" * 64
    record = {key: value for key, value in read_sidecar(kept).items() if key != SEAL}
    copy.replace(kept)
    kept.with_name(f"{kept.name}.json").unlink()
    write_sidecar(f"{kept}.json", {**record, **content_account(kept)})


def test_a_grown_study_is_the_one_that_is_made_at_once(project: Project) -> None:
    config = project.folder / "config.yaml"
    before = config.read_text()
    said = unwrapped(project.sat("grow", "--half-width", "0.05", "--dry-run").stdout)
    assert "48 attack images: the median half-width" in said and "The next number is 96." in said
    assert config.read_text() == before and not (project.results / ".shorter").exists()

    done = project.sat("grow", "--half-width", "0.05")
    assert "images.attack_images is 96 now" in done.stdout, done.stdout + done.stderr
    assert "7 adversarial sets and tiles are kept" in done.stdout
    assert config.read_text() == before.replace("attack_images: 48", "attack_images: 96")
    belongs_to_other_images(project, "byobnet")
    assert set(project.planned(MATRIX)) == {"images", "clean", "gate", "attack", "evaluate", "similarity"}
    project.run(MATRIX)

    for model, goes_on in {"resnet": True, "vit": True, "byobnet": False}.items():
        facts = read_sidecar(project.results / f"adversarial/{model}.h5")["facts"]
        assert (facts.get("continued", {}).get("images") == 48) == goes_on
        assert ("goes on from a set of 48 images" in log(project, f"attack/{model}")) == goes_on
    assert "not used, all images are computed (other images)" in log(project, "attack/byobnet")
    # byobnet and resnet share the tile c1-000; vit is alone in the other one.
    tiles = ("c1-000/c1-000", "c1-000/c1-001", "c1-001/c1-000", "c1-001/c1-001")
    for tile in tiles:
        goes_on = tile.endswith("c1-001")
        assert ("goes on from a tile of 48 images" in log(project, f"evaluate/{tile}")) == goes_on
    # `sat rerun` computes all images, in another folder.
    for path in ("adversarial/vit.h5", "adversarial/resnet.h5", *(f"tiles/{tile}.h5" for tile in tiles[1::2])):
        again = project.sat("rerun", f"results/tiny/{path}")
        assert again.returncode == 0 and "the same" in again.stdout, again.stdout + again.stderr
    facts = read_sidecar(project.results / "adversarial/vit.h5")["facts"]
    with h5py.File(project.results / "tiles/c1-001/c1-001.h5") as tile:
        with h5py.File(project.results / "images/attack.h5") as images:
            wrong = (tile["prediction"][0, 0] != images["label"][:]) & (tile["prediction"][0, 0] >= 0)
        assert facts["n_fooled"] == wrong.sum() and facts["n_attacked"] == (tile["prediction"][0, 0] >= 0).sum()

    assert ".shorter" in project.sat("prune", "--files").stdout
    enough = project.sat("grow", "--half-width", "10")
    assert "The target is reached." in enough.stdout, enough.stdout + enough.stderr
    assert not (project.results / ".shorter").exists()


def test_what_cannot_grow_is_said(finished: Project) -> None:
    def said(*words: str) -> str:
        done = finished.sat("grow", *words)
        assert done.returncode, done.stdout
        return unwrapped(done.stderr)

    assert "--half-width -1: write a number above 0" in said("--half-width", "-1")
    assert "write a correlation between 0 and 1" in said("--stability", "1.5")
    assert "write 96 there" in said("--half-width", "0.01", "--config", "images={attack_images: 48}")
    assert "is missing or stale; run snakemake first" in said("--half-width", "0.01", "--config", "eps_s=0.02")
    assert not (finished.results / ".shorter").exists()
