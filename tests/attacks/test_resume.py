"""A killed attack goes on where it was, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from projects import Project
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow


L2 = {"method": "pgd_l2", "eps": 4.0, "step": 1.0}
# The command, but that it is killed as soon as a part of the images is done.
KILLED = """
import os
import signal
import sys
from sat.__main__ import main
from sat.store.parts import Parts
write = Parts.write
def write_and_die(*words, **arrays):
    write(*words, **arrays)
    os.kill(os.getpid(), signal.SIGKILL)
Parts.write = write_and_die
sys.exit(main())
"""


def step(project: Project, steps: int, **attack: object) -> str:
    """The attack's step, with other settings."""
    changes = {"attack": {"steps": steps, **attack}}
    return Plan(load_study([project.folder / "config.yaml"], changes)).adversarial("vit").json


def words(out: str) -> list[str]:
    """The attack's command line, as Snakemake would call it, with another output."""
    inputs = {"weights": "weights/vit.safetensors", "images": "images/attack.h5", "clean": "clean/vit.h5"}
    named = [word for name, path in inputs.items() for word in (f"--{name}", f"results/tiny/{path}")]
    return ["attack", *named, "--out", out, "--batch", "16"]


def parts(project: Project, out: str) -> list[Path]:
    return sorted((project.folder / out).parent.glob(f".{Path(out).name}.parts-*/*.part"))


def digest(project: Project, out: str) -> dict[str, object]:
    return json.loads((project.folder / f"{out}.json").read_text())


@pytest.fixture
def everything_right(project: Project) -> Project:
    """The net is hardly trained: take what it says for the truth, so that there is something to attack."""
    import h5py

    from sat.store import hdf5
    from sat.store.artefact import SEAL, content_account, read_sidecar, write_sidecar

    with h5py.File(project.results / "clean/vit.h5") as file:
        prediction = file["attack_prediction"][:]
    hdf5.codec()  # HDF5 knows it from then on
    with h5py.File(project.results / "images/attack.h5", "r+") as file:
        file["label"][:] = prediction
        del file.attrs[hdf5.DIGEST]
        file.attrs[hdf5.DIGEST] = hdf5.content_digest(file)
    images = project.results / "images/attack.h5"
    record = {key: value for key, value in read_sidecar(images).items() if key != SEAL}
    write_sidecar(f"{images}.json", {**record, **content_account(images)})
    return project


@pytest.mark.parametrize("attack", [{}, L2], ids=["pgd_linf", "pgd_l2"])
def test_a_killed_attack_resumes_to_the_same_bytes(everything_right: Project, attack: dict[str, object]) -> None:
    project, steps = everything_right, 12
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-c", KILLED, *words("results/tiny/killed.h5"))
    given = step(project, steps, **attack)
    done = project.call(*command, environment=environment, given=given)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "attack vit: 48 images, 12 steps, 16 at once; after a stop it goes on from the last" in done.stderr
    left = len(parts(project, "results/tiny/killed.h5"))
    assert left == 1, "killed in the middle: there are three"
    assert not (project.results / "killed.h5").exists()
    before = {path: path.stat().st_mtime_ns for path in parts(project, "results/tiny/killed.h5")}

    # A batch of another size may finish what one of 16 began.
    again = words("results/tiny/killed.h5")[:-1]
    done = project.sat(*again, "32", given=given)
    assert done.returncode == 0, done.stderr
    assert f"{16 * left} items are there" in done.stderr
    whole = project.sat(*words("results/tiny/whole.h5"), given=given)
    assert whole.returncode == 0, whole.stderr
    killed, uninterrupted = (digest(project, f"results/tiny/{name}.h5") for name in ("killed", "whole"))
    assert killed["sha256"] == uninterrupted["sha256"]
    assert (killed["facts"]["n_resumed"], uninterrupted["facts"]["n_resumed"]) == (16 * left, 0)
    assert killed["facts"]["n_attacked"] == 48
    assert before and not list(project.results.glob(".*parts*")), "nothing is left behind"


def test_parts_of_other_settings_are_not_taken(everything_right: Project) -> None:
    project, out = everything_right, "results/tiny/other.h5"
    stale = project.results / ".other.h5.parts-0123456789abcdef"
    stale.mkdir()
    (stale / "000000000-000000016.npz").write_bytes(b"from long ago")
    done = project.sat(*words(out), given=step(project, 2))
    assert done.returncode == 0, done.stderr
    assert not stale.exists()
    assert digest(project, out)["facts"]["n_resumed"] == 0


def test_parts_of_another_number_of_threads_are_not_joined(everything_right: Project) -> None:
    project, out = everything_right, "results/tiny/killed.h5"
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
    given = step(project, 2)
    done = project.call(sys.executable, "-c", KILLED, *words(out), environment=environment, given=given)
    assert done.returncode == -signal.SIGKILL and len(parts(project, out)) == 1, done.stderr
    done = project.sat(*words(out), "--threads", "2", given=given)
    assert done.returncode == 0, done.stderr
    assert "had another threads (1, now 2)" in done.stderr
    made = digest(project, out)
    assert made["facts"]["n_resumed"] == 0 and made["run"]["threads"] == 2
    assert not list(project.results.glob(".*parts*"))
