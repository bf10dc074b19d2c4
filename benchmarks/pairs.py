"""Cost of one process per pair instead of tiles: each process starts Python and loads a model."""

from __future__ import annotations

import csv
import shutil
from statistics import median

from harness import TINY, Table, interleave, ratio, tiny_project


def run(repeats: int) -> Table:
    project = tiny_project()
    results = project.results("tiny")
    # For each run: the seconds of every evaluate command, as Snakemake itself has recorded them.
    commands: dict[int, list[list[float]]] = {8: [], 1: []}

    def evaluate(size: int) -> None:
        for stale in ("tiles", "benchmarks/evaluate"):
            shutil.rmtree(results / stale)
        # The run is forced: Snakemake does not notice a missing tile while the files made from it exist.
        project.snakemake("tiny", "--config", f"tile_size={size}", "--until", "evaluate", "--forcerun", "evaluate")
        records = [file.read_text().splitlines() for file in results.glob("benchmarks/evaluate/*/*.tsv")]
        commands[size].append([float(row["s"]) for lines in records for row in csv.DictReader(lines, delimiter="\t")])

    whole = interleave({"8": lambda: evaluate(8), "1": lambda: evaluate(1)}, repeats)
    inside = {str(size): [sum(seconds) for seconds in runs] for size, runs in commands.items()}
    rows = []
    for size, runs in commands.items():
        cells = [(f"{median(took[str(size)]):.1f}", ratio(took[str(size)], took["8"])) for took in (inside, whole)]
        rows.append((size, len(runs[0]), *cells[0], *cells[1]))
    return Table(
        "pairs",
        f"The {len(TINY) ** 2} pairs of {len(TINY)} models on 256 images, one job at a time: seconds of the evaluate "
        "commands alone and of the whole `snakemake --until evaluate`, each with its ratio to tile_size 8. A full tile "
        "holds 64 pairs rather than these 16 and saves more.",
        ("tile_size", "jobs", "evaluate, s", "to tile_size 8", "snakemake, s", "to tile_size 8"),
        rows,
    )
