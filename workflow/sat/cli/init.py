"""Write a study, a model table and a code file to start from.

The folder may lie anywhere. Results will lie in it too, in results/<study>/. No file is
overwritten.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from sat.errors import SatError

GROUP = "Prepare a study"

TABLE = """\
model,architecture,weights,family,input_size,mean,std,features
resnet,resnet18,train,resnet,,,,
convnext,convnext_atto,train,convnext,,,,
mine,my_nets:small,train,own,,0.5,0.5,fc
"""
NETS = '''\
"""Nets that timm does not have. The model table calls a function of this file by its name: my_nets:small.

A function takes the number of classes, and returns a net from normalised images (n, 3, S, S) to logits (n, classes).
How images are normalised stands in the table: columns mean and std. The weights are those of its column weights: train,
or the path of a checkpoint that you have (a state dict of this very net).
"""

from torch import Tensor, nn


class Small(nn.Module):
    """Two convolutions and a classifier. Put your own net in its place."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.fc = nn.Linear(8 * width, classes)  # its input is what the table's column features names

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        return self.fc(self.layers(images))


def small(num_classes: int, width: int = 32) -> nn.Module:
    """A column option.width of the table would fill `width`."""
    return Small(num_classes, width)
'''
HEAD = """\
# A study of your own. SAT/config.yaml has all keys and their defaults, SAT/docs/own-models.md says more about nets.
#   sat check study.yaml                                     reads everything, runs nothing
#   sat run study.yaml --cores 2 --config trust_code=true    the same as:
#   snakemake -s SAT/Snakefile --configfile study.yaml --cores 2 --config trust_code=true
# On a cluster, or on several GPUs, replace --cores 2 by --profile slurm, or --profile gpu.
"""
IMAGES = {
    "source": "folder # one sub-folder for each class",
    "root": "images",
    "canvas": "64",
    "crop_pct": "0.875",
    "train_fraction": "0.6",
    "attack_images": "all",
}
CHOSEN: dict[str, str | dict[str, str]] = {
    "study": "mine",
    "models": "models.csv",
    "code": "my_nets.py",
    "images": IMAGES,
    "training": {"epochs": "20", "batch_size": "64", "learning_rate": "0.002"},
    "min_accuracy": "0 # raise it to well above chance, which is 1 / number of classes",
    "attack": {"method": "pgd_linf", "eps": "8/255 # in grey levels of the canvas", "step": "2/255", "steps": "10"},
    "clusters": {"k": "2"},
    "compute": {"device": "cpu", "threads": "1", "batch_size": "128"},
}
"""Keys of the new study. Where the value has no comment of its own, that of config.yaml explains it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", help="folder of the study; it is made if it is not there")
    parser.add_argument("--images", metavar="PATH", help="folder with one sub-folder of images for each class")


def run(arguments: argparse.Namespace) -> None:
    """Write the files. If one of them exists, nothing is written."""
    from sat.cli.calls import CLONE
    from sat.store.files import replacing

    folder = Path(arguments.folder)
    files = {"study.yaml": _study(folder, arguments.images, CLONE), "models.csv": TABLE, "my_nets.py": NETS}
    # Snakemake looks for the name after --profile in the folder where it is called.
    links = {path.name: path for path in sorted((CLONE / "profiles").iterdir()) if path.name != "default"}
    if there := [str(folder / name) for name in (*files, *links) if os.path.lexists(folder / name)]:
        raise SatError(f"{', '.join(there)}: exist already, so nothing was written; name another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with replacing(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        for name, target in links.items():
            (folder / name).symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise SatError(f"{folder}: cannot be written ({error.strerror}).") from None
    print(f"{folder}: {', '.join(files)}; links to the profiles {' and '.join(links)}")
    if not arguments.images:
        print("Name the folder of your images in study.yaml (images: root), or call it images and put it there.")
    print(f"Then:\n  cd {shlex.quote(str(folder))}\n  sat check study.yaml")
    print("  sat run study.yaml --cores 2 --config trust_code=true")


def _study(folder: Path, images: str | None, clone: Path) -> str:
    """Text of the config file."""
    keys = {**CHOSEN, "study": re.sub(r"[^A-Za-z0-9._-]", "_", folder.resolve().name).strip("._-")[:60] or "mine"}
    if images is not None:
        place, home = Path(images).expanduser().resolve(), folder.resolve()
        if not place.exists():
            raise SatError(f"--images {images}: is not there; name a folder with one sub-folder for each class.")
        name = str(place.relative_to(home) if place.is_relative_to(home) else place)
        written = name if re.fullmatch(r"[\w./-]+", name) else json.dumps(name, ensure_ascii=False)
        settings = {**IMAGES, "root": written}
        keys["images"] = _divided(settings, place) if place.is_dir() else settings
    explained = _explained((clone / "config.yaml").read_text(encoding="utf-8"))
    return HEAD.replace("SAT/", f"{shlex.quote(str(clone))}/") + "\n".join(_lines(keys, explained)) + "\n"


def _divided(settings: dict[str, str], place: Path) -> dict[str, str]:
    """Settings of the images in a folder. One with train/ beside val/ or the like is divided into images already.

    Raises
    ------
    SatError
        If the folder holds neither folders nor tar files.
    """
    classes = {name: _folders(place / name) for name in _folders(place)}
    if not classes and not any(place.glob("*.tar")):
        raise SatError(f"--images {place}: holds no folders; put the images of each class into a folder of their own.")
    train = classes.pop("train", set())
    if not any(train & others for others in classes.values()):
        return settings
    divided = {("train_folder" if key == "train_fraction" else key): value for key, value in settings.items()}
    return {**divided, "train_folder": "train # all other images in root are evaluated"}


def _folders(place: Path) -> set[str]:
    return {entry.name for entry in place.iterdir() if entry.is_dir()}


def _lines(keys: Mapping[str, str | dict[str, str]], explained: Mapping[str, tuple[list[str], str]]) -> Iterator[str]:
    """Lines of the config file, with the explanations of config.yaml."""
    for key, value in keys.items():
        yield from ("", *explained[key][0])
        if isinstance(value, str):
            yield f"{key}: {value}{'' if '#' in value else explained[key][1]}"
            continue
        yield f"{key}:"
        for name, cell in value.items():
            above, beside = explained[f"{key}.{name}"]
            yield from above
            yield f"  {name}: {cell}{'' if '#' in cell else beside}"


def _explained(text: str) -> dict[str, tuple[list[str], str]]:
    """Comments of config.yaml by key: those above it, and the one beside it."""
    found: dict[str, tuple[list[str], str]] = {}
    above: list[str] = []
    section = ""
    for line in text.splitlines():
        if key := re.match(r"( *)(\w+):[^#]*?( #.*)?$", line):
            section = section if key[1] else key[2]
            found[f"{section}.{key[2]}" if key[1] else key[2]] = above, key[3] or ""
        above = [*above, line] if line.lstrip().startswith("#") else []
    return found
