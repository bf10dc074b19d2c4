"""SAT as a module of another workflow, which keeps its own shells, config and default target."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import forks
from conftest import ROOT, ROWS, TINY
from projects import SNAKEMAKE, Project

HOST = """
configfile: "host.yaml"


rule all:
    input:
        "mine.txt",


module sat:
    snakefile:
        "{snakefile}"
    {config}


use rule * from sat as sat_*


rule mine:
    input:
        {inputs},
    output:
        "mine.txt",
    shell:
        "set -o > {{output}}; echo $- >> {{output}}; env >> {{output}}"
"""
GIVEN = 'config:\n        config["sat"]'
TRIGGERS = ("--rerun-triggers", "mtime", "params")


def write_host(folder: Path, clone: Path, inputs: str = "[]", config: str = GIVEN) -> None:
    """A workflow with a rule of its own and a config of its own, in which the study is one section."""
    folder.mkdir(exist_ok=True)
    # Relative to the host's Snakefile, as in a repository with a submodule.
    snakefile = os.path.relpath(clone / "Snakefile", folder)
    (folder / "Snakefile").write_text(HOST.format(snakefile=snakefile, config=config, inputs=inputs))
    (folder / "host.yaml").write_text(yaml.safe_dump({"samples": ["x"], "sat": TINY}))


def environment_of(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}/bin:/usr/bin:/bin", "PYTHONPATH": f"{folder}/its own", "HOME": str(folder)}


def call(folder: Path, *words: str) -> tuple[int, str]:
    """Call Snakemake in a folder; return its status and what it says."""
    done = forks.snakemake(folder, ("--cores", "2", *words), environment_of(folder))
    return done.returncode, done.stdout + done.stderr


def check_shell(folder: Path) -> None:
    """The host's own rule has run in a shell as Snakemake makes it without a module."""
    options, found = (folder / "mine.txt").read_text().split("\nonecmd", 1)
    variables = dict(line.split("=", 1) for line in found.splitlines() if "=" in line)
    given = environment_of(folder)
    assert variables["PATH"] == given["PATH"] and variables["PYTHONPATH"] == given["PYTHONPATH"]
    assert not {"PYTHONSAFEPATH", "SAT_CODE", "MALLOC_TOP_PAD_"} & variables.keys()
    plain = subprocess.run(["bash", "-c", "set -euo pipefail; set -o"], capture_output=True, text=True).stdout
    assert options == plain.split("\nonecmd", 1)[0]


def test_a_rule_of_the_host_has_its_own_path_and_shell(tmp_path: Path, write_study) -> None:
    write_study()
    write_host(tmp_path, ROOT)
    status, said = call(tmp_path, *TRIGGERS)
    assert status == 0, said[-3000:]
    check_shell(tmp_path)


@pytest.mark.slow
def test_a_host_goes_on_from_the_matrix(project: Project, tmp_path: Path) -> None:
    host = tmp_path / "the host"
    write_host(host, project.folder, "'results/tiny/similarity/sat.csv', 'results/tiny/analysis/groups.csv'")
    for name in ("results", ".snakemake", "models.csv"):
        shutil.move(project.folder / name, host / name)
    expected = (host / "results/tiny/analysis/groups.csv").read_bytes()
    # Two jobs of ours are left: one whose command is a plain rule's, and an analysis.
    for name in ("analysis/groups.csv", "similarity/sat.csv"):
        (host / "results/tiny" / name).unlink()
    status, said = call(host, *TRIGGERS)
    assert status == 0, said[-4000:]
    check_shell(host)
    assert (host / "results/tiny/analysis/groups.csv").read_bytes() == expected
    assert "sat_groups" in said and "sat_attack" not in said
    status, said = call(host, *TRIGGERS)
    assert "Nothing to be done" in said, said[-3000:]
    status, said = call(host, "--dry-run", "sat_all", *TRIGGERS)
    assert status == 0 and "sat_attack" not in said, said[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "words", "says"),
    [
        ("prefix:\n        'x'\n    " + GIVEN, (), "module sat: has a prefix. Remove it"),
        ("", ("--configfile", "host.yaml"), "write in the module: config: config"),
        ("config:\n        {**config['sat'], 'tile_size': 0}", (), "the config of module sat: key 'tile_size'"),
        ("config:\n        {**config['sat'], 'models': 'none.csv'}", (), "none.csv"),
        ("config:\n        {**config['sat'], 'trust_code': True}", (), "stands in a config file or a profile"),
    ],
)
def test_what_is_wrong_with_the_module_is_said(
    tmp_path: Path, write_study, config: str, words: tuple[str, ...], says: str
) -> None:
    write_study()
    write_host(tmp_path, ROOT, config=config)
    status, said = call(tmp_path, "--dry-run", *words)
    assert status == 1 and says in said and "Traceback" not in said, said[-3000:]


@pytest.mark.slow
def test_without_a_config_the_module_computes_the_default_study(tmp_path: Path) -> None:
    write_host(tmp_path, ROOT, "'results/digits/similarity/sat.csv'", config="")
    status, said = call(tmp_path, "--dry-run", "--quiet", "rules")
    assert status == 0 and "sat_train" in said, said[-3000:]


@pytest.mark.slow
def test_the_words_of_the_hosts_command_let_code_run(tmp_path: Path, write_study) -> None:
    rows = [*ROWS[:2], {**ROWS[2], "architecture": "nets:net"}]
    write_study([{**row, "mean": "0.5", "std": "0.5"} for row in rows])
    (tmp_path / "nets.py").write_text("def net(num_classes): ...\n")
    write_host(tmp_path, ROOT, config="config:\n        {**config['sat'], 'code': 'nets.py'}")
    status, said = call(tmp_path, *TRIGGERS)
    assert status == 1 and "nets.py (digest" in said, said[-3000:]
    status, said = call(tmp_path, *TRIGGERS, "--config", "trust_code=true")
    assert status == 0 and (tmp_path / "mine.txt").exists(), said[-3000:]


def test_the_catalogue_finds_what_it_looks_for() -> None:
    from snakemake.cli import get_argument_parser

    # https://github.com/snakemake/snakemake-workflow-catalog: source/docs/about/adding_workflows.md
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    deployment = usage["software-stack-deployment"]
    assert set(deployment) == {"conda", "apptainer", "apptainer+conda", "report"}
    assert all(isinstance(value, bool) for value in deployment.values())
    get_argument_parser().parse_args(usage["mandatory-flags"]["flags"].split())
    assert (ROOT / "config/README.md").is_file() and (ROOT / "workflow/Snakefile").is_file()
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme


@pytest.mark.slow
def test_the_catalogues_snakefile_is_the_same_workflow(project: Project) -> None:
    assert project.planned("--snakefile", "workflow/Snakefile") == {}
    project.configure(min_accuracy=0.01)
    assert set(project.planned("--snakefile", "workflow/Snakefile")) == {"study", "gate", "atlas", "crate"}
    lint = project.call(str(SNAKEMAKE), "--lint", "--snakefile", "workflow/Snakefile")
    assert lint.returncode == 0, lint.stderr
