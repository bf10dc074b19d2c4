"""What landmarks save in a study of a thousand models: pairs, jobs, disk, and the time that Snakemake takes to plan."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from harness import ROOT, Project, Table, say, tiny_project
from sat.similarity.landmarks import draw_landmarks
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import load_study

MODELS = 1000
LANDMARKS = 64
TILE = 32


def run(repeats: int) -> Table:
    del repeats  # a dry run of a thousand models takes half a minute
    project = tiny_project()
    rows = [_row(project, count) for count in (0, LANDMARKS)]
    return Table(
        "landmarks",
        f"A study of {MODELS} models (the rows of imagenet69, repeated), tile_size {TILE}, with every pair measured "
        f"and with {LANDMARKS} landmarks. Nothing is made yet. Disk is that of the tiles alone. Seconds are processor "
        "time of `snakemake --dry-run --quiet`.",
        ("landmarks", "ordered pairs", "tiles", "jobs", "disk of tiles, GB", "dry run, CPU s"),
        rows,
    )


def _row(project: Project, count: int) -> tuple[object, ...]:
    study = f"thousand_{count}"
    say(f"planning {study}")
    table = project.folder / f"{study}.csv"
    write_thousand(table, count)
    project.add_imagenet69(study, models=str(table), tile_size=TILE)
    plan = Plan(load_study([project.config(study)]))
    tiles = [plan.tile(*pair) for pair in plan.used_tiles]
    forecast = Forecast(plan)
    disk = sum(map(forecast.disk, tiles)) / 1e9
    spent = project.spend("--cores", "1", "--configfile", str(project.config(study)), "--dry-run", "--quiet", "rules")
    jobs = re.search(r"^total\s+(\d+)$", spent.printed, re.MULTILINE)
    if not jobs:
        raise RuntimeError(f"{study}: no table of jobs:\n{spent.printed[-2000:]}")
    counts = (f"{number:,}" for number in (plan.n_pairs, len(tiles), int(jobs[1])))
    return count or "none", *counts, f"{disk:.1f}", f"{spent.seconds:.0f}"


def write_thousand(path: Path, count: int) -> None:
    """A thousand rows, each of the 69 under several names; landmarks are drawn as `sat landmarks` draws them."""
    with (ROOT / "studies/imagenet69.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    # The first of each keeps its name, since the study's file names some of them.
    names = [row["model"] for row in rows]
    names += [f"{names[k % len(rows)]}_{k // len(rows)}" for k in range(len(rows), MODELS)]
    many = [{**rows[k % len(rows)], "model": name} for k, name in enumerate(names)]
    drawn = set(draw_landmarks({row["model"]: row["family"] for row in many}, count, 0)) if count else set()
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "landmark"])
        writer.writeheader()
        writer.writerows({**row, "landmark": "1" if row["model"] in drawn else ""} for row in many)
