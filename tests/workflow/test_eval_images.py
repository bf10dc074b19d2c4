"""A study that evaluates some of its images."""

from __future__ import annotations

import json

import h5py
import hdf5plugin  # noqa: F401 - h5py reads images with it
import numpy as np
import pytest

from conftest import TINY
from projects import Project

pytestmark = pytest.mark.slow


def test_fewer_evaluation_images_are_a_prefix_and_retrain_nothing(project: Project) -> None:
    with h5py.File(project.results / "images/eval.h5") as file:
        names, levels = file["name"].asstr()[:].tolist(), file["image"][:]
    with h5py.File(project.results / "clean/vit.h5") as file:
        whole = file["eval_prediction"][:]
    kept = project.state("weights/*") | project.state("images/attack.h5*") | project.state("images/train.h5*")
    # What is there already is described as before: without the key, or with all.
    project.configure(images={**TINY["images"], "eval_images": "all"})
    assert project.planned() == {}
    project.configure(images={**TINY["images"], "eval_images": 100})
    assert set(project.planned()) >= {"images", "clean", "gate", "attack"}
    project.run()
    with h5py.File(project.results / "images/eval.h5") as file:
        assert file["name"].asstr()[:].tolist() == names[:100] and (file["image"][:] == levels[:100]).all()
        labels, ids = file["label"][:], file["id"][:]
    with h5py.File(project.results / "images/attack.h5") as file:
        assert set(file["id"][:].tolist()) <= set(ids.tolist())
    with h5py.File(project.results / "clean/vit.h5") as file:
        found = file["eval_prediction"][:]
    # Batches end elsewhere, so a close call may turn.
    assert np.count_nonzero(found != whole[:100]) <= 1
    facts = json.loads((project.results / "clean/vit.h5.json").read_text())["facts"]
    assert (facts["n_images"], facts["n_correct"]) == (100, int((found == labels).sum()))
    assert kept == {name: state for name, state in project.state("**/*").items() if name in kept}
    assert project.sat("verify", "--full").returncode == 0
    study = json.loads((project.results / "study.json").read_text())
    assert study["params"]["config"]["images"]["eval_images"] == 100
