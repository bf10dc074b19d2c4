import numpy as np
import pytest

from sat.store.artefact import Job
from sat.store.parts import Parts
from sat.store.step import Step

A100 = {
    "device": "cuda",
    "device_name": "NVIDIA A100-SXM4-80GB",
    "threads": 4,
    "batch": 128,
    "build": "torch 2.5.0, CUDA 12.4, cuDNN 90100",
    "precision": {"asked": "float32", "computed": "float32", "deterministic": True},
}
CPU = {**A100, "device": "cpu", "device_name": "cpu", "build": "torch 2.5.0, AVX2"}


def job(steps=3, sha="a" * 64, run=CPU):
    made = Job(Step("attack", 1, {"steps": steps}, {"images": "recipe"}), run)
    made.inputs["images"] = {"path": "images.h5", "sha256": sha, "recipe": "recipe"}
    return made


def fill(parts, *bounds):
    for first, last in bounds:
        parts.write(slice(first, last), value=np.arange(first, last))


def content(parts):
    return [(where.start, where.stop, arrays["value"].tolist()) for where, arrays in parts.read()]


def test_the_next_job_finds_what_the_last_one_left(tmp_path):
    fill(Parts(tmp_path / "a.h5", job()), (0, 16), (16, 48))
    parts = Parts(tmp_path / "a.h5", job())
    assert parts.stop == 48
    fill(parts, (48, 50))
    assert content(parts) == [(0, 16, list(range(16))), (16, 48, list(range(16, 48))), (48, 50, [48, 49])]
    parts.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [job(steps=4), job(sha="b" * 64)], ids=["other params", "other input"])
def test_parts_of_another_step_or_input_are_removed(tmp_path, other):
    fill(Parts(tmp_path / "a.h5", job()), (0, 16))
    neighbour = Parts(tmp_path / "b.h5", job())
    fill(neighbour, (0, 16))
    assert Parts(tmp_path / "a.h5", other).stop == 0
    assert [path for path in tmp_path.iterdir() if ".a.h5" in path.name] == []
    assert Parts(tmp_path / "b.h5", job()).stop == 16


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (CPU, A100, "device (cpu, now cuda)"),
        (A100, {**A100, "device_name": "Tesla V100"}, "device_name (NVIDIA A100-SXM4-80GB, now Tesla V100)"),
        (CPU, {**CPU, "threads": 2}, "threads (4, now 2)"),
        (CPU, {**CPU, "build": "torch 3, AVX2"}, "build (torch 2.5.0, AVX2, now torch 3, AVX2)"),
        (
            A100,
            {**A100, "precision": {**A100["precision"], "asked": "tf32", "computed": "tf32"}},
            "precision.asked (float32, now tf32), precision.computed (float32, now tf32)",
        ),
    ],
    ids=["device", "card", "threads", "build", "precision"],
)
def test_parts_that_were_computed_otherwise_are_not_joined_and_wait_for_a_job_like_theirs(
    tmp_path, caplog, before, now, said
):
    fill(Parts(tmp_path / "a.h5", job(run=before)), (0, 16), (16, 32))
    with caplog.at_level("INFO", "sat"):
        other = Parts(tmp_path / "a.h5", job(run=now))
    assert other.stop == 0 and f"had another {said}" in caplog.text
    fill(other, (0, 16))
    back = Parts(tmp_path / "a.h5", job(run=before))
    assert back.stop == 32
    back.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (CPU, {**CPU, "batch": 16}),
        (A100, {**A100, "threads": 1}),
        (A100, {**A100, "precision": {**A100["precision"], "deterministic": "except a resize"}}),
    ],
    ids=["batch", "threads that only bring images", "what is known only afterwards"],
)
def test_what_changes_no_bit_loses_no_work(tmp_path, before, now):
    fill(Parts(tmp_path / "a.h5", job(run=before)), (0, 16))
    assert Parts(tmp_path / "a.h5", job(run=now)).stop == 16


def test_parts_of_an_earlier_version_do_not_say_how_they_were_computed_and_are_removed(tmp_path):
    parts = Parts(tmp_path / "a.h5", job())
    fill(parts, (0, 16))
    (parts.folder / "run.json").unlink()
    earlier = parts.folder.rename(parts.folder.with_name(parts.folder.name[:-9]))
    assert Parts(tmp_path / "a.h5", job()).stop == 0 and not earlier.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_part_and_all_after_it_are_made_again(tmp_path, damage):
    parts = Parts(tmp_path / "a.h5", job())
    fill(parts, (0, 16), (16, 32), (32, 48))
    victim = parts.files[1]
    raw = bytearray(victim.read_bytes())
    if damage == "gone":
        victim.unlink()
    elif damage == "cut":
        victim.write_bytes(raw[: len(raw) // 2])
    else:
        raw[len(raw) // 2] ^= 1
        victim.write_bytes(raw)
    again = Parts(tmp_path / "a.h5", job())
    assert again.stop == 16
    fill(again, (16, 64))
    assert [entry[:2] for entry in content(again)] == [(0, 16), (16, 64)]


def test_a_gap_is_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="32"):
        fill(Parts(tmp_path / "a.h5", job()), (0, 16), (32, 48))
