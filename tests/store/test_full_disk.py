"""A full disk is said in words, whichever library meets it, and the old file stays whole."""

import os
import shlex
import subprocess
import sys
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from matplotlib.figure import Figure

from sat.__main__ import main
from sat.cli import commands
from sat.report.style import save
from sat.store import hdf5
from sat.store.files import full_disk, replacing

MB = 2**20


@pytest.fixture
def small(tmp_path):
    """A disk of half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs the administrator")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def noise(n=2 * MB):
    return np.random.default_rng(0).integers(0, 256, n, np.uint8)


def arrays(path):
    with hdf5.writing(path) as file:
        file["a"] = noise()


def images(path):
    with hdf5.writing(path) as file:
        hdf5.image_dataset(file, "image", (32, 1, 256, 256), np.uint8)[:] = noise().reshape(32, 1, 256, 256)


def weights(path):
    with replacing(path) as temporary:
        safetensors.torch.save_file({"a": torch.from_numpy(noise())}, temporary)


def table(path):
    with replacing(path) as temporary:
        pd.DataFrame({"a": noise()}).to_csv(temporary)


def parquet(path):
    with replacing(path) as temporary:
        pd.DataFrame({"a": np.random.default_rng(0).random(MB)}).to_parquet(temporary)


def part(path):
    with replacing(path) as temporary, temporary.open("xb") as stream:
        np.savez(stream, a=noise())


def checkpoint(path):
    with replacing(path) as temporary:
        torch.save({"a": torch.from_numpy(noise())}, temporary)


def figure(path):
    drawn = Figure()
    drawn.add_subplot().scatter(*np.random.default_rng(0).random((2, 20_000)))
    with replacing(path) as temporary:
        save(drawn, temporary)


@pytest.mark.parametrize("write", [arrays, images, weights, table, parquet, part, checkpoint, figure])
def test_every_writer(small, write):
    path = small / "old"
    path.write_text("old")

    def meet():
        with pytest.raises(Exception) as caught:
            write(path)
        said = full_disk(caught.value, ["--out", str(path)])
        assert f"the disk of {small} is full" in said and "run the same command again" in said
        assert path.read_text() == "old" and list(small.iterdir()) == [path]
        # HDF5 may crash later on, when it frees a file that it could not write. So nothing is freed here.
        os._exit(0)

    child = get_context("fork").Process(target=meet)
    child.start()
    child.join()
    assert child.exitcode == 0, "its traceback is on standard error"


def test_another_error_is_none_of_a_full_disk(tmp_path):
    assert full_disk(OSError(2, "No such file"), [str(tmp_path / "a")]) == ""
    assert full_disk(RuntimeError("shape mismatch")) == ""


@pytest.mark.parametrize(
    "error, status, said", [(KeyboardInterrupt(), 130, "Interrupted"), (OSError(28, "full"), 1, "is full")]
)
def test_a_command_ends_in_one_line(monkeypatch, capsys, error, status, said):
    class Command:
        @staticmethod
        def add_arguments(parser):
            pass

        @staticmethod
        def run(arguments):
            raise error

    monkeypatch.setattr("importlib.import_module", lambda name: Command)
    assert main([commands.find("status").name]) == status
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown and len(shown.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_limit_of_memory_is_said_in_one_line(finished):
    # PyTorch's library alone is larger than this limit.
    command = f"ulimit -v 1500000; exec {shlex.quote(sys.executable)} -m sat rerun results/tiny/clean/vit.h5"
    environment = {**os.environ, "PYTHONPATH": str(finished.folder / "workflow"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", command], cwd=finished.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "there is too little memory" in done.stderr.strip().splitlines()[-1]
