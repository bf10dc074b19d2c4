import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from conftest import ROOT
from sat.errors import SatError
from sat.store import hdf5
from sat.store.artefact import Job, check_content, read_sidecar, sidecar_path
from sat.store.files import file_digest, replacing
from sat.store.step import Step, group_recipe


def step(**params):
    return Step("images", 1, params)


def make(path, value=0, made_by=None):
    with hdf5.writing(path) as file:
        data = hdf5.image_dataset(file, "image", (5, 3, 4, 4), np.uint8)
        data[:] = value
    Job(made_by or step(a=1)).finish(path, count=5)
    return path


def test_a_sidecar_says_what_made_the_artefact(tmp_path, monkeypatch):
    monkeypatch.setenv("SAT_GIT_COMMIT", "abc")
    monkeypatch.setenv("SAT_GIT_DIRTY", "1")
    source = make(tmp_path / "a.h5")
    consumer = Step("clean", 3, {"model": "m"}, {"images": step(a=1).recipe})
    job = Job(consumer, {"device": "cpu", "threads": 1, "batch": 16})
    assert job.input("images", source) == source
    out = make(tmp_path / "b.h5", made_by=consumer)
    job.finish(out, accuracy=0.5)
    sidecar = read_sidecar(out)
    assert sidecar["stage"] == "clean" and sidecar["stage_version"] == 3 and sidecar["params"] == {"model": "m"}
    read = sidecar["inputs"]["images"]
    assert read["path"] == str(source) and read["sha256"] == file_digest(source)
    assert read["recipe"] == step(a=1).recipe
    assert sidecar["sha256"] == file_digest(out)
    assert sidecar["git"] == {"commit": "abc", "dirty": True}
    assert sidecar["run"] == {"device": "cpu", "threads": 1, "batch": 16}
    assert sidecar["packages"]["numpy"] == np.__version__
    assert sidecar["facts"] == {"accuracy": 0.5}


def test_no_git_gives_null(tmp_path, monkeypatch):
    monkeypatch.delenv("SAT_GIT_COMMIT", raising=False)
    assert read_sidecar(make(tmp_path / "a.h5"))["git"] == {"commit": None, "dirty": None}


def test_an_input_that_another_step_made_is_refused(tmp_path):
    path = make(tmp_path / "a.h5", made_by=step(a=2))
    with pytest.raises(SatError, match=r"a\.h5: was made by another step"):
        Job(Step("clean", 1, {}, {"images": step(a=1).recipe})).input("images", path)
    both = [make(tmp_path / "b.h5", made_by=step(b=1)), make(tmp_path / "c.h5", made_by=step(c=1))]
    group = Step("clean", 1, {}, {"images": group_recipe([step(b=1).recipe, step(c=1).recipe])})
    assert Job(group).input_group("images", both) == both
    with pytest.raises(SatError, match="one of the 2 inputs"):
        Job(group).input_group("images", both[::-1])


def test_content_that_its_sidecar_does_not_know_is_refused(tmp_path):
    path = make(tmp_path / "a.h5")
    sidecar = sidecar_path(path).read_text()
    make(path, value=1)
    sidecar_path(path).write_text(sidecar)
    job = Job(Step("clean", 1, {}, {"images": step(a=1).recipe}))
    job.input("images", path)
    with pytest.raises(SatError, match="not what its sidecar"):
        job.ready()


def test_bit_rot_is_found_by_a_full_check(tmp_path):
    path = make(tmp_path / "a.h5", value=200)
    with h5py.File(path) as file:
        offset = file["image"].id.get_chunk_info(2).byte_offset
    raw = bytearray(path.read_bytes())
    raw[offset + 4] ^= 1
    path.write_bytes(raw)
    check_content(path, read_sidecar(path))
    with pytest.raises(SatError, match="not what its sidecar"):
        check_content(path, read_sidecar(path), full=True)


@pytest.mark.parametrize("damage", ["missing", "cut off", "other"])
def test_damaged_sidecars_are_named(tmp_path, damage):
    path = make(tmp_path / "a.h5")
    sidecar = sidecar_path(path)
    match damage:
        case "missing":
            sidecar.unlink()
        case "cut off":
            sidecar.write_text(sidecar.read_text()[:50])
        case "other":
            sidecar.write_text("[1]")
    with pytest.raises(SatError, match=r"a\.h5\.json"):
        read_sidecar(path)


def test_a_damaged_artefact_is_named(tmp_path):
    path = make(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SatError, match=r"a\.h5: cannot be read"), hdf5.reading(path):
        pass


def test_digest_counts_values_names_and_types_but_not_storage(tmp_path):
    def digest(name, dtype, value, **storage):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset(name, data=np.full((600, 2), value, dtype), **storage)
            return hdf5.content_digest(file)

    first = digest("a", "i2", 1)
    assert digest("a", "i2", 1, compression="gzip", chunks=(7, 1)) == first
    assert len({first, digest("b", "i2", 1), digest("a", "i4", 1), digest("a", "i2", 2)}) == 4


def test_one_image_a_chunk_and_absent_images_take_no_room(tmp_path):
    with hdf5.writing(tmp_path / "a.h5") as file:
        data = hdf5.image_dataset(file, "perturbation", (100, 3, 8, 8), np.int8)
        data[7] = 1
    with hdf5.reading(tmp_path / "a.h5") as file:
        assert file["perturbation"].chunks == (1, 3, 8, 8)
        assert file["perturbation"].id.get_num_chunks() == 1
        assert file["perturbation"][:].sum() == 192


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = make(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(RuntimeError), hdf5.writing(path) as file:
        file["image"] = np.ones(3)
        raise RuntimeError
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, sidecar_path(path)]


@pytest.mark.slow
def test_a_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = make(tmp_path / "a.h5")
    before = path.read_bytes()
    code = """
import sys, time, numpy as np
from sat.store import hdf5
with hdf5.writing(sys.argv[1]) as file:
    file["image"] = np.ones(1000)
    file.flush()
    print("half", flush=True)
    time.sleep(60)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
    )
    assert writer.stdout is not None and writer.stdout.readline() == "half\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert path.read_bytes() == before
    check_content(path, read_sidecar(path), full=True)


def test_readers_see_the_old_or_the_new_file_never_half(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old" * 1000)
    stop = time.monotonic() + 0.5
    with replacing(path) as temporary:
        temporary.write_text("new" * 10)
        assert path.read_text() == "old" * 1000
        assert temporary.parent == path.parent
    assert path.read_text() == "new" * 10
    assert time.monotonic() < stop + 10


def test_a_step_survives_the_command_line():
    made = Step("attack", 2, {"eps": 24, "model": "m"}, {"images": "abc"})
    assert Step.parse(made.json) == made
    assert Step.parse(made.json).recipe == made.recipe
    assert json.loads(made.json)["version"] == 2
    for text in ("{}", "nonsense", "[1]"):
        with pytest.raises(SatError, match="not a step"):
            Step.parse(text)
