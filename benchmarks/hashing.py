"""What it takes to hash the inputs of jobs: bytes, seconds, and the job time of which that is 2 %."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from harness import ROOT, Table
from sat.store.files import file_digest
from sat.study.forecast import Forecast
from sat.study.plan import Artefact, Plan
from sat.study.study import load_study

STUDY = "studies/imagenet69.yaml"
STAGES = ("clean", "attack", "evaluate")
BOUND = 0.02
BYTES = 400_000_000


def run(repeats: int) -> Table:
    forecast = Forecast(Plan(load_study([ROOT / STUDY])))
    jobs: dict[str, list[int]] = defaultdict(list)
    for artefact in forecast.plan.artefacts().values():
        if artefact.step.stage in STAGES:
            jobs[artefact.step.stage].append(_to_hash(forecast, artefact))
    with TemporaryDirectory(prefix="sat-benchmark-") as folder:
        path = Path(folder) / "a.h5"
        path.write_bytes(np.random.default_rng(0).bytes(BYTES))
        speed = BYTES / median(_seconds(path) for _ in range(repeats))
    rows = [
        (stage, len(jobs[stage]), f"{size / 1e9:.2f}", f"{size / speed:.2f}", f"{size / speed / BOUND:.0f}")
        for stage in STAGES
        for size in [max(jobs[stage])]
    ]
    return Table(
        "hashing",
        f"Bytes of the inputs of a job of {STUDY} (5,000 attack images of 224 px, 50,000 evaluation images), in the "
        "sizes of the forecast, for the largest job of each stage; processor time of SHA-256 of them here, with one "
        f"thread and a file in memory ({speed / 1e9:.2f} GB/s); and how long a job must take for this to be "
        f"{BOUND:.0%} of it. That assumes that nothing is hidden, but the jobs hash while they load models. The times "
        "of such jobs on a GPU, and reading from a slow disk, are not measured.",
        ("stage", "jobs", "GB to hash", "SHA-256, s", f"{BOUND:.0%} of a job of, s"),
        rows,
    )


def _seconds(path: Path) -> float:
    """Processor time, since there is nothing beside which other work on the machine could be seen."""
    begun = time.process_time()
    file_digest(path)
    return time.process_time() - begun


def _to_hash(forecast: Forecast, artefact: Artefact) -> int:
    groups = ([given] if isinstance(given, Artefact) else given for given in artefact.inputs.values())
    return sum(forecast.disk(given) for group in groups for given in group)
