"""A folder of one's own, outside of the clone: from sat init to a matrix that torchattacks confirms."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - h5py reads images with it
import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchattacks
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import nn

import forks
from projects import Project

pytestmark = pytest.mark.slow

TRUST = ("--cores", "2", "--config", "trust_code=true")
# A training script as a lab has it. It knows nothing of this project, and reads the images by itself.
TRAIN = """
import sys
from pathlib import Path

import my_nets, numpy, torch
from PIL import Image

torch.manual_seed(0)
files = sorted(Path(sys.argv[1]).glob("*/*.png"))
images = torch.tensor(numpy.stack([numpy.asarray(Image.open(file).convert("RGB")) for file in files]))
images = (images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
labels = torch.tensor([int(file.parent.name) for file in files])
net = my_nets.small(10, 16)
optimiser = torch.optim.Adam(net.parameters(), 0.005)
for _ in range(250):
    rows = torch.randint(len(files), (64,))
    loss = torch.nn.functional.cross_entropy(net(images[rows]), labels[rows])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
torch.save(net.state_dict(), "lab.pth")
"""
TABLE = """\
model,architecture,weights,family,input_size,mean,std,features,option.width
resnet,test_resnet,train,conv,,0.5,0.5,,
byobnet,test_byobnet,train,conv,,0.5,0.5,,
mine,my_nets:small,lab.pth,own,32,0.5,0.5,fc,16
"""
EDITS = {
    "canvas": "32",
    "crop_pct": "1.0",
    "attack_images": "200",
    "epochs": "5",
    "eps": "24/255",
    "step": "6/255",
    "batch_size": "64",
}


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


class Normalised(nn.Module):
    """A net that sees images in [0, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net((images - 0.5) / 0.5)


def nets(folder: Path) -> Iterator[tuple[str, nn.Module]]:
    """The three nets, built by timm and by the user's own file."""
    for name in ("resnet", "byobnet"):
        net = timm.create_model(f"test_{name}", num_classes=10)
        net.load_state_dict(load_file(folder / f"results/my_study/weights/{name}.safetensors"))
        yield name, Normalised(net).eval()
    space: dict[str, object] = {"__name__": "my_nets"}
    exec((folder / "my_nets.py").read_text(), space)
    net = space["small"](10, 16)  # type: ignore[operator]
    net.load_state_dict(torch.load(folder / "lab.pth", weights_only=True))
    yield "mine", Normalised(net).eval()


def test_two_commands_after_sat_init_compare_a_net_of_ones_own_as_torchattacks_does(tmp_path: Path) -> None:
    clone, pictures, folder = Project.new(tmp_path / "the clone"), tmp_path / "pictures", tmp_path / "my study"
    before = files_of(clone.folder)
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (pictures / str(label)).mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((image * 255 / 16).round().astype(np.uint8))
        grey.resize((32, 32), Image.Resampling.BICUBIC).save(pictures / f"{label}/{number:04}.png")
    environment = {**os.environ, "PYTHONPATH": str(clone.folder / "workflow"), "OMP_NUM_THREADS": "1"}

    assert forks.sat(tmp_path, ("init", "my study", "--images", "pictures"), environment, "").returncode == 0
    (folder / "train.py").write_text(TRAIN)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "train.py", pictures], cwd=folder, env=alone, check=True)
    (folder / "models.csv").write_text(TABLE)
    study = (folder / "study.yaml").read_text()
    for key, value in EDITS.items():
        study, count = re.subn(rf"(?m)^(  {key}:) \S+", rf"\1 {value}", study)
        assert count, key
    (folder / "study.yaml").write_text(study)

    # The first command, and the second.
    checked = forks.sat(folder, ("check", "study.yaml"), environment, "")
    assert checked.returncode == 0 and "No problem was found." in checked.stdout, checked.stdout + checked.stderr
    words = [sys.executable, "-m", "sat", "run", "study.yaml", *TRUST, "--until", "similarity"]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"snakemake --snakefile '{clone.folder}/Snakefile'" in done.stderr, "it shows what it calls"
    assert files_of(clone.folder) == before, "results lie in the folder of the call"

    # The way that the documentation names does the same, so it finds nothing to do.
    call = ("-s", f"{clone.folder}/Snakefile", "--configfile", "study.yaml", *TRUST)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    again = forks.snakemake(folder, ("results/my_study/similarity/sat.csv", *call), environment)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr, again.stderr[-3000:]

    found = pd.read_csv(folder / "results/my_study/similarity/most_similar.csv").set_index(["model_a", "model_b"])
    matrix = pd.read_csv(folder / "results/my_study/similarity/sat.csv", index_col=0)
    with h5py.File(folder / "results/my_study/images/attack.h5") as file:
        unit, label = torch.from_numpy(file["image"][:]).float() / 255, torch.from_numpy(file["label"][:]).long()
    own, right, wrong = dict(nets(folder)), {}, {}
    for source, net in own.items():
        torch.manual_seed(1)
        adversarial = torchattacks.PGD(net, eps=24 / 255, alpha=6 / 255, steps=10)(unit, label)
        with torch.no_grad():
            right[source] = net(unit).argmax(1) == label
            for target, other in own.items():
                wrong[source, target] = other(adversarial).argmax(1) != label
    assert all(row.float().mean() > 0.8 for row in right.values()), "all three nets have learned the digits"
    off = 0
    for a, b in ((a, b) for a in own for b in own if a < b):
        both = right[a] & right[b]
        fooled = (wrong[a, b][both].sum() + wrong[b, a][both].sum()).item()
        sat = np.log(max(0.01, 100 * fooled / (2 * both.sum().item())))
        row = found.loc[(a, b) if (a, b) in found.index else (b, a)]
        assert row["n_both_correct"] == both.sum().item() and matrix.loc[a, b] == pytest.approx(row["sat"])
        # The interval is that of other images. The images are the same here, and only the random starts differ.
        assert row["sat_low"] <= sat <= row["sat_high"], (a, b, sat, dict(row))
        off += fooled < 2 * both.sum().item()
    assert off, "a matrix in which everything transfers would confirm nothing"
