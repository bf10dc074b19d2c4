"""The folders of examples/, copied elsewhere and run there, with weights that are made here."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import foolbox
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import forks
from projects import ROOT

EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/study.yaml"))
TRUST = ("--config", "trust_code=true")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_an_example_is_short_and_described(folder: Path) -> None:
    for path in folder.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path
    assert f"[{folder.name}]({folder.name})" in (folder.parent / "README.md").read_text()
    assert (folder / "models.csv").is_file()


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copies an example to a folder that is not in the project."""
    return lambda name: Path(shutil.copytree(ROOT / "examples" / name, tmp_path / "elsewhere" / name))


def edit(folder: Path, rows: Mapping[str, Mapping[str, str]], **study: object) -> Path:
    """Keep these rows of the table, with these cells, and set keys of the study; return the folder of results."""
    with (folder / "models.csv").open(newline="") as stream:
        kept = [{**row, **rows[row["model"]]} for row in csv.DictReader(stream) if row["model"] in rows]
    with (folder / "models.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(dict.fromkeys(column for row in kept for column in row)), restval="")
        table.writeheader()
        table.writerows(kept)
    config = yaml.safe_load((folder / "study.yaml").read_text())
    for key, value in study.items():
        config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
    (folder / "study.yaml").write_text(yaml.safe_dump(config))
    return folder / "results" / config["study"]


def run(folder: Path, *words: str, **variables: str) -> None:
    done = forks.snakemake(
        folder,
        ("-s", str(ROOT / "Snakefile"), "--cores", "2", "--configfile", "study.yaml", *words, *TRUST),
        {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-4000:]


def cifar() -> tuple[Tensor, list[int]]:
    """The twenty test images of CIFAR-10 that foolbox brings, in [0, 1], and their labels."""
    paths = sorted((Path(foolbox.__file__).parent / "data").glob("cifar10_*.png"))
    images = [np.array(Image.open(path).convert("RGB")) for path in paths]
    labels = [int(path.stem.rpartition("_")[2]) for path in paths]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255, labels


def write_images(folder: Path, labels: list[int], classes: int) -> dict[str, object]:
    """A folder of these images, a sub-folder a class, and what a study says of it."""
    for number, (image, label) in enumerate(zip(cifar()[0], labels, strict=True)):
        place = folder / "images" / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * image).byte().permute(1, 2, 0).numpy()).save(place / f"{number:02}.png")
    (folder / "classes.txt").write_text("".join(f"class{number}\n" for number in range(classes)))
    return {"root": "images", "class_map": "classes.txt", "canvas": 32, "crop_pct": 1.0, "attack_images": "all"}


def logits(results: Path, model: str) -> np.ndarray:
    """Logits that the study found, in the order of `cifar`."""
    with h5py.File(results / "images/eval.h5") as images, h5py.File(results / f"clean/{model}.h5") as clean:
        order = np.argsort([Path(name).name for name in images["name"].asstr()[:]])
        return clean["eval_logits"][:][order].astype(np.float64)


