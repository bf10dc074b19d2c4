"""Results on fewer images are kept as they are, and used only where nothing else differs."""

import h5py
import numpy as np
import pytest

from sat.store import hdf5
from sat.store.artefact import Job
from sat.store.parts import Parts
from sat.store.shorter import find_shorter, forget, keep
from sat.store.step import Step

STEP = Step("attack", 1, {"model": "vit", "steps": 3}, {"weights": "w", "images": "fewer"})
LONGER = Step("attack", 1, {"model": "vit", "steps": 3}, {"weights": "w", "images": "more"})
RUN = {"device": "cpu", "threads": 1, "build": "torch 2", "precision": {"mode": "float32"}, "batch": 32}
PLACE = "adversarial/vit.h5"


def job(step=LONGER, weights="a" * 64, **run):
    made = Job(step, {**RUN, **run})
    made.inputs["weights"] = {"path": "weights/vit.safetensors", "sha256": weights, "recipe": "w"}
    return made


@pytest.fixture
def results(tmp_path):
    with hdf5.writing(tmp_path / PLACE) as file:
        file["attacked"] = np.ones(3, bool)
    job(STEP).finish(tmp_path / PLACE)
    assert keep(tmp_path, {PLACE: STEP, "adversarial/resnet.h5": STEP, "clean/vit.h5": STEP}) == 1
    return tmp_path


def found(results, job, out=PLACE, independent=True):
    return find_shorter(job, results / "images/attack.h5", results / out, independent)


def test_what_is_kept_takes_no_space_and_outlives_its_place(results):
    assert (results / PLACE).samefile(results / ".shorter" / PLACE)
    (results / PLACE).unlink()  # Snakemake does this before it makes the longer one.
    (results / f"{PLACE}.json").unlink()
    shorter = found(results, job(batch=128))
    assert shorter.sidecar["recipe"] == STEP.recipe
    assert shorter.account(3)["sha256"] == shorter.sidecar["sha256"] and "continued" not in shorter.account(3)
    forget(results)
    assert found(results, job()) is None


@pytest.mark.parametrize(
    "other",
    [
        job(Step("attack", 2, LONGER.params, LONGER.inputs)),
        job(Step("attack", 1, {"model": "vit", "steps": 4}, LONGER.inputs)),
        job(weights="b" * 64),
        job(threads=2),
        job(build="torch 3"),
        job(device="cuda"),
        job(precision={"mode": "tf32"}),
    ],
    ids=["version", "settings", "weights", "threads", "build", "device", "precision"],
)
def test_nothing_but_the_images_may_differ(results, other):
    assert found(results, other) is None


def test_images_that_may_depend_on_each_other_are_attacked_again(results, caplog):
    with caplog.at_level("INFO", "sat"):
        assert found(results, job(), independent=False) is None
    assert "all images are computed (an image's result may depend on other images)" in caplog.text


def test_the_log_says_what_differs(results, caplog):
    with caplog.at_level("INFO", "sat"):
        assert found(results, job(threads=2, precision={"mode": "tf32"})) is None
    assert "(other threads (1, now 2), precision.mode (float32, now tf32))" in caplog.text


@pytest.mark.parametrize("name", [PLACE, f"{PLACE}.json"])
def test_a_damaged_one_is_not_used(results, name):
    kept = results / ".shorter" / name
    raw = bytearray(kept.read_bytes())
    raw[len(raw) // 2] ^= 1
    kept.write_bytes(raw)
    assert found(results, job()) is None


def test_only_the_job_of_its_own_place_uses_it(results, tmp_path_factory):
    assert found(results, job(), "adversarial/resnet.h5") is None
    elsewhere = tmp_path_factory.mktemp("rerun") / "vit.h5"
    assert find_shorter(job(), results / "images/attack.h5", elsewhere) is None


def test_a_prefix_has_the_digest_of_a_file_that_holds_only_it(tmp_path):
    """More items than are read at once, of every kind that images/attack.h5 holds."""
    random = np.random.default_rng(0)
    images, names = random.integers(0, 256, (600, 3, 4, 4), np.uint8), [f"digit {i}" for i in range(600)]

    def write(name, count):
        with hdf5.writing(tmp_path / name) as file:
            hdf5.image_dataset(file, "image", (count, 3, 4, 4), np.uint8)[:] = images[:count]
            file["id"], file["name"] = np.arange(count), names[:count]
        return hdf5.stored_digest(tmp_path / name)

    whole, part = write("whole.h5", 600), write("part.h5", 300)
    with h5py.File(tmp_path / "whole.h5") as file:
        assert hdf5.content_digest(file, 300) == part
        assert hdf5.content_digest(file, 301) != part
        assert hdf5.content_digest(file) == hdf5.content_digest(file, 600) == whole


def test_parts_follow_the_items_that_are_there_already(tmp_path):
    def parts(start):
        return Parts(tmp_path / "a.h5", job(), start)

    def write(parts, first, last):
        parts.write(slice(first, last), value=np.arange(first, last))

    write(parts(20), 20, 36)
    again = parts(20)
    assert again.stop == 36 and [where.start for where, _ in again.read()] == [20]
    # If the shorter result is gone, they are no use: there is nothing before them.
    assert parts(0).stop == 0 and not list(again.folder.glob("*.part"))
