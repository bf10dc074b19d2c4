"""A study with nets of one's own, from a code file beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - h5py reads images with it
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from conftest import TINY
from projects import ROOT, Project, locked_copy, unwrapped
from sat.models.classifier import load_classifier
from sat.study.code import CONSENT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples/own_nets"
TRUST = ("--config", "trust_code=true")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(folder: Path) -> None:
        config = yaml.safe_load((EXAMPLE / "study.yaml").read_text())
        shorter = {name: TINY[name] for name in ("study", "images", "training", "attack")}
        project = Project.new(folder, {**config, **shorter})
        for name in ("my_nets.py", "blocks.py", "train.py", "models.csv"):
            shutil.copy(EXAMPLE / name, folder / name)
        for seed, name in enumerate(("saved.pth", "ready.pth")):
            subprocess.run([sys.executable, "train.py", name, str(seed)], cwd=folder, check=True)
        refused = project.snakemake()
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and "my_nets.py (digest" in said and "trust_code=true" in said, said
        assert not list(project.results.glob("weights/*"))
        project.run(*TRUST, "--until", "code")
        # It is fetched once.
        (folder / "ready.pth").rename(folder / "offline.pth")
        project.run(*TRUST)

    return Project(locked_copy(shared / "code_files", make))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No other test meets the modules of these."""
    yield
    sys.dont_write_bytecode = False
    for name in ("my_nets", "blocks"):
        sys.modules.pop(name, None)


@pytest.fixture
def project(own: Project, tmp_path: Path) -> Project:
    return own.copy(tmp_path / "a copy")


def test_nets_are_the_users_own(own: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, "1")
    sys.path.insert(0, str(own.folder))
    try:
        from importlib import import_module

        net: nn.Module = import_module("my_nets").small(10)
    finally:
        sys.path.remove(str(own.folder))
        for name in ("my_nets", "blocks"):
            del sys.modules[name]
    net.load_state_dict(torch.load(own.folder / "saved.pth", weights_only=True))
    net.eval()
    with h5py.File(own.results / "images/eval.h5") as images, h5py.File(own.results / "clean/saved.h5") as clean:
        unit = torch.from_numpy(images["image"][:]).float() / 255
        with torch.no_grad():
            expected = net((unit - 0.5) / 0.5).numpy()
        found = clean["eval_logits"][:].astype(np.float64)
        assert (images["label"][:] == expected.argmax(1)).mean() > 0.8
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-2)
    assert load_classifier(own.results / "weights/trained.safetensors").net.fc.in_features == 48


