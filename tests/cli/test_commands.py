"""The command line itself: which commands there are, what they say of themselves, and how they take a study."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from projects import unwrapped
from sat.cli.commands import FOLDERS, GROUPS, commands

PACKAGE = ROOT / "workflow/sat"
REFERENCE = Path(os.environ.get("SAT_REFERENCE", ROOT.parent / "shared" / "reference"))
HEAVY = {"torch", "timm", "pandas", "numpy", "pydantic", "yaml", "matplotlib", "snakemake"}


def call(*words, cwd=ROOT, program=("-m", "sat")):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *program, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def told(sat, monkeypatch):
    """The command line without a process of its own: 80 columns, from this project's folder unless another is named."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *words, cwd=ROOT: sat(cwd, *words)


def functions(source):
    return {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}


def expected(folder):
    """Names of a folder's modules that define both functions, found in another way than the command line does."""
    sources = [*(PACKAGE / folder).glob("*.py"), *(PACKAGE / folder).glob("*/__init__.py")]
    found = [source for source in sources if {"run", "add_arguments"} <= functions(source)]
    return sorted(source.parent.name if source.stem == "__init__" else source.stem for source in found)


EVERY = sorted({name for folder in FOLDERS for name in expected(folder)})


def test_commands_are_found_without_importing_them():
    for folder in ("cli", "stages"):
        assert [command.name for command in commands(folder)] == expected(folder)
    assert {command.group for command in commands("cli")} == set(GROUPS)
    for command in (*commands("cli"), *commands("stages")):
        assert command.summary.endswith("."), command.name


def test_help_names_every_command_on_one_line_people_s_first():
    for words in (["--help"], ["-h"]):
        done = call(*words)
        assert done.returncode == 0 and not done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    people, pipeline = done.stdout.split("Called by Snakemake")
    for folder, text in (("cli", people), ("stages", pipeline)):
        assert sorted(re.findall(r"^  (\w+) +\S", text, re.MULTILINE)) == expected(folder)
    nothing = call()
    assert nothing.returncode == 2 and nothing.stderr == done.stdout and not nothing.stdout


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_help_within_80_columns(told, name):
    done = told(name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: sat {name} ")
    assert max(map(len, done.stdout.splitlines())) <= 80 and "%%" not in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["gate", "--help"], ["schema", "--help"], ["plann"]])
def test_only_the_named_command_is_imported_and_nothing_heavy(words):
    script = (
        "import sys; from sat.__main__ import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules)"
    )
    done = call(program=("-c", script))
    loaded = set(done.stdout.rpartition("MODULES ")[2].split())
    assert done.returncode == 0 and not loaded & HEAVY
    every = {f"sat.{folder}.{name}" for folder in FOLDERS for name in expected(folder)}
    assert {module.rpartition(".")[2] for module in loaded & every} == {words[0]} & set(EVERY)


@pytest.mark.parametrize(
    ("word", "meant"), [("plann", "'plan'"), ("stauts", "'status'"), ("evalute", "'evaluate'"), ("../plan", None)]
)
def test_an_unknown_command(told, word, meant):
    done = told(word)
    assert done.returncode == 2 and not done.stdout
    assert f"there is no command {word!r}" in done.stderr and "'sat --help' shows all" in done.stderr
    assert meant is None or f"Did you mean {meant}" in done.stderr


def test_the_console_script():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"sat": "sat.__main__:main"}
    # As the script that pip writes calls it.
    as_installed = call("--version", program=("-c", "import sys; from sat.__main__ import main; sys.exit(main())"))
    assert re.fullmatch(r"sat \d+\.\d+\.\d+\n", as_installed.stdout)
    script = Path(sys.executable).with_name("sat")
    if not script.exists():
        pytest.skip("the project is not installed in this environment: pip install --no-deps -e .")
    assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout == as_installed.stdout


def test_the_page_of_commands_says_what_there_is(told):
    text = (ROOT / "docs/commands.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", text.replace(r"\|", "/"), re.MULTILINE)
    assert [name for name, *_ in rows] == sorted(name for name, *_ in rows)
    pipeline = {name for folder in FOLDERS[1:] for name in expected(folder)}
    assert not pipeline & {name for name, *_ in rows}, "a name stands for one thing"
    here = {name: (words, summary) for name, words, summary in rows}
    assert sorted(here) == expected("cli")
    for command in commands("cli"):
        words, summary = here[command.name]
        assert summary == command.summary
        usage = told(command.name, "--help").stdout
        assert ("[STUDY ...]" in words) == ("[STUDY ...]" in usage), command.name
        assert ("STUDY" in words or "--study" in words) == ("--study FILE" in usage), command.name


