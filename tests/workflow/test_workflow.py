"""The workflow as a whole: how it is called, where it runs, what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, ROWS, TINY
from projects import ANALYSES, PAGES, SNAKEMAKE, Project
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow


def test_lint_is_clean():
    done = subprocess.run([SNAKEMAKE, "--lint"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PROBE = """
include: "{snakefile}"

import json, sys

for rule in workflow.rules:
    if rule.name != "all":
        asked = {{key: rule.resources.get(key) is not None for key in ("mem_mb", "runtime", "gpu", "_cores")}}
        asked |= {{"output": bool(rule.output), "log": bool(rule.log), "benchmark": bool(rule.benchmark)}}
        asked |= {{"conda": bool(rule.conda_env), "shell": bool(rule.shellcmd)}}
        print("RULE", json.dumps([rule.name, asked, sorted(rule.params.keys())]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "study", ["config.yaml", "studies/ablation_digits.yaml", "studies/distill_digits.yaml", "matrix"]
)
def test_every_rule_is_complete(tmp_path: Path, study: str):
    """Asked of Snakemake, which knows the rules that are made in a loop too."""
    file = ROOT / study
    if study == "matrix":
        file = tmp_path / "study.yaml"
        (tmp_path / "sat.csv").write_text("model,a,b\na,4,1\nb,1,4\n")
        file.write_text("study: given\nmatrix: sat.csv\nclusters: {k: 2}\n")
    (tmp_path / "Snakefile").write_text(PROBE.format(snakefile=ROOT / "Snakefile"))
    words = ["--dry-run", "--quiet", "all", "--configfile", str(file)]
    done = subprocess.run([SNAKEMAKE, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rules = {
        name: (asked, params)
        for name, asked, params in (json.loads(text) for text in re.findall(r"^RULE (.*)$", done.stderr, re.MULTILINE))
    }
    plan = Plan(load_study([file]))
    assert set(plan.analyses) <= set(rules)
    assert {artefact.step.stage for artefact in plan.artefacts().values()} <= set(rules)
    for name, (asked, params) in rules.items():
        assert all(asked.values()), (name, asked)
        # One param more would run every job again.
        assert params == ["step"], name
    # At scale a rule's own retries would repeat within the old allocation.
    assert not any("retries:" in path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


def test_dry_run_needs_no_torch(tmp_path: Path):
    """Torch and timm are hidden, as on a machine that only plans."""
    hide = tmp_path / "hide"
    for package in ("torch", "timm", "torchvision"):
        (hide / package).mkdir(parents=True)
        (hide / package / "__init__.py").write_text("raise ImportError('hidden')\n")
    done = subprocess.run(
        [SNAKEMAKE, "--dry-run", "--quiet"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(hide)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_fault_of_the_study_is_one_paragraph_before_any_job(tmp_path: Path):
    project = Project.new(tmp_path / "p", {**TINY, "tile_size": 0}, ROWS)
    done = project.snakemake("--dry-run")
    assert done.returncode != 0
    assert "config.yaml: key 'tile_size'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_settings_on_the_command_line(finished: Project, project: Project):
    assert "attack" in project.planned("--config", "attack={steps: 4}")
    assert set(project.planned("--config", "eps_s=0.5")) == {"study", "similarity", *ANALYSES, *PAGES}


def test_a_study_stands_alone(project: Project):
    """Nothing of config.yaml is taken over by another study file, wherever it lies."""
    (project.folder / "mine").mkdir()
    (project.folder / "mine/study.yaml").write_text(
        "study: mine\nmodels: models.csv\nimages: {source: digits, canvas: 32, train_fraction: 0.6}\nclusters: {k: 2}\n"
    )
    (project.folder / "models.csv").rename(project.folder / "mine/models.csv")
    log = project.run("--dry-run", "--configfile", "mine/study.yaml")
    assert "results/mine/adversarial/vit.h5" in log
    assert '"eps": 8' in log, "the default, not config.yaml's"


def test_an_unactivated_environment_and_a_folder_with_a_space(tmp_path: Path):
    project = Project.new(
        tmp_path / "with a space", {**TINY, "images": {**TINY["images"], "attack_images": 16}}, ROWS[:2]
    )
    done = project.snakemake(environment={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-4000:]
    assert (project.results / "similarity/sat.csv").exists()
    # Two models: no t-SNE, and no failure either.
    assert "t-SNE is skipped" in (project.results / "logs/analysis/clusters.log").read_text()


def test_a_model_that_is_not_accurate_stops_the_run_or_is_flagged(project: Project):
    project.configure(min_accuracy=1.0)
    done = project.snakemake()
    assert done.returncode != 0
    logs = "".join(path.read_text() for path in (project.results / "logs/gate").glob("*.log"))
    assert "and the study's min_accuracy is 1." in logs
    assert "Traceback" not in logs
    assert "min_accuracy is 1" in done.stdout + done.stderr, "shown without opening the log"
    project.configure(min_accuracy=1.0, on_low_accuracy="flag")
    project.run()
    assert not json.loads((project.results / "clean/vit.gate.json").read_text())["facts"]["passed"]
    assert "accuracy" in project.sat("summary").stdout
    assert "min_accuracy" in project.sat("summary").stdout


def test_sidecars_name_the_inputs_that_the_plan_and_the_rules_name(finished: Project):
    plan = Plan(load_study([finished.folder / "config.yaml"]))
    recipes = {name: made.step.recipe for name, made in plan.artefacts().items()}
    for name, made in plan.artefacts().items():
        own = name == "study.json" or name.endswith(".gate.json")
        sidecar = json.loads((finished.results / (name if own else f"{name}.json")).read_text())
        assert sidecar["recipe"] == made.step.recipe
        assert set(sidecar["inputs"]) == set(made.step.inputs), name
        for given in sidecar["inputs"].values():
            for entry in given if isinstance(given, list) else [given]:
                assert recipes[entry["path"].removeprefix("results/tiny/")] == entry["recipe"]


def test_commit_and_dirty_flag_reach_the_sidecars(tmp_path: Path):
    project = Project.new(tmp_path / "p", TINY, ROWS)

    def git(*words: str) -> str:
        return project.call("git", "-c", "user.name=a", "-c", "user.email=a@b", *words).stdout.strip()

    def recorded() -> dict[str, object]:
        return json.loads((project.results / "images/train.h5.json").read_text())["git"]

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    project.run("results/tiny/images/train.h5")
    assert recorded() == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (project.folder / "models.csv").write_text((project.folder / "models.csv").read_text() + "\n")
    project.run("--forceall", "results/tiny/images/train.h5")
    assert recorded()["dirty"] is True
