"""Projects on disk, for tests that run Snakemake itself."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

import forks
from sat.units import names

ROOT = Path(__file__).resolve().parents[1]
ABSENT = {"ablation", "components", "components_null", "distillation", "reference", "retraining"}
"""Analyses that a study with images does not have, unless its config or its table asks for them."""
ANALYSES = set(names("analyses")) - ABSENT
"""Analyses of a study with images and without components."""
PAGES = {"examples", "atlas", "crate"}
"""Rules after the analyses of such a study."""
LAST = {"report/atlas.html", "report/landing.rst", "provenance/ro-crate-metadata.json", "provenance/Snakefile"}
"""Files that change with everything: the pages, and the crate."""
ADDED_JOBS = {
    "train": ["weights/mambaout.safetensors"],
    "clean": ["clean/mambaout.h5"],
    "gate": ["clean/mambaout.gate.json"],
    "attack": ["adversarial/mambaout.h5"],
    "evaluate": [
        "tiles/c1-000/c2-000.h5",
        "tiles/c1-001/c2-000.h5",
        "tiles/c2-000/c1-000.h5",
        "tiles/c2-000/c1-001.h5",
        "tiles/c2-000/c2-000.h5",
    ],
    "similarity": ["similarity/pairs.parquet"],
}
"""Jobs, by their first output, that the model ADDED of conftest.py takes in the tiny study, until the matrix."""
SNAKEMAKE = Path(sys.executable).with_name("snakemake")


def unwrapped(text: str) -> str:
    """The words of a text, whatever lines they are wrapped into."""
    return " ".join(text.split())


def locked_copy(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder once for all test workers."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


class Project:
    """A copy of this project with a study of its own as config.yaml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results/tiny"

    @classmethod
    def new(
        cls, folder: Path, config: Mapping[str, object] | None = None, rows: Iterable[Mapping[str, str]] = ()
    ) -> Project:
        """Lay out the project's own files, and a study; without one, the default study."""
        folder.mkdir(parents=True)
        for name in ("Snakefile", "workflow", "envs", "profiles", *(() if config else ("config.yaml", "studies"))):
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / name)
        for name in ("slurm", "gpu"):
            (folder / name).symlink_to((ROOT / name).readlink())
        project = cls(folder)
        if config:
            project.configure(**config)
            if rows := list(rows):
                project.write_table(rows)
        return project

    def copy(self, folder: Path) -> Project:
        """Copy everything, times kept."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def configure(self, **changes: object) -> None:
        """Set keys of the config file."""
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**config, **changes}))

    @property
    def config(self) -> dict[str, object]:
        """The config file."""
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    def write_table(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Write the model table."""
        rows = list(rows)
        with (self.folder / "models.csv").open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0].keys())
            table.writeheader()
            table.writerows(rows)

    def call(
        self, *words: str, environment: Mapping[str, str] | None = None, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program within the project, with text on its standard input."""
        outer = {**os.environ, "OMP_NUM_THREADS": "1"} if environment is None else dict(environment)
        return subprocess.run(
            words, cwd=self.folder, env=outer, input=given, capture_output=True, text=True, timeout=900
        )

    def snakemake(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Call Snakemake in processes, its own and its jobs', that have imported all they need: most of their time."""
        outer = {**os.environ, "OMP_NUM_THREADS": "1"} if environment is None else environment
        return forks.snakemake(self.folder, ("--cores", "2", *words), outer)

    def run(self, *words: str) -> str:
        """Run the workflow to its end; return its log."""
        done = self.snakemake(*words)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    def run_offline(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the workflow with the hub's cache in the folder `hub` and no way out."""
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_CACHE": str(self.folder / "hub"),
        }
        done = self.snakemake(*words, environment=environment)
        assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done

    def planned(self, *words: str) -> dict[str, list[str]]:
        """What Snakemake would run: for each rule, the first output of each job, relative to the results."""
        log = self.run("--dry-run", *words)
        jobs: dict[str, list[str]] = {}
        for rule, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", log, re.MULTILINE):
            output = re.search(r"^    output: ([^,\n]+)", body, re.MULTILINE)
            if output:
                jobs.setdefault(rule, []).append(output[1].removeprefix("results/tiny/"))
        assert jobs or "Nothing to be done" in log, log
        return {rule: sorted(outputs) for rule, outputs in jobs.items()}

    def sat(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Call the library's command line; a stage's command is given its step."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder / "workflow"), "OMP_NUM_THREADS": "1"}
        return forks.sat(self.folder, words, environment, given or "")

    def raise_version(self, stage: str) -> None:
        """Say that a stage's output means something else now."""
        lock = self.folder / "workflow/sat/stages.lock.json"
        content = json.loads(lock.read_text())
        content[stage]["version"] += 1
        lock.write_text(json.dumps(content))

    def state(self, pattern: str) -> dict[str, tuple[int, str]]:
        """Inode and SHA-256 of the results that match."""
        return {
            str(path.relative_to(self.results)): (path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(self.results.glob(pattern))
            if path.is_file()
        }
