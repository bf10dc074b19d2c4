"""Shared code of all benchmarks: ratios of interleaved runs, tables, and small studies in a copy of the project."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
# The Snakefile does the same, so nothing needs to be installed.
sys.path.insert(0, str(ROOT / "workflow"))
# This must happen before anything imports torch. Processes that are started from here inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

DEVICE = "cpu"
"""Device of the benchmarks that can be run on several; `run.py` sets it."""
DEADLINE = math.inf
"""Time, on `time.monotonic`'s clock, at which the benchmark that runs leaves out what is left of it."""
SPEED: dict[str, object] = {}
"""Content of a file of benchmarks/devices, as `throughput` leaves it."""
SNAKEMAKE = ("-m", "snakemake")
TINY = {"convnext": "test_convnext", "efficientnet": "test_efficientnet", "resnet": "test_resnet", "vit": "test_vit"}
"""Models of the small study, and their architectures."""


@dataclass(frozen=True)
class Table:
    """What a benchmark found."""

    title: str
    note: str
    """How to read the numbers."""
    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    @property
    def json(self) -> dict[str, object]:
        """The table as JSON has it."""
        rows = [dict(zip(self.header, map(str, row), strict=True)) for row in self.rows]
        return {"title": self.title, "note": self.note, "rows": rows}

    def __str__(self) -> str:
        cells = [[str(cell) for cell in row] for row in (self.header, *self.rows)]
        width = [max(map(len, column)) for column in zip(*cells, strict=True)]
        cells.insert(1, ["-" * length for length in width])
        lines = [" | ".join(map(str.ljust, row, width)) for row in cells]
        return "\n".join([f"## {self.title}", "", self.note, "", *(f"| {line} |" for line in lines), ""])


def interleave(
    contenders: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Time the contenders in turn, so that other work on the machine slows all of them alike; seconds of each."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(repeats):
        if number and time_is_over():
            break
        for name, call in contenders.items():
            begun = clock()
            call()
            seconds[name].append(clock() - begun)
    return seconds


def ratio(seconds: Iterable[float], peer: Iterable[float]) -> str:
    """Median, minimum and maximum of the ratios of runs that took place next to each other."""
    found = [mine / other for mine, other in zip(seconds, peer, strict=True)]
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    """Processor time of the process and of those that it has waited for."""
    peak_mb: float
    """Most memory at once, in MB of 10^6 bytes."""
    printed: str


class TimeIsOver(Exception):
    """There is no time for what a benchmark has begun."""


def time_is_over() -> bool:
    """Say whether the benchmark must leave out what is left of it."""
    return time.monotonic() >= DEADLINE


def device_name(device: str) -> str:
    """Name of this machine's processor or GPU, as its maker calls it."""
    from sat.store.environment import environment

    if device == "cpu":
        return str(environment()["machine"]["cpu"])
    import torch

    return torch.cuda.get_device_name()


def command() -> str:
    """The command line that runs, for what it writes."""
    return " ".join(["python", "benchmarks/run.py", *sys.argv[1:]])


def say(what: str) -> None:
    """Print a progress line on standard error; standard output holds the tables alone."""
    print(f"{what} ...", file=sys.stderr, flush=True)


class Project:
    """A copy of the project in a temporary folder; its studies derive from config.yaml."""

    def __init__(self) -> None:
        self._temporary = TemporaryDirectory(prefix="sat-benchmark-")
        self.folder = Path(self._temporary.name)
        shutil.copy(ROOT / "Snakefile", self.folder)
        for name in ("workflow", "profiles", "envs"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))

    def add_study(self, study: str, models: Mapping[str, str], **settings: Any) -> None:
        """Write a study of the given models and architectures; settings are merged over those of the default study."""
        config = yaml.safe_load((ROOT / "config.yaml").read_text())
        for key, value in {"study": study, "models": f"{study}.csv", **settings}.items():
            config[key] = {**config[key], **value} if isinstance(value, Mapping) else value
        self.config(study).write_text(yaml.safe_dump(config))
        rows = [f"{model},{architecture},train,{model}" for model, architecture in models.items()]
        table = "\n".join(["model,architecture,weights,family", *rows])
        (self.folder / f"{study}.csv").write_text(table + "\n")

    def add_imagenet69(self, study: str, **settings: Any) -> None:
        """Write the study of 69 models under another name; `settings` replace those of the study."""
        config = yaml.safe_load((ROOT / "studies/imagenet69.yaml").read_text())
        config |= {"study": study, "models": str(ROOT / "studies/imagenet69.csv"), **settings}
        self.config(study).write_text(yaml.safe_dump(config))

    def config(self, study: str) -> Path:
        return self.folder / f"{study}.yaml"

    def results(self, study: str) -> Path:
        return self.folder / "results" / study

    def snakemake(self, study: str, *arguments: str, program: Sequence[str] = SNAKEMAKE) -> str:
        """Run Snakemake on one core, so that ratios compare work and do not depend on the number of cores."""
        return self.run("--cores", "1", "--configfile", str(self.config(study)), *arguments, program=program)

    def run(self, *arguments: str, program: Sequence[str] = SNAKEMAKE) -> str:
        """Run a Snakemake command and return what it printed."""
        return self.spend(*arguments, program=program).printed

    def spend(self, *arguments: str, program: Sequence[str] = SNAKEMAKE) -> Spent:
        """Run a Snakemake command, and return what it took and what it printed."""
        # Some take minutes, so each is named before it starts.
        say(f"  snakemake {' '.join(arguments)}".replace(f"{self.folder}/", ""))
        command = [sys.executable, *program, *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"'snakemake {' '.join(arguments)}' failed:\n{printed[-3000:]}")
        # Linux counts in units of 1,024 bytes.
        return Spent(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, printed)


@cache
def tiny_project() -> Project:
    """Make a project with the small study 'tiny', once per run, because several benchmarks use it."""
    project = Project()
    project.add_study(
        "tiny",
        TINY,
        images={"attack_images": 256},
        training={"epochs": 1, "learning_rate": 0.005},
        min_accuracy=0.0,
        clusters={"k": 2},
    )
    say("making the small study")
    project.snakemake("tiny")
    return project
