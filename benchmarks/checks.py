"""What only a GPU can show: the tests that need one, the demo against the CPU's matrix, leases, halving of batches."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import harness
from harness import ROOT, Project, Table
from sat.attacks.apply import attack_all
from sat.models.batches import Batch
from sat.models.classifier import build, plan_blueprint, predict
from sat.models.precision import pin
from sat.store import hdf5
from sat.store.chunks import Held

TESTS = "tests/models/test_imagenet69_nets.py"
DEMO = "results/digits"
ROOM = 0.6
"""Share of a batch's memory that is left to the process, so that the batch does not fit."""


def run(repeats: int) -> Table:
    """Run all checks; repeats make no difference."""
    rows = []
    for name, (check, instead) in CHECKS.items():
        begun = time.perf_counter()
        if harness.DEVICE == "cpu":
            found = f"skipped: it needs a GPU; {instead}"
        elif harness.time_is_over():
            found = "left out: the time was over"
        else:
            harness.say(f"  {name}")
            found = _tried(check)
        rows.append((name, found, f"{time.perf_counter() - begun:.0f}"))
    return Table("checks", "What only a GPU can show.", ("check", "result", "seconds"), rows)


def _tried(check: Callable[[], str]) -> str:
    """What a check says. A failure is a result, too, and must not cost the checks after it."""
    try:
        return check()
    except Exception as error:
        return f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[-400:]}"


def halving() -> str:
    """Leave a batch too little memory, and compare what comes out."""
    pin("float32", "cuda")
    torch.manual_seed(0)
    net = build(plan_blueprint("resnet50", 1000)).place("cuda")
    images = np.random.default_rng(0).integers(0, 256, (256, 3, 224, 224)).astype(np.uint8)
    rows = np.arange(len(images))
    params = {"method": "pgd_linf", "eps": 8, "step": 2, "steps": 2, "random_start": True, "seed": 0, "model": "net"}

    def attacked(batch: Batch) -> NDArray[np.integer]:
        parts = attack_all(net, Held(images), rows % 1000, rows, rows, params, batch, "cuda")
        return np.concatenate([found.perturbation for _, found in parts])

    def seen(batch: Batch) -> NDArray[np.integer]:
        return predict(net, images, batch, "cuda").argmax(1)

    said = []
    for name, work in (("clean", seen), ("attack", attacked)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        held, whole = torch.cuda.memory_allocated(), work(Batch(256))
        room = held + ROOM * (torch.cuda.max_memory_allocated() - held)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
        try:
            batch = Batch(256)
            halved = work(batch)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        said.append(f"{name}: 256 became {batch.size}, {(halved == whole).mean():.4%} of the values equal")
        if batch.size == 256:
            raise RuntimeError(f"{name}: nothing was halved at {room / 1e9:.2f} GB")
    return "; ".join(said)


def leases() -> str:
    """Start a process for each GPU; each must get another one."""
    count = torch.cuda.device_count()
    if count < 2:
        return "skipped: one GPU is visible, and a job takes a lease only where it sees several"
    code = (
        "import sys; from pathlib import Path; from sat.store.leases import lease_device; "
        "found = lease_device(1, Path(sys.argv[1])); import torch; torch.zeros(1, device='cuda'); "
        "print(found['gpu_uuid'], torch.cuda.device_count(), flush=True); sys.stdin.read()"
    )
    with TemporaryDirectory() as folder:
        jobs = [
            subprocess.Popen(
                [sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(count)
        ]
        try:
            said = [job.stdout.readline().split() for job in jobs if job.stdout]
        finally:
            for job in jobs:
                job.communicate()
    if len({uuid for uuid, _ in said}) != count or {seen for _, seen in said} != {"1"}:
        raise RuntimeError(f"{count} processes at once got {said}")
    return f"{count} processes at once got {count} different GPUs, and each sees one"


def digits() -> str:
    """Run the demo on the CPU, and from its weights on the GPU, and compare the matrices."""
    project = Project()
    (project.folder / "studies").symlink_to(ROOT / "studies")
    shutil.copy(ROOT / "config.yaml", project.folder)
    target = f"{DEMO}/similarity/sat.csv"
    project.run("--cores", "all", target)
    results = project.folder / DEMO
    of_cpu, clean_cpu = pd.read_csv(project.folder / target, index_col=0), _clean(results)
    for made in ("clean", "adversarial", "tiles", "similarity"):
        shutil.rmtree(results / made)
    begun = time.perf_counter()
    project.run("--cores", "all", "--resources", "gpu_jobs=4", "--config", "compute={device: cuda}", "--", target)
    seconds = time.perf_counter() - begun
    upper = np.triu_indices(len(of_cpu), 1)
    gpu, cpu = pd.read_csv(project.folder / target, index_col=0).to_numpy()[upper], of_cpu.to_numpy()[upper]
    changed = (_clean(results) != clean_cpu).sum()
    again = project.run("rerun", f"{DEMO}/adversarial/vit.h5", program=("-m", "sat"))
    return (
        f"SAT of {len(cpu)} pairs from the same weights: rank correlation {spearmanr(cpu, gpu)[0]:.4f}, largest shift "
        f"{np.abs(cpu - gpu).max():.3f}; {changed} of {clean_cpu.size:,} clean predictions differ; {seconds:.0f} s on "
        f"the GPU from clean to the matrix; an attack made again: {again.strip().splitlines()[-1]}"
    )


def _clean(results: Path) -> NDArray[np.integer]:
    """Clean predictions of all models."""
    found = []
    for path in sorted((results / "clean").glob("*.h5")):
        with hdf5.reading(path) as file:
            found.append(file["eval_prediction"][:])
    return np.stack(found)


def tests() -> str:
    """Run the tests that can use a GPU."""
    command = [sys.executable, "-m", "pytest", "--gpu", "-q", "-n", "4", TESTS]
    left = max(1.0, harness.DEADLINE - time.monotonic())
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=min(left, 1e6))
    except subprocess.TimeoutExpired:
        return f"left out: {TESTS} --gpu had not ended when the time was over"
    summary = re.findall(r"\d+ (?:passed|failed|skipped|errors?)", done.stdout)
    if done.returncode:
        raise RuntimeError(f"{', '.join(summary)}: {done.stdout[-300:]}")
    return f"{TESTS} --gpu: {', '.join(summary)}"


CHECKS: dict[str, tuple[Callable[[], str], str]] = {
    "halving": (halving, "tests/models/test_batches.py halves where a made-up device is full"),
    "leases": (leases, "tests/store/test_leases.py leases with a made-up list of GPUs"),
    "digits": (digits, "the CPU's matrix is what the GPU's is compared with"),
    "tests": (tests, f"{TESTS} runs on the CPU in 'make test'"),
}
"""Each check, and what stands for it without a GPU."""
