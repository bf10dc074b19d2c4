"""What real jobs ask for, from Snakemake's own words, and what they took, from its benchmarks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from projects import Project

BLOCK = re.compile(r"^    benchmark: (\S+)\n(?:    .*\n)*?    resources: (.*)$", re.MULTILINE)


def asked(log: str) -> dict[str, dict[str, int]]:
    """Memory in MB and minutes that each job asks for, by its benchmark below results/tiny/benchmarks/."""
    found = {}
    for path, resources in BLOCK.findall(log):
        numbers = dict(re.findall(r"(mem_mb|runtime)=(\d+)", resources))
        found[path.removeprefix("results/tiny/benchmarks/")] = {key: int(value) for key, value in numbers.items()}
    return found


def of_the_run(project: Project) -> dict[str, dict[str, int]]:
    """What the jobs of the finished run asked for when they started."""
    return asked("".join(path.read_text() for path in sorted((project.folder / ".snakemake/log").glob("*.log"))))


@pytest.mark.slow
def test_a_job_asks_for_what_its_net_takes_from_the_moment_that_the_weights_are_made(
    finished: Project, tmp_path: Path
) -> None:
    jobs = ("clean/vit.tsv", "attack/vit.tsv", "evaluate/c1-000/c1-001.tsv", "evaluate/c1-001/c1-000.tsv")
    bare = Project.new(tmp_path / "bare", finished.config)
    (bare.folder / "models.csv").write_text((finished.folder / "models.csv").read_text())
    before, ran = asked(bare.run("--dry-run")), of_the_run(finished)
    after = asked(finished.run("--dry-run", "--forcerun", "clean"))
    for job in jobs:
        # The run that made the weights asked before it for a guess, and then for the same as a new one.
        assert ran[job] == after[job], job
        assert after[job]["mem_mb"] < before[job]["mem_mb"], job
    assert ran["weights/vit.tsv"] == before["weights/vit.tsv"], "nothing was known when it was trained"
    facts = json.loads((finished.results / "weights/vit.safetensors.json").read_text())["facts"]
    assert {"n_parameters", "gmacs", "input_size", "forward_mb", "gradient_mb"} <= set(facts)


@pytest.mark.slow
def test_real_jobs_take_no_more_memory_than_they_ask_for(finished: Project) -> None:
    compared = 0
    for job, needs in of_the_run(finished).items():
        if not job.startswith(("weights/", "clean/", "attack/", "evaluate/")):
            continue
        head, values = (finished.results / "benchmarks" / job).read_text().splitlines()[:2]
        taken = dict(zip(head.split("\t"), values.split("\t"), strict=True))["max_rss"]
        if taken in ("-", "NA"):
            continue  # Snakemake looks now and then, and has missed a short job
        compared += 1
        megabytes = float(taken) * 2**20 / 1e6
        assert megabytes <= needs["mem_mb"], f"{job}: asks for {needs['mem_mb']} MB, took {megabytes:.0f}"
    assert compared >= 8
