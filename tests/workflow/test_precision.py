"""A finished study with other precisions, run by Snakemake itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import TINY
from projects import Project
from sat.store import hdf5
from sat.store.provenance import differences, read_settings

pytestmark = pytest.mark.slow


def sidecar(project: Project, name: str) -> dict[str, Any]:
    return json.loads((project.results / f"{name}.json").read_text())


def test_precisions_rerun_what_they_change_and_stand_in_the_sidecars(project: Project) -> None:
    assert sidecar(project, "clean/vit.h5")["run"]["precision"]["computed"] == "float32"
    project.configure(attack={**TINY["attack"], "precision": "float32"}, evaluation={"precision": "float32"})
    assert project.planned() == {}

    kept = project.state("weights/*") | project.state("images/*") | project.state("clean/*")
    project.configure(attack={**TINY["attack"], "precision": "bfloat16"})
    planned = project.planned()
    assert {"attack", "evaluate", "similarity"} <= set(planned)
    assert not {"images", "train", "clean", "gate"} & set(planned)

    with hdf5.reading(project.results / "clean/vit.h5") as file:
        clean = {name: file[name][:] for name in ("eval_prediction", "eval_logits", "attack_features")}
    with hdf5.reading(project.results / "adversarial/vit.h5") as file:
        before = file["perturbation"][:]
    project.configure(attack={**TINY["attack"], "precision": "bfloat16"}, evaluation={"precision": "tf32"})
    log = project.run()
    assert "rule clean" in log and "rule gate" in log
    assert project.sat("verify", "--full").returncode == 0
    state = project.state("*/*")
    assert all(state[name] == was for name, was in kept.items() if not name.startswith("clean/"))

    # A CPU has no TF32, so the predictions are those of float32; the attack has changed.
    with hdf5.reading(project.results / "clean/vit.h5") as file:
        assert all((file[name][:] == was).all() for name, was in clean.items())
    with hdf5.reading(project.results / "adversarial/vit.h5") as file:
        assert 0 < (file["perturbation"][:] != before).mean() < 0.5
    attacked, predicted, tile = (
        sidecar(project, name)["run"]["precision"]
        for name in ("adversarial/vit.h5", "clean/vit.h5", "tiles/c1-000/c1-000.h5")
    )
    assert (attacked["asked"], attacked["computed"]) == ("bfloat16", "bfloat16")
    assert predicted == tile and (tile["asked"], tile["computed"]) == ("tf32", "float32")
    for account in (attacked, tile):
        assert account["deterministic"] is True and account["memory_format"] == "channels_last"
        assert not (account["matmul_tf32"] or account["convolution_tf32"] or account["cudnn_benchmark"])

    # Another matrix is told that these settings differ.
    settings = read_settings(project.results / "similarity/sat.csv")
    assert settings and settings["precision"] == "bfloat16" and settings["evaluation precision"] == "tf32"
    exact = {name: value for name, value in settings.items() if "precision" not in name}
    told = differences(exact, settings)
    assert told == ["precision bfloat16 instead of None", "evaluation precision tf32 instead of None"]
