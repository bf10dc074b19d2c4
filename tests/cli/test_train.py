"""A killed training goes on from its last epoch, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from projects import Project
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow
SETTINGS = {
    "epochs": 5,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "crop_scale": 0.5,
    "auto_augment": "rand-m9-mstd0.5-inc1",
    "mixup": 0.4,
    "cutmix": 1.0,
    "dropout": 0.1,
    "drop_path": 0.1,
}
# The command, but that it is killed in the middle of the epoch after the first checkpoint.
KILLED = """
import os
import signal
import sys
import torch
from sat.__main__ import main
from sat.store.checkpoint import Checkpoint
write, backward = Checkpoint.write, torch.Tensor.backward
left = []
def write_and_count(*words):
    write(*words)
    left[:] = range(3)
def backward_or_die(*words, **more):
    if left and left.pop() == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return backward(*words, **more)
Checkpoint.write, torch.Tensor.backward = write_and_count, backward_or_die
sys.exit(main())
"""


def step(project: Project) -> str:
    """The step of a training with other settings."""
    return Plan(load_study([project.folder / "config.yaml"], {"training": SETTINGS})).weights("vit").json


def words(out: str, *more: str) -> list[str]:
    """The command line as Snakemake would call it, with another output."""
    return ["train", "--images", "results/tiny/images/train.h5", "--out", out, *more]


def checkpoints(project: Project, out: str) -> list[Path]:
    return sorted((project.folder / out).parent.glob(f".{Path(out).name}.checkpoints-*/*.pt"))


def sidecar(project: Project, out: str) -> dict[str, Any]:
    return json.loads((project.folder / f"{out}.json").read_text())


def test_a_killed_training_resumes_to_the_same_bytes(project: Project) -> None:
    killed, whole = "results/tiny/killed.safetensors", "results/tiny/whole.safetensors"
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-c", KILLED, *words(killed, "--checkpoint-seconds", "0"))
    first_try = project.call(*command, environment=environment, given=step(project))
    assert first_try.returncode == -signal.SIGKILL, first_try.stderr
    assert len(checkpoints(project, killed)) == 1
    done = len(re.findall(r"epoch \d of 5: ", first_try.stderr))
    assert done == 1, "killed in the middle"
    assert not (project.folder / killed).exists()

    # Other processes that prepare images, and another time between checkpoints.
    again = project.sat(*words(killed, "--workers", "2"), given=step(project))
    assert again.returncode == 0, again.stderr
    assert f"{done} of 5 epochs were finished" in again.stderr
    uninterrupted = project.sat(*words(whole), given=step(project))
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    first, second = sidecar(project, killed), sidecar(project, whole)
    assert first["sha256"] == second["sha256"]
    assert (first["facts"]["n_resumed"], second["facts"]["n_resumed"]) == (done, 0)
    losses = [[record["loss"] for record in record_of["facts"]["history"]] for record_of in (first, second)]
    assert losses[0] == losses[1] and len(losses[0]) == 5
    assert re.search(r"epoch 5 of 5: loss [\d.]+, accuracy [\d.]+, \d+ images/s, about 0 s left", again.stderr)
    assert not list(project.results.glob(".*checkpoints*")), "nothing is left behind"


def test_images_that_are_read_one_at_a_time_give_the_same_weights(project: Project) -> None:
    """As where they are too many to be kept: by two processes, each with a handle of its own."""
    code = (
        "import sys; import sat.store.chunks as chunks; chunks.Images.__init__.__defaults__ = (0,); "
        "from sat.__main__ import main; sys.exit(main())"
    )
    environment = {**os.environ, "PYTHONPATH": str(project.folder / "workflow"), "OMP_NUM_THREADS": "1"}
    digests = []
    for number, how in enumerate((["-m", "sat"], ["-c", code])):
        out = f"results/tiny/{number}.safetensors"
        command = (sys.executable, *how, *words(out, "--workers", "2"))
        done = project.call(*command, environment=environment, given=step(project))
        assert done.returncode == 0, done.stderr
        digests.append(sidecar(project, out)["sha256"])
    assert digests[0] == digests[1]
