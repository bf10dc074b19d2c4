"""Code files are read without being run, and run only by consent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROWS
from sat.errors import SatError
from sat.study import code
from sat.study.plan import Plan
from sat.study.study import load_study

NETS = """
raise RuntimeError("it ran")
from layers import block
from helpers import *

def small(num_classes, width=8): ...
big = small
"""


def write(folder: Path) -> Path:
    (folder / "my_nets.py").write_text(NETS)
    (folder / "layers").mkdir()
    (folder / "layers/__init__.py").write_text("from .inner import block\n")
    (folder / "layers/inner.py").write_text("import torch\ndef block(): ...\n")
    (folder / "helpers.py").write_text("def helper(): ...\ndef _hidden(): ...\n")
    (folder / "other.py").write_text("nobody imports me")
    return folder / "my_nets.py"


def test_names_and_imports_are_found_without_running_anything(tmp_path):
    found = code.read_code([write(tmp_path)])["my_nets"]
    assert set(found.contents) == {"my_nets.py", "layers/__init__.py", "layers/inner.py", "helpers.py"}
    assert found.names == {"block", "helper", "small", "big"}
    found.check("my_nets:small")
    with pytest.raises(ValueError, match=r"no function 'smal'; did you mean small\?"):
        found.check("my_nets:smal")


@pytest.mark.parametrize("changed", ["my_nets.py", "layers/inner.py", "helpers.py"])
def test_the_digest_covers_what_is_imported_and_nothing_else(tmp_path, changed):
    path = write(tmp_path)
    before = code.read_code([path])["my_nets"].digest
    (tmp_path / "other.py").write_text("still nobody")
    assert code.read_code([path])["my_nets"].digest == before
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "# a comment\n")
    assert code.read_code([path])["my_nets"].digest != before


def test_the_copy_is_what_was_read_and_a_damaged_one_is_replaced(tmp_path):
    found = code.read_code([write(tmp_path)])["my_nets"]
    results = tmp_path / "results/x"
    for _ in range(2):
        code.keep_code([found], results)
        copy = results / "code" / found.digest
        assert code.read_copy(copy) == dict(found.contents)
        assert code.digest_of(code.read_copy(copy)) == found.digest
        # Compiled files would be run in place of the source.
        (copy / "__pycache__").mkdir()
        (copy / "__pycache__/my_nets.cpython-311.pyc").write_bytes(b"x")
        assert code.digest_of(code.read_copy(copy)) != found.digest


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("nets.txt", "", "is a Python file whose name"),
        ("my-nets.py", "", "is a Python file whose name"),
        ("nets.py", "def x(:\n", r"nets\.py, line 1: is not Python"),
        ("nets.py", "a\0", "is not Python"),
        (None, "", "cannot be read"),
    ],
)
def test_what_is_no_code_file(tmp_path, name, content, words):
    path = tmp_path / (name or "absent.py")
    if name:
        path.write_text(content)
    with pytest.raises(SatError, match=words):
        code.read_code([path])


def test_two_files_that_bring_different_modules_of_one_name(tmp_path):
    paths = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "shared.py").write_text(f"x = {number}")
        (folder / f"nets{number}.py").write_text("import shared")
        paths.append(folder / f"nets{number}.py")
    with pytest.raises(SatError, match=r"two different files shared\.py"):
        code.read_code(paths)


@pytest.fixture
def consent(monkeypatch):
    monkeypatch.delenv(code.CONSENT, raising=False)
    yield lambda: os.environ.get(code.CONSENT)
    os.environ.pop(code.CONSENT, None)


@pytest.mark.parametrize("words", [["--config", "a=1", "trust_code=true"], ["-C", "trust_code=True"]])
def test_the_words_of_the_command_give_consent(consent, words):
    config = {"trust_code": True, "a": 1}
    code.give_consent(config, ["snakemake", "-n", *words, "--cores", "2"])
    assert config == {"a": 1} and consent() == "1"


@pytest.mark.parametrize(
    "words", [[], ["--configfile", "trust_code=true"], ["--config", "a=1", "--cores", "trust_code=true"]]
)
def test_nothing_else_gives_consent(consent, words):
    with pytest.raises(SatError, match="stands in a config file or a profile"):
        code.give_consent({"trust_code": True}, ["snakemake", *words])
    assert consent() is None


def test_false_is_no_consent_and_other_words_are_told(consent):
    code.give_consent({"trust_code": False}, None)
    assert consent() is None
    with pytest.raises(SatError, match="neither true nor false"):
        code.give_consent({"trust_code": "yes"}, None)
    with pytest.raises(SatError, match=r"my_nets\.py \(digest [0-9a-f]{12}, .* in the jobs of a, b"):
        found = code.CodeFile(Path("my_nets.py"), {"my_nets.py": b""}, frozenset())
        code.check_consent({"my_nets": ["a", "b"]}, {"my_nets": found})
    code.check_consent({}, {})


OWN = {**ROWS[0], "model": "own", "architecture": "my_nets:small", "option.width": "12", "mean": "0", "std": "1"}
TIMM = {**ROWS[1], "option.width": "", "mean": "", "std": ""}


def test_the_digest_is_in_the_steps_of_the_nets_that_the_file_defines(write_study, tmp_path):
    path = write(tmp_path)
    recipes = []
    for _ in range(2):
        study = load_study([write_study([OWN, TIMM], code="my_nets.py")])
        plan = Plan(study)
        assert plan.weights("own").step.params["options"] == {"width": 12}
        recipes.append((plan.weights("own").step.recipe, plan.weights("vit").step.recipe))
        path.write_text(path.read_text() + "# changed\n")
    assert recipes[0][0] != recipes[1][0] and recipes[0][1] == recipes[1][1]


@pytest.mark.parametrize(
    "row, change, words",
    [
        (OWN, {}, r"row 2, column 'architecture': 'my_nets:small' is a place .* key 'code'"),
        ({**OWN, "architecture": "my_nets:smal"}, {"code": ["my_nets.py"]}, r"did you mean small\?"),
        ({**OWN, "weights": "hub"}, {"code": "my_nets.py"}, "column 'weights': the hub of timm has no"),
        ({**OWN, "architecture": "test_resnet"}, {"code": "my_nets.py"}, "column 'option...': is for nets from a"),
        ({**OWN, "option.width": "{"}, {"code": "my_nets.py"}, "column 'option.width'"),
        ({**OWN, "weights": "code", "architecture": "test_resnet", "option.width": ""}, {}, "column 'weights': is for"),
    ],
)
def test_faults_of_a_row(write_study, tmp_path, row, change, words):
    write(tmp_path)
    with pytest.raises(SatError, match=words):
        load_study([write_study([row, TIMM], **change)])


def test_reading_a_study_with_code_imports_no_torch_and_runs_nothing(write_study, tmp_path):
    write(tmp_path)
    path = write_study([OWN, TIMM], code="my_nets.py")
    script = (
        "import sys; from sat.study.study import load_study; load_study(sys.argv[1:]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
