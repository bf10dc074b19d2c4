import ast
import shutil

import pytest

from sat.study import lock as stages
from sat.study.lock import STAGES, code_digest, drifted, settle, stage_versions


def test_the_lock_is_in_step_with_the_code():
    assert drifted() == [], (
        "The code of these stages has changed. Does their output mean the same? "
        "Then 'python -m sat stages same'. If not: 'python -m sat stages bump STAGE'."
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the library whose code may change."""
    shutil.copytree(stages.PACKAGE, tmp_path / "sat", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(stages, "PACKAGE", tmp_path / "sat")
    monkeypatch.setattr(stages, "LOCK", tmp_path / "sat/stages.lock.json")
    return tmp_path / "sat"


def test_a_comment_or_docstring_is_no_change(package):
    file = package / "attacks/attack.py"
    file.write_text(
        file.read_text().replace(
            '    """What an attack on a batch of images gives."""', '    """Other words."""  # and a comment'
        )
    )
    assert "Other words" in file.read_text()
    assert drifted() == []


def test_a_change_is_seen_by_exactly_the_stages_that_import_the_module(package):
    file = package / "attacks/attack.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")
    # evaluate takes the noise from there.
    assert drifted() == ["attack", "evaluate"]
    file = package / "similarity/similarity.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")
    assert drifted() == ["attack", "evaluate", "similarity"]


def test_same_and_bump(package):
    file = package / "attacks/attack.py"
    file.write_text(file.read_text() + "\nCHANGED = 1\n")
    before = stage_versions()
    settle(["evaluate"], bump=False)
    settle(["attack"], bump=True)
    assert drifted() == []
    assert stage_versions() == {**before, "attack": before["attack"] + 1}
    assert list(stage_versions()) == list(STAGES)


def test_digest_follows_imports_within_functions(package):
    found = stages._imported("sat.stages.attack")
    assert {"sat.attacks.attack", "sat.models.classifier", "sat.store.hdf5", "sat.seeds"} <= set(found)
    assert not [module for module in found if module.startswith(("sat.report", "sat.analyses"))]
    assert all(isinstance(tree, ast.Module) for tree in found.values())
    before = code_digest("attack")
    for name, counts in (("report/style.py", False), ("store/hdf5.py", True)):
        file = package / name
        file.write_text(file.read_text() + "\nCHANGED = 1\n")
        assert (code_digest("attack") != before) == counts, name