def expected(net: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return net.eval()((cifar()[0] - MEAN) / STD).double().numpy()


@pytest.mark.slow
def test_published_checkpoints(copied: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied("checkpoints")
    monkeypatch.syspath_prepend(folder)
    from importlib import import_module

    nets = {}
    for depth, file in ((20, "resnet20-12fca82f.th"), (56, "resnet56-4bfd9763.th")):
        torch.manual_seed(depth)
        nets[f"resnet{depth}"] = net = import_module("resnet").resnet(10, depth)
        # Published files are of this kind: in parallel, and without counts of batches.
        state = {f"module.{name}": value for name, value in net.state_dict().items() if "num_batches" not in name}
        torch.save({"state_dict": state, "best_prec1": 91.7}, folder / file, _use_new_zipfile_serialization=False)
    sys.modules.pop("resnet")
    results = edit(
        folder, {name: {} for name in nets}, images=write_images(folder, cifar()[1], 10), on_low_accuracy="flag"
    )
    run(folder, "--until", "clean")
    for name, net in nets.items():
        np.testing.assert_allclose(logits(results, name), expected(net), rtol=2e-3, atol=2e-2)


@pytest.mark.slow
def test_torchvisions_and_timms_net_of_the_same_weights_are_alike(copied: Callable[[str], Path]) -> None:
    from torchvision.models import resnet18

    folder = copied("torchvision")
    torch.manual_seed(0)
    net = resnet18()
    (folder / "torch/hub/checkpoints").mkdir(parents=True)
    torch.save(net.state_dict(), folder / "torch/hub/checkpoints/resnet18-f37072fd.pth")
    repository = folder / "hub/models--timm--resnet18.tv_in1k"
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
    save_file(net.state_dict(), repository / "snapshots" / COMMIT / "model.safetensors")
    found = expected(net)
    other = {"input_size": "32", "published_top1": "", "n_parameters": "11689512", "gmacs": "0.1"}
    results = edit(
        folder,
        {
            "tv-v1": {**other, "option.name": "resnet18"},
            "timm-tv": {**other, "architecture": "resnet18.tv_in1k"},
        },
        images=write_images(folder, found.argmax(1).tolist(), 1000),
        attack={"steps": 2},
        measures=["cka"],
    )
    run(folder, "--until", "similarity", TORCH_HOME=str(folder / "torch"), HF_HUB_CACHE=str(folder / "hub"))
    for name in ("tv-v1", "timm-tv"):
        np.testing.assert_allclose(logits(results, name), found, rtol=2e-3, atol=2e-2)
    pairs = pd.read_parquet(results / "similarity/pairs.parquet")
    # A net's images fool the same net of the other library as they fool itself.
    assert (pairs["n_both_correct"] == 20).all()
    assert pairs.groupby("source")["n_fooled"].nunique().eq(1).all()


@pytest.mark.slow
def test_nets_of_transformers(copied: Callable[[str], Path]) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = copied("transformers")
    tiny = {
        "hf-deit": ("vit", "facebook/deit-tiny-patch16-224", {"image_size": 32, "patch_size": 8, "hidden_size": 24}),
        "hf-convnext": ("convnext", "facebook/convnext-tiny-224", {"hidden_sizes": [4, 8, 8, 16]}),
    }
    rows, nets = {}, {}
    for model, (kind, name, settings) in tiny.items():
        more = {"vit": {"num_attention_heads": 3, "intermediate_size": 32, "num_hidden_layers": 2}}.get(kind, {})
        settings = {**settings, **more}
        config = transformers.AutoConfig.for_model(kind, num_labels=1000, **settings)
        torch.manual_seed(0)
        nets[model] = transformers.AutoModelForImageClassification.from_config(config)
        repository = folder / f"hub/models--{name.replace('/', '--')}"
        nets[model].save_pretrained(repository / "snapshots" / COMMIT)
        (repository / "refs").mkdir()
        (repository / "refs/main").write_text(COMMIT)
        options = {f"option.{option}": str(value) for option, value in settings.items()}
        rows[model] = {"input_size": "32", "n_parameters": "", "gmacs": "", **options}
    found = {model: expected(Logits(net)) for model, net in nets.items()}
    labels = found["hf-deit"].argmax(1).tolist()
    flagged = {"on_low_accuracy": "flag", "clusters": {"k": 2}}
    results = edit(folder, rows, images=write_images(folder, labels, 1000), attack={"steps": 1}, **flagged)
    run(folder, "--until", "code", HF_HUB_CACHE=str(folder / "hub"))
    # After that, no job needs the hub.
    run(folder, "--until", "attack", HF_HUB_CACHE=str(folder / "none"))
    for model in nets:
        np.testing.assert_allclose(logits(results, model), found[model], rtol=2e-3, atol=2e-2)
        assert (results / f"adversarial/{model}.h5").is_file()


class Logits(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images).logits


@pytest.mark.slow
def test_an_adversarially_trained_net_is_hardly_attackable(copied: Callable[[str], Path]) -> None:
    folder = copied("adversarial_training")
    train = folder / "train.py"
    train.write_text(re.sub(r"EPOCHS = 24 / 255, \d+", "EPOCHS = 24 / 255, 6", train.read_text()))
    for words in (["pictures.py"], ["train.py", "plain1.pth", "1", "0"], ["train.py", "robust1.pth", "1", "3"]):
        subprocess.run([sys.executable, *words], cwd=folder, check=True)
    results = edit(folder, {"plain1": {}, "robust1": {}}, images={"attack_images": 100}, attack={"steps": 5})
    run(folder, "--until", "similarity")
    models = pd.read_csv(results / "similarity/models.csv", index_col=0)
    assert (models["accuracy"] > 0.9).all()
    assert models.loc["plain1", "whitebox"] > 0.9 and not models.loc["plain1", "low_whitebox"]
    assert models.loc["robust1", "whitebox"] < 0.5 and models.loc["robust1", "low_whitebox"]