def test_transfer_is_what_torchattacks_finds(own: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchattacks

    monkeypatch.setenv(CONSENT, "1")
    nets = {name: load_classifier(own.results / f"weights/{name}.safetensors") for name in ("saved", "ready", "timm")}
    pairs = pd.read_parquet(own.results / "similarity/pairs.parquet").set_index(["source", "target"])
    with h5py.File(own.results / "images/attack.h5") as file:
        unit, label = torch.from_numpy(file["image"][:]).float() / 255, torch.from_numpy(file["label"][:]).long()
    for source, net in nets.items():
        torch.manual_seed(0)
        attack = torchattacks.PGD(net, eps=24 / 255, alpha=8 / 255, steps=3)
        adversarial = attack(unit, label)
        for target, other in nets.items():
            if source == target:
                continue
            with torch.no_grad():
                right = (net(unit).argmax(1) == label) & (other(unit).argmax(1) == label)
                fooled = (other(adversarial).argmax(1) != label)[right].float().mean().item()
            found = pairs.loc[source, target]
            assert found["n_both_correct"] == int(right.sum())
            # The start is another draw, and sizes are rounded to grey levels: 5 of 48 images.
            assert abs(found["rate"] - fooled) < 0.11, (source, target, found["rate"], fooled)


def test_measures_of_features_take_the_layer_and_leave_out_who_names_none(own: Project) -> None:
    table = pd.read_csv(own.results / "analysis/measures_pairs.csv")
    cka = table.dropna(subset=["cka"])
    assert set(cka["model_a"]) | set(cka["model_b"]) == {"trained", "saved", "timm"}
    assert len(table.dropna(subset=["agreement"])) == 6


def test_a_second_run_has_nothing_to_do_and_looking_needs_no_consent(project: Project) -> None:
    assert project.planned() == {}
    assert project.sat("verify", "--full").returncode == 0
    assert "Nothing to be done" in project.run(*TRUST)


def test_an_archive_brings_the_nets_and_no_consent(own: Project, tmp_path: Path) -> None:
    archive, study = str(tmp_path / "own.zip"), "studies/tiny/study.yaml"
    assert own.sat("export", "-o", archive).returncode == 0
    lab = Project.new(tmp_path / "lab")
    done = lab.sat("import", archive)
    assert "weights of ready: from a code file" in unwrapped(done.stdout), done.stdout + done.stderr
    assert lab.planned("--configfile", study) == {}
    place = lab.folder / "studies/tiny"
    assert {path.name for path in place.iterdir()} == {"study.yaml", "models.csv", "my_nets.py", "blocks.py"}
    shutil.copy(own.folder / "saved.pth", place)
    shutil.copy(own.folder / "offline.pth", lab.folder / "ready.pth")
    refused = lab.sat("restore", study, "--with", "images,weights")
    assert refused.returncode == 1 and refused.stdout.count("runs with all your rights") == 3, refused.stdout
    assert [path.name for path in (lab.results / "weights").glob("*.safetensors")] == ["timm.safetensors"]
    done = lab.sat("restore", study, "--with", "weights", *TRUST)
    assert done.returncode == 0 and done.stdout.count("the same, and kept") == 3, done.stdout + done.stderr
    assert lab.state("weights/*.safetensors").keys() == own.state("weights/*.safetensors").keys()
    refused = lab.sat("reproduce", study, "--stages", "train")
    assert refused.returncode == 1 and "my_nets.py (digest" in refused.stderr and refused.stdout == ""


def test_another_code_reruns_exactly_its_own_nets(project: Project) -> None:
    (project.folder / "blocks.py").write_text((EXAMPLE / "blocks.py").read_text().replace("ReLU", "GELU"))
    planned = project.planned()
    assert planned["train"] == ["weights/trained.safetensors"]
    assert planned["checkpoint"] == ["weights/saved.safetensors"] and planned["code"] == ["weights/ready.safetensors"]
    assert planned["attack"] == [f"adversarial/{name}.h5" for name in ("ready", "saved", "trained")]
    done = project.sat("verify")
    assert done.returncode == 1 and "weights/timm" not in done.stdout and "weights/saved" in done.stdout
    before = project.state("weights/timm*")
    (project.folder / "offline.pth").rename(project.folder / "ready.pth")
    project.run(*TRUST, "--until", "clean")
    assert project.state("weights/timm*") == before


def test_a_changed_copy_of_the_code_is_found_and_mended(project: Project) -> None:
    (copy,) = (project.results / "code").iterdir()
    (copy / "blocks.py").write_text((EXAMPLE / "blocks.py").read_text().replace("ReLU", "GELU"))
    done = project.sat("verify")
    assert done.returncode == 1 and "has been changed. Delete the folder" in done.stdout
    project.run(*TRUST)
    assert project.sat("verify").returncode == 0


def test_consent_in_a_profile_or_the_study_is_refused(project: Project, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    profile.mkdir()
    (profile / "config.yaml").write_text("config: [trust_code=true]\n")
    refused = project.snakemake("--profile", str(profile))
    assert refused.returncode == 1 and "stands in a config file or a profile" in refused.stdout + refused.stderr
    project.configure(trust_code=True)
    refused = project.snakemake()
    assert refused.returncode == 1 and "stands in a config file or a profile" in refused.stdout + refused.stderr
