"""Files of both codecs are read, the plugin is loaded only where it is needed, and its absence is explained."""

import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest

from sat.errors import SatError
from sat.store import hdf5
from sat.store.chunks import Images

VALUES = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), np.uint8)
GZIP = {"compression": "gzip", "compression_opts": 1}
"""The codec of files that were written before Zstandard was chosen."""
ABSENT = "import sys; sys.modules['hdf5plugin'] = None"
"""An import fails then, as where the package is not installed."""


def write(path, storage=None):
    with hdf5.writing(path) as file:
        if storage:
            file.create_dataset("image", data=VALUES, chunks=(1, 3, 8, 8), **storage)
        else:
            hdf5.image_dataset(file, "image", VALUES.shape, np.uint8)[:] = VALUES
    return path


def run(*lines):
    """Run a program in a process of its own, since a process that has loaded the plugin keeps it."""
    program = "\n".join(["import sys", *lines])
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)


def read(path):
    return f"from sat.store import hdf5\nwith hdf5.reading({str(path)!r}) as file: print(file['image'][:].sum())"


def test_files_of_gzip_are_read_without_the_plugin(tmp_path):
    path = write(tmp_path / "a.h5", GZIP)
    assert run(ABSENT, read(path)).stdout == f"{VALUES.sum()}\n"
    done = run(read(path), "assert 'hdf5plugin' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_files_of_zstandard_are_read_by_a_process_that_has_not_loaded_the_plugin(tmp_path):
    path = write(tmp_path / "a.h5")
    assert run(read(path)).stdout == f"{VALUES.sum()}\n"
    # Worker processes get images without having opened their file.
    images = tmp_path / "images.pickle"
    images.write_bytes(pickle.dumps(Images(path, in_memory=0)))
    done = run(
        f"import pickle, numpy as np; images = pickle.load(open({str(images)!r}, 'rb'))",
        "print(images[np.arange(20)].sum())",
    )
    assert done.stdout == f"{VALUES.sum()}\n", done.stderr


def test_a_process_without_the_plugin_says_what_to_install(tmp_path):
    path = write(tmp_path / "a.h5")
    for work in (
        read(path),
        f"from sat.store.chunks import Images; Images({str(path)!r})",
        f"from sat.store import hdf5\nwith hdf5.writing({str(tmp_path / 'b.h5')!r}) as file:"
        " hdf5.image_dataset(file, 'image', (1, 3, 8, 8), 'u1')",
    ):
        # As every command: main prints what went wrong.
        indented = "\n".join(f"    {line}" for line in work.splitlines())
        done = run(
            ABSENT,
            "import sat.__main__ as program",
            f"def work(*_):\n{indented}",
            "program._run = work; sys.exit(program.main(['command']))",
        )
        assert done.returncode == 1 and "pip install hdf5plugin" in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [path], "nothing half written is left"


@pytest.mark.parametrize("storage", [{"compression": "lzf"}, {"compression": 32008, "compression_opts": (0, 2)}])
def test_a_file_that_needs_another_plugin_is_refused(tmp_path, storage):
    if storage["compression"] == 32008:
        import hdf5plugin  # noqa: F401 as whoever made the file
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=VALUES, **storage)
    with (
        pytest.raises(SatError, match=r"a\.h5: 'image' is packed with filter 320\d\d of HDF5"),
        hdf5.reading(tmp_path / "a.h5"),
    ):
        pass


def test_the_codec_does_not_count_in_the_digest(tmp_path):
    one, other = write(tmp_path / "a.h5"), write(tmp_path / "b.h5", GZIP)
    assert hdf5.stored_digest(one) == hdf5.stored_digest(other)
    assert one.read_bytes() != other.read_bytes()
