import numpy as np
import pytest

from sat.store.artefact import Job
from sat.store.parts import Parts
from sat.store.step import Step


def job(steps=3, sha="a" * 64):
    made = Job(Step("attack", 1, {"steps": steps}, {"images": "recipe"}))
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
