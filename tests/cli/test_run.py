"""sat run, and code in a study's YAML: every command refuses it, and so does the Snakefile."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from snakemake.common.configfile import load_configfile

from conftest import ROOT, TINY
from forks import sat as forked
from projects import Project, unwrapped
from sat.cli.calls import write_study
from sat.errors import SatError
from sat.study.plan import Plan
from sat.study.study import FILES, examine_study, load_study
from sat.study.tiles import cut_tiles

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
FORMS = {
    "plain": "__use_yte__: true\n__definitions__:\n- import os\n- os.mkdir({mark!r})\n{study}",
    "merged": "<<: {{__use_yte__: true}}\n__definitions__:\n- import os\n- os.mkdir({mark!r})\n{study}",
    "escaped": '"__use\\x5fyte__": 1\nseed: "?__import__(\'os\').mkdir({mark!r}) or 0"\n{study}',
    "in flow": '{{__use_yte__: true, __definitions__: [import os, "os.mkdir({mark!r})"], {flow}}}',
}
COMMANDS = ("check", "plan", "run", "resume", "status", "verify", "summary")


def hostile(folder: Path, form: str, name: str = "study.yaml") -> tuple[Path, Path]:
    """A study that makes a file when Snakemake reads it, and the file."""
    mark = folder / "code has run"
    config = yaml.safe_load((folder / "study.yaml").read_text())
    config.pop("seed", None)
    flow = json.dumps(config)[1:-1]
    path = folder / name
    path.write_text(FORMS[form].format(mark=str(mark), study=yaml.safe_dump(config), flow=flow))
    return path, mark


@pytest.mark.parametrize("form", FORMS)
def test_code_in_a_study_is_found_in_every_form(write_study, tmp_path, form):
    write_study()
    study, mark = hostile(tmp_path, form)
    with pytest.raises(SatError, match=r"study\.yaml: holds the key '__use_yte__'.* Nothing has run"):
        load_study([study])
    found, faults = examine_study([study])
    assert found is None and len(faults) == 1 and not mark.exists()
    # It is hostile indeed: this is how Snakemake reads it.
    load_configfile(study)
    assert mark.exists()


def test_code_in_a_study_runs_in_no_command(write_study, tmp_path):
    write_study()
    _, mark = hostile(tmp_path, "plain")
    for command in COMMANDS:
        done = forked(tmp_path, (command, "study.yaml"), ENVIRONMENT, "")
        assert done.returncode == 1 and not mark.exists(), command
        said = done.stdout + done.stderr
        assert "study.yaml: holds the key '__use_yte__'" in said and "Nothing has run." in said, said
    assert not (tmp_path / ".snakemake").exists()


def test_code_in_a_second_file_is_refused_too(write_study, tmp_path):
    write_study()
    over, mark = hostile(tmp_path, "plain", "over.yaml")
    done = forked(tmp_path, ("run", "study.yaml", "over.yaml"), ENVIRONMENT, "")
    assert done.returncode == 1 and f"{over.name}: holds the key" in done.stderr and not mark.exists()


@pytest.mark.slow
def test_the_snakefile_refuses_code(write_study, tmp_path):
    write_study()
    project = Project.new(tmp_path / "project", TINY)
    study, mark = hostile(tmp_path, "plain")
    done = project.snakemake("--dry-run", "--configfile", str(study))
    # Nothing of ours comes before Snakemake reads this file, so this is the place to say so.
    assert mark.exists()
    assert done.returncode == 1 and "this code HAS RUN" in done.stdout + done.stderr
    mark.rmdir()
    # Snakemake reads config.yaml later than the check.
    study.replace(project.folder / "config.yaml")
    done = project.snakemake("--dry-run")
    assert done.returncode == 1 and "Nothing has run" in done.stdout + done.stderr and not mark.exists()


@pytest.mark.parametrize("root", ["pipe:touch mark #", "http://x/y", "PIPE:x"])
def test_an_address_is_no_folder_of_images(write_study, root):
    images = {**TINY["images"], "source": "wds/x", "root": root, "split": "a.tar"}
    with pytest.raises(SatError, match=r"key 'images.root': .* is an address and no path"):
        load_study([write_study(images=images)])


def with_paths(folder: Path, write_study) -> tuple[Path, Path]:
    """A study of two files that names files of all kinds by relative paths; it lies in a folder of its own."""
    for label in "ab":
        (folder / f"images/{label}").mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"images/{label}/{number}.png")
    (folder / "classes.txt").write_text("a\nb\n")
    (folder / "list.txt").write_text("a/0.png\nb/1.png\n")
    (folder / "weights").mkdir()
    torch.save({}, folder / "weights/one.pth")
    rows = [
        {"model": "one", "architecture": "test_resnet", "weights": "weights/one.pth", "family": "f"},
        {"model": "two", "architecture": "test_vit", "weights": "train", "family": "f"},
    ]
    images = {"source": "folder", "root": "images", "class_map": "classes.txt", "attack_images": "list.txt"}
    study = write_study(rows, images={**images, "canvas": 32, "train_fraction": 0.5})
    over = folder / "sub/over.yaml"
    over.parent.mkdir()
    over.write_text("tile_size: 1\nseed: 7\nclusters: {starts: 400}\n")
    return study, over


def test_a_study_as_json_has_the_same_plan(write_study, tmp_path, monkeypatch):
    files = with_paths(tmp_path, write_study)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    words = [os.path.relpath(file) for file in files]
    before = sorted(path for path in tmp_path.rglob("*") if elsewhere not in path.parents)
    written = write_study_of(words)
    assert sorted(path for path in tmp_path.rglob("*") if elsewhere not in path.parents) == before, "only in the folder"
    json.loads(written.read_text())
    studies = [load_study(words), load_study([written])]
    assert studies[0].model_dump() == studies[1].model_dump()
    assert {key: path.resolve() for key, path in studies[0].files.items()} == {
        key: path.resolve() for key, path in studies[1].files.items()
    }
    digests = dict.fromkeys(studies[0].files, "digest")
    plans = [
        {name: (made.step, made.job) for name, made in Plan(study, digests).artefacts().items()} for study in studies
    ]
    assert plans[0] == plans[1] and len(plans[0]) > 20
    assert (
        studies[1].config.tile_size == 1 and studies[1].config.seed == 7 and len(cut_tiles(studies[1].models, 1)) == 2
    )
    # Snakemake takes it as JSON, so YTE never sees it.
    assert load_configfile(written)[FILES] == [str(Path(word).absolute()) for word in words]


def test_a_dry_run_makes_no_results_and_a_run_from_the_wrong_folder_says_so(tmp_path):
    project = Project.new(tmp_path / "home", {"study": "tiny", "matrix": "matrix.csv", "clusters": {"k": 2}})
    (project.folder / "matrix.csv").write_text("model,a,b,c\na,4.6,1,2\nb,1,4.6,3\nc,2,3,4.6\n")
    done = project.snakemake("--dry-run")
    assert done.returncode == 0 and "study.json" in done.stdout + done.stderr, done.stderr[-3000:]
    assert not (project.folder / "results").exists()
    project.results.mkdir(parents=True)
    (project.results / "study.json").touch()
    other = tmp_path / "other"
    other.mkdir()
    words = [sys.executable, "-m", "sat", "run", "../home/config.yaml", "--dry-run"]
    done = subprocess.run(words, cwd=other, env=ENVIRONMENT, capture_output=True, text=True)
    assert f"has results in {project.folder}: call sat there" in unwrapped(done.stderr), done.stderr[-3000:]
    assert not (other / "results").exists()


def test_another_call_leaves_the_file_of_a_run_as_it_is(write_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = write_study().name
    first = write_study_of([study])
    text = first.read_text()
    assert write_study_of([study]) == first, "a run that goes on has the same"
    write_study(attack={**TINY["attack"], "steps": 4})
    second = write_study_of([study])
    assert second != first and first.read_text() == text
    assert [load_study([file]).config.attack.steps for file in (first, second)] == [3, 4]


def write_study_of(words: list[str]) -> Path:
    return write_study(Namespace(study=words, config=[]))


def test_faults_are_told_in_words_of_the_yaml(write_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = write_study(tile_size=0)
    with pytest.raises(SatError, match=r"study\.yaml: key 'tile_size'"):
        write_study_of([study.name])
    assert not (tmp_path / ".snakemake").exists()


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        (["study.yaml", "--cores", "2", "-n"], ["--cores", "2", "-n"]),
        (["study.yaml", "--config", "seed=1", "--cores", "2", "x.csv"], ["--cores", "2", "x.csv"]),
        (["study.yaml", "--profile", "slurm", "--config", "seed=1"], ["--profile", "slurm"]),
        (["study.yaml", "-n", "--", "--until", "a.yaml"], ["-n", "--until", "a.yaml"]),
        (["study.yaml", "--stud", "x"], ["--stud", "x"]),
        (["--cores", "--study", "study.yaml"], ["--cores"]),
    ],
)
def test_what_sat_does_not_know_is_snakemakes(monkeypatch, sat, tmp_path, words, passed_on):
    called = []
    monkeypatch.setattr("sat.cli.calls.call_snakemake", called.append)
    assert sat(tmp_path, "run", *words).returncode == 0
    assert (called[0].study, called[0].passed_on) == (["study.yaml"], passed_on)


def test_the_study_comes_before_words_of_snakemake(write_study, sat, tmp_path):
    write_study()
    done = sat(tmp_path, "run", "--cores", "2", "study.yaml")
    assert done.returncode == 2 and "write the study before all options" in done.stderr


@pytest.mark.slow
def test_sat_run_and_snakemake_take_over_from_each_other(project):
    # The project was run by Snakemake with config.yaml.
    (project.folder / "studies").mkdir()
    for name in ("config.yaml", "models.csv"):
        (project.folder / name).rename(project.folder / "studies" / name)
    mine = "studies/config.yaml"
    # A default profile in the working folder would be taken before the project's own.
    (project.folder / "default").mkdir()
    (project.folder / "default/profile.yaml").write_text("config: {seed: 3}\nnot-an-option: 1\n")

    def run(*words):
        # It becomes Snakemake, so it needs a process of its own.
        environment = {**ENVIRONMENT, "PYTHONPATH": str(project.folder / "workflow")}
        return project.call(sys.executable, "-m", "sat", "run", mine, *words, environment=environment)

    # Two files are from earlier runs. One is old; a dry run may be about to read the other.
    earlier = [project.folder / f".snakemake/studies/tiny/{name}.json" for name in ("old", "new")]
    earlier[0].parent.mkdir(parents=True)
    for file, age in zip(earlier, (25, 1), strict=True):
        file.write_text("{}")
        os.utime(file, (time.time() - age * 3600,) * 2)
    assert run("-n").returncode == 0 and all(map(Path.exists, earlier))
    done = run("-c1")
    assert done.returncode == 0 and "Nothing to be done" in done.stdout + done.stderr, done.stderr[-3000:]
    assert [file.exists() for file in earlier] == [False, True]
    call = re.search(r"snakemake --snakefile .*", done.stderr)[0]
    assert " -c1 --configfile .snakemake/studies/tiny/" in call
    written = call.rpartition(" ")[2]
    # What one makes, the other takes over.
    done = run("--config", "confidence=0.9", "-c1", "--until", "--", "study")
    assert done.returncode == 0, done.stderr[-3000:]
    (project.folder / "default").rename(project.folder / "away")
    again = project.planned("--configfile", mine, "--config", "confidence=0.9")
    assert "study" not in again and again, "only the analyses that it did not make"
    assert project.planned("--configfile", written, "--config", "confidence=0.9") == again


@pytest.mark.slow
def test_python_imports_nothing_from_the_working_folder(write_study, tmp_path):
    write_study()
    mark = tmp_path / "code has run"
    for name in ("yaml", "json", "argparse", "snakemake", "sat", "pydantic"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit(3)\n")
    project = Project(tmp_path)
    # As the installed script: it does not look in the working folder.
    words = ("-P", "-m", "sat", "run", "study.yaml", "--", "-c1", "results/tiny/study.json")
    done = project.call(sys.executable, *words, environment=ENVIRONMENT)
    assert done.returncode == 0 and not mark.exists(), done.stderr[-3000:]
    assert (tmp_path / "results/tiny/study.json").exists()