def test_a_study_is_named_in_one_way(told, write_study, tmp_path):
    write_study(study="config")
    (tmp_path / "study.yaml").rename(tmp_path / "config.yaml")
    write_study(study="named")
    (tmp_path / "over.yaml").write_text("tile_size: 1\n")

    def heading(*words):
        done = told("plan", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[0]

    assert heading().startswith("Study config: 3 models")
    named = heading("study.yaml")
    assert named.startswith("Study named: 3 models") and "tiles of up to 2 x 2" in named
    assert heading("--study", "study.yaml") == named == heading("--config", "seed=1", "--study", "study.yaml")
    merged = heading("study.yaml", "over.yaml")
    assert "up to 1 x 1" in merged and merged == heading("--study", "study.yaml", "over.yaml")
    assert merged == heading("study.yaml", "--config", "seed=1", "--config", "tile_size=1")
    twice = told("plan", "study.yaml", "--study", "over.yaml", cwd=tmp_path)
    assert twice.returncode == 2 and "the study is named twice" in twice.stderr
    positional = told("add", "test_resnet", "study.yaml", cwd=tmp_path)
    assert positional.returncode == 1 and "write --study study.yaml" in positional.stderr


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("attack.steps=5", "--config 'attack={steps: 5}'"),
        ("a.b.c=[1, 2]", "--config 'a={b: {c: [1, 2]}}'"),
        ("attack", "write KEY=VALUE."),
        ("=5", "write KEY=VALUE."),
        ("config.yaml", "name the study before --config"),
        ("attack={steps", "is not valid YAML"),
    ],
)
def test_settings_that_are_written_otherwise(told, word, advice):
    done = told("plan", "--config", word)
    assert done.returncode == 1 and advice in done.stderr and "Traceback" not in done.stderr


READERS = [["summary"], ["status"], ["verify"], ["recommend", "ensemble", "--size", "2"]]
READERS += [["recommend", "teacher", "--student", "vit"]]


@pytest.mark.parametrize("words", READERS, ids=" ".join)
def test_in_the_wrong_folder(told, write_study, tmp_path, words):
    home, other = tmp_path / "home", tmp_path / "home/deeper"
    other.mkdir(parents=True)
    study = write_study()
    for name in ("study.yaml", "models.csv"):
        (tmp_path / name).rename(home / name)
    study = str(home / "study.yaml")
    never = told(*words, "--study", study, cwd=tmp_path)
    assert never.returncode == 1 and not never.stdout
    assert f"results/tiny: is not in this folder ({tmp_path})" in never.stderr
    assert "where snakemake ran" in never.stderr
    (home / "results/tiny").mkdir(parents=True)
    (home / "results/tiny/study.json").touch()
    # A dry run of an earlier version left this where it was called.
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/registered.json").write_text("{}")
    # The study says where, from the side and from below.
    for folder in (tmp_path, other):
        elsewhere = told(*words, "--study", study, cwd=folder)
        assert elsewhere.returncode == 1 and f"It is in {home}: call sat there." in elsewhere.stderr
    nothing_named = told(*words, cwd=tmp_path)
    assert nothing_named.returncode == 1
    assert f"there is no config.yaml or study.yaml in this folder ({tmp_path})" in nothing_named.stderr


def test_the_study_that_init_writes_need_not_be_named_in_its_folder(told, write_study, tmp_path):
    study = write_study()
    assert told("plan", cwd=tmp_path).stdout.startswith("Study tiny: 3 models")
    # A config.yaml comes first, as it always did.
    (tmp_path / "config.yaml").write_text(study.read_text().replace("study: tiny", "study: other"))
    assert told("plan", cwd=tmp_path).stdout.startswith("Study other: 3 models")


def test_a_plan_in_the_wrong_folder_says_where_the_results_are(told, write_study, tmp_path):
    study, other = str(write_study()), tmp_path / "other"
    other.mkdir()
    assert not told("plan", study, cwd=other).stderr, "there are none anywhere"
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/study.json").touch()
    said = unwrapped(told("plan", study, cwd=other).stderr)
    assert f"this folder ({other}) has no results/tiny, so everything would be made anew" in said
    assert f"has results in {tmp_path}: call sat there" in said
    assert not told("plan", study, cwd=tmp_path).stderr


def test_summary_of_an_unfinished_study_names_what_is_missing(told, write_study, tmp_path):
    write_study()
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/study.json").touch()
    done = told("summary", "study.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "results/tiny/similarity/sat.csv: is not there yet; run snakemake first." in done.stderr


def test_plan_of_a_matrix_claims_no_images(told, tmp_path):
    (tmp_path / "matrix.csv").write_text("model,a,b,c\na,4.6,1,2\nb,1,4.6,3\nc,2,3,4.6\n")
    study = {"study": "given", "matrix": "matrix.csv", "clusters": {"k": 2}}
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(study))
    done = told("plan", "given.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Study given: 3 models in 1 cohort(s), 3 pairs.\nThe matrix comes from a file: no images"
    )
    assert "evaluated" not in done.stdout and "tiles" not in done.stdout


@pytest.mark.skipif(
    not (REFERENCE / "SAT_release.csv").is_file(),
    reason="the authors' release is not in SAT_REFERENCE; see https://github.com/J-H-Hwang/SAT",
)
def test_plan_of_the_released_matrix(told, tmp_path):
    given = [f"matrix={REFERENCE / 'SAT_release.csv'}", f"components={REFERENCE / 'Model_Feature_release.csv'}"]
    done = told("plan", str(ROOT / "studies/published.yaml"), "--config", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Study published: 69 models in 1 cohort(s), 2,346 pairs.\n" in done.stdout and "evaluated" not in done.stdout


def test_only_commands_that_call_snakemake_hand_words_on(told, write_study, tmp_path):
    write_study()
    refused = told("plan", "study.yaml", "--", "--keep-going", cwd=tmp_path)
    assert refused.returncode != 0 and "--keep-going" in refused.stderr
