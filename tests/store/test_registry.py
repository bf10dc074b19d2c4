import hashlib
import json
import os
import signal

import pytest

from sat.errors import SatError
from sat.sharing.merging import Joined, take_over
from sat.store import user_files as registry
from sat.store.user_files import not_here, register


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"weights")
    return path


def test_a_file_is_hashed_once_and_again_only_when_it_changes(checkpoint, tmp_path, monkeypatch):
    results = tmp_path / "results"
    assert register({"m": checkpoint}, results) == {"m": sha(b"weights")}
    written = (results / "registered.json").stat().st_mtime_ns
    monkeypatch.setattr(registry, "file_digest", lambda path: pytest.fail("read again"))
    assert register({"m": checkpoint}, results) == {"m": sha(b"weights")}
    assert (results / "registered.json").stat().st_mtime_ns == written
    monkeypatch.undo()
    checkpoint.write_bytes(b"heavier")
    assert register({"m": checkpoint}, results) == {"m": sha(b"heavier")}


def test_touched_and_moved_files_have_the_same_digest(checkpoint, tmp_path):
    before = register({"m": checkpoint}, tmp_path / "results")
    os.utime(checkpoint, (1, 1))
    assert register({"m": checkpoint}, tmp_path / "results") == before
    checkpoint.rename(tmp_path / "moved.pth")
    assert register({"m": tmp_path / "moved.pth"}, tmp_path / "results") == before


def test_another_file_of_the_same_size_and_time_is_another(checkpoint, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(b"WEIGHTS")
    for path in (checkpoint, other):
        os.utime(path, (1, 1))
    first = register({"m": checkpoint}, tmp_path / "results")
    assert register({"m": other}, tmp_path / "results") != first


def test_a_lost_file_keeps_its_digest_and_a_job_writes_nothing(checkpoint, tmp_path):
    register({"m": checkpoint}, tmp_path / "results")
    checkpoint.unlink()
    assert register({"m": checkpoint}, tmp_path / "results") == {"m": sha(b"weights")}
    assert register({"m": checkpoint}, tmp_path / "elsewhere", write=False) == {"m": "absent"}
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_registry_is_written_anew(checkpoint, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "registered.json").write_text("{")
    assert register({"m": checkpoint}, results) == {"m": sha(b"weights")}
    assert json.loads((results / "registered.json").read_text())["m"]["sha256"] == sha(b"weights")


def test_files_of_an_archive_are_added_to_a_damaged_registry_too(checkpoint, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "registered.json").write_text("{")
    take_over(Joined([], {}, {"theirs": sha(b"their weights")}, []), tmp_path / "archive", results)
    assert not_here(results) == {"theirs"}
    register({"m": checkpoint}, results)
    known = json.loads((results / "registered.json").read_text())
    assert {name: entry["sha256"] for name, entry in known.items()} == {
        "theirs": sha(b"their weights"),
        "m": sha(b"weights"),
    }


@pytest.mark.parametrize("damage", ["flipped", "list", "entry"])
def test_a_damaged_entry_is_no_dead_end(checkpoint, tmp_path, damage):
    results = tmp_path / "results"
    register({"m": checkpoint}, results)
    content = json.loads((results / "registered.json").read_text())
    content["m"]["sha256"] = "0" + content["m"]["sha256"][1:]
    damaged = {"flipped": content, "list": [content], "entry": {"m": ["?"]}}[damage]
    (results / "registered.json").write_text(json.dumps(damaged))
    assert register({"m": checkpoint}, results) == {"m": sha(b"weights")}
    assert json.loads((results / "registered.json").read_text())["m"]["sha256"] == sha(b"weights")


def test_folders_are_left_out(tmp_path):
    assert register({"images.root": tmp_path}, tmp_path / "results") == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_an_unreadable_file_is_named(checkpoint, tmp_path):
    checkpoint.chmod(0)
    with pytest.raises(SatError, match=r"w\.pth: cannot be read"):
        register({"m": checkpoint}, tmp_path / "results")


def test_a_pipe_is_named_and_not_read(tmp_path):
    os.mkfifo(tmp_path / "w.pth")

    def end(*_):
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    try:
        with pytest.raises(
            SatError, match=r"w\.pth: cannot be read \(it is not a regular file\); it is the study's 'm'"
        ):
            register({"m": tmp_path / "w.pth"}, tmp_path / "results")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
