"""Time that Snakemake itself takes: a dry run of everything, and a run with nothing to do."""

from __future__ import annotations

import re
from statistics import median

from harness import TINY, Project, Table, interleave, ratio, say, tiny_project
from sat.store.artefact import sidecar_path
from sat.study.plan import Plan
from sat.study.study import load_study

# Snakemake sleeps for a tenth of a second after every job that it touches: eight minutes for 4,761 tiles.
TOUCHING = (
    "-c",
    "from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0; "
    "from snakemake.cli import main; main()",
)


def run(repeats: int) -> Table:
    project = tiny_project()
    # The benchmark `pairs` leaves tiles of another size behind.
    project.snakemake("tiny")
    rows = [_time(project, "tiny", len(TINY), 8, repeats)]
    for size in (8, 1):
        study = f"imagenet69_{size}"
        project.add_imagenet69(study, tile_size=size)
        _pretend_finished(project, study)
        rows.append(_time(project, study, 69, size, repeats))
    return Table(
        "scheduling",
        "Seconds of a dry run where nothing is made yet, and of a run where all is made, "
        "each with its ratio to `snakemake --version`, which is start-up alone.",
        ("models", "tile_size", "jobs", "start-up, s", "dry run, s", "to start-up", "no-op, s", "to start-up"),
        rows,
    )


def _time(project: Project, study: str, models: int, tile_size: int, repeats: int) -> tuple[object, ...]:
    printed: dict[str, str] = {}

    def dry_run() -> None:
        # The study gets another name, under which there are no results.
        printed["dry run"] = project.snakemake(study, "--dry-run", "--config", "study=unmade")

    def no_op() -> None:
        printed["no-op"] = project.snakemake(study)

    say(f"timing {study}")
    seconds = interleave({"start-up": lambda: project.run("--version"), "dry run": dry_run, "no-op": no_op}, repeats)
    jobs = re.search(r"^total\s+(\d+)$", printed["dry run"], re.MULTILINE)
    if not jobs or "Nothing to be done" not in printed["no-op"]:
        raise RuntimeError(f"study {study!r}: other runs than those meant:\n{printed['no-op'][-3000:]}")
    measured = [f"{median(seconds['start-up']):.2f}"]
    for name in ("dry run", "no-op"):
        measured += [f"{median(seconds[name]):.2f}", ratio(seconds[name], seconds["start-up"])]
    return models, tile_size, jobs[1], *measured


def _pretend_finished(project: Project, study: str) -> None:
    """Write all files of a study, empty, and Snakemake's metadata of the jobs that would have made them."""
    say(f"pretending that {study} is finished")
    for name in Plan(load_study([project.config(study)])).artefacts():
        path = project.results(study) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        sidecar_path(path).touch()
    project.snakemake(study, "--touch", "--forceall", program=TOUCHING)
