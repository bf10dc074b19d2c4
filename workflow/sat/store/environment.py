"""The environment of a job, which its sidecars record."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "snakemake",
    "torch",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "h5py",
    "hdf5plugin",
    "safetensors",
    "pillow",
    "pyarrow",
    "matplotlib",
    "seaborn",
)
SCHEDULER = {"slurm_job": "SLURM_JOB_ID", "visible_devices": "CUDA_VISIBLE_DEVICES"}
"""Keys of a sidecar about the cluster's job, and the environment variables that they come from."""
COMMIT, DIRTY = "SAT_GIT_COMMIT", "SAT_GIT_DIRTY"


def export_git(folder: Path) -> None:
    """Put the project's commit into the environment, for the sidecars of all jobs.

    Parameters
    ----------
    folder : Path
        Folder of the project. Without git, or outside a checkout, nothing is exported.
    """
    os.environ.pop(COMMIT, None)
    os.environ.pop(DIRTY, None)
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return
    os.environ[COMMIT], os.environ[DIRTY] = commit, str(int(bool(dirty)))


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def environment() -> dict[str, Any]:
    """Describe the code, the packages and the machine of this process.

    Returns
    -------
    dict
        Keys ``git`` (commit and dirty flag; null without git), ``packages``,
        ``python``, ``machine``, ``job`` (the cluster's job, with the GPUs that it got).
    """
    commit = os.environ.get(COMMIT)
    return {
        "git": {"commit": commit, "dirty": os.environ.get(DIRTY) == "1" if commit else None},
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "machine": {"host": platform.node(), "system": platform.platform(), "cpu": _cpu()},
        "job": {name: os.environ.get(variable) for name, variable in SCHEDULER.items() if variable in os.environ},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
