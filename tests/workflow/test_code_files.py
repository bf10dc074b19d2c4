"""A study with nets of one's own, from a code file beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from conftest import ROWS, TINY
from projects import Project, locked_copy
from sat.models.classifier import load_classifier
from sat.study.code import CONSENT

pytestmark = pytest.mark.slow

NETS = '''
"""Nets that timm does not have."""
from torch import nn
from blocks import block

class Small(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.layers = nn.Sequential(block(3, width), block(width, 2 * width), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x):
        return self.fc(self.layers(x))

def small(num_classes, width=8):
    return Small(num_classes, width)

def ready(num_classes, pretrained):
    """A net that brings its weights, as one from a library would."""
    import torch
    net = Small(num_classes, 8)
    if pretrained:
        net.load_state_dict(torch.load("ready.pth", weights_only=True))
    return net
'''
BLOCKS = """
from torch import nn

def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())
"""
SCRIPT = '''
"""A plain script of a user, which knows nothing of the project."""
import sys
import torch
from torch.nn.functional import cross_entropy, interpolate
from sklearn.datasets import load_digits
import my_nets

torch.manual_seed(int(sys.argv[2]))
digits = load_digits()
x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
x, y = interpolate(x, (32, 32), mode="bicubic").clip(0, 1), torch.tensor(digits.target)
net = my_nets.small(10)
optimiser = torch.optim.Adam(net.parameters(), 0.01)
for step in range(120):
    rows = torch.randint(len(x), (64,))
    loss = cross_entropy(net((x[rows] - 0.5) / 0.5), y[rows])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
torch.save(net.state_dict(), sys.argv[1])
'''


def row(model: str, architecture: str, weights: str, **more: str) -> dict[str, str]:
    columns = dict.fromkeys(("input_size", "mean", "std", "features", "classes", "option.width"), "")
    return {"model": model, "architecture": architecture, "weights": weights, "family": "own", **columns, **more}


HALF = {"mean": "0.5", "std": "0.5"}
TABLE = [
    row("trained", "my_nets:small", "train", **HALF, features="fc", **{"option.width": "6"}),
    row("saved", "my_nets:small", "saved.pth", **HALF, input_size="32", features="fc"),
    row("ready", "my_nets:ready", "code", **HALF, input_size="32", classes="10"),
    row("timm", ROWS[0]["architecture"], "train"),
]
TRUST = ("--config", "trust_code=true")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The study, run once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(folder: Path) -> None:
        project = Project.new(folder, {**TINY, "code": "my_nets.py", "measures": ["cka", "agreement"]}, TABLE)
        for name, text in (("my_nets.py", NETS), ("blocks.py", BLOCKS), ("script.py", SCRIPT)):
            (folder / name).write_text(text)
        for seed, name in enumerate(("saved.pth", "ready.pth")):
            subprocess.run([sys.executable, "script.py", name, str(seed)], cwd=folder, check=True)
        refused = project.snakemake()
        said = refused.stdout + refused.stderr
        assert refused.returncode == 1 and "my_nets.py (digest" in said and "trust_code=true" in said, said
        assert not list(project.results.glob("weights/*"))
        project.run(*TRUST, "--until", "code")
        # It is fetched once.
        (folder / "ready.pth").rename(folder / "offline.pth")
        project.run(*TRUST)

    return Project(locked_copy(shared / "code_files", make))


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
            sys.modules.pop(name)
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
    for name in ("my_nets", "blocks"):
        sys.modules.pop(name)


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


def test_another_code_reruns_exactly_its_own_nets(project: Project) -> None:
    (project.folder / "blocks.py").write_text(BLOCKS.replace("ReLU", "GELU"))
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
    (copy / "blocks.py").write_text(BLOCKS.replace("ReLU", "GELU"))
    done = project.sat("verify")
    assert done.returncode == 1 and "is not the code of its name" in done.stdout
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
