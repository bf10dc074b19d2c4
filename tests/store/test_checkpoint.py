import logging

import pytest
import torch

from sat.store.artefact import Job
from sat.store.checkpoint import Checkpoint
from sat.store.step import Step

STATE = {"net": {"weight": torch.arange(4.0)}, "history": [{"epoch": 1, "loss": 0.5}]}


def job(epochs=3, sha="a" * 64, **run):
    made = Job(Step("train", 1, {"epochs": epochs}, {"images": "recipe"}), run)
    made.inputs["images"] = {"path": "images.h5", "sha256": sha, "recipe": "recipe"}
    return made


def test_the_next_job_finds_what_the_last_one_left(tmp_path):
    first = Checkpoint(tmp_path / "a.safetensors", job())
    assert first.read() is None and not list(tmp_path.iterdir()), "nothing is made before it is needed"
    first.write({**STATE, "history": []})
    first.write(STATE)
    again = Checkpoint(tmp_path / "a.safetensors", job())
    state = again.read()
    assert torch.equal(state["net"]["weight"], STATE["net"]["weight"]) and state["history"] == STATE["history"]
    again.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [job(epochs=4), job(sha="b" * 64)], ids=["other params", "other input"])
def test_that_of_another_step_or_input_is_removed(tmp_path, other):
    Checkpoint(tmp_path / "a.safetensors", job()).write(STATE)
    Checkpoint(tmp_path / "b.safetensors", job()).write(STATE)
    assert Checkpoint(tmp_path / "a.safetensors", other).read() is None
    assert [path for path in tmp_path.iterdir() if ".a.safetensors" in path.name] == []
    assert Checkpoint(tmp_path / "b.safetensors", job()).read()


def test_that_of_another_device_waits_for_a_job_on_its_own(tmp_path, caplog):
    Checkpoint(tmp_path / "a.safetensors", job(device="cuda", device_name="A100")).write(STATE)
    with caplog.at_level(logging.INFO, "sat"):
        other = Checkpoint(tmp_path / "a.safetensors", job(device="cuda", device_name="V100"))
    assert other.read() is None and "another device_name (A100, now V100)" in caplog.text
    again = Checkpoint(tmp_path / "a.safetensors", job(device="cuda", device_name="A100"))
    assert again.read()
    again.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_one_is_ignored_with_a_line_in_the_log(tmp_path, damage, caplog):
    first = Checkpoint(tmp_path / "a.safetensors", job())
    first.write({**STATE, "net": {"weight": torch.ones(5000)}})
    file = first.folder / "state.pt"
    raw = bytearray(file.read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 1
    file.write_bytes({"cut": raw[: len(raw) // 2], "flipped": raw, "empty": b"", "foreign": b"from long ago"}[damage])
    with caplog.at_level(logging.WARNING, "sat"):
        assert Checkpoint(tmp_path / "a.safetensors", job()).read() is None
    assert "damaged" in caplog.text


def test_that_of_another_pytorch_is_ignored(tmp_path, monkeypatch, caplog):
    Checkpoint(tmp_path / "a.safetensors", job()).write(STATE)
    monkeypatch.setattr(torch, "__version__", "99.0")
    assert Checkpoint(tmp_path / "a.safetensors", job()).read() is None
    assert "another version" in caplog.text


def test_pickled_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "trapped"), "w"))

    first = Checkpoint(tmp_path / "a.safetensors", job())
    first.write({**STATE, "net": Trap()})
    assert Checkpoint(tmp_path / "a.safetensors", job()).read() is None
    assert not (tmp_path / "trapped").exists()


def test_when_the_next_one_is_due(tmp_path):
    assert not Checkpoint(tmp_path / "a.safetensors", job(), every=1000).due
    assert Checkpoint(tmp_path / "a.safetensors", job(), every=0).due
