import ast
import shutil

import pytest

from projects import LAST
from sat.__main__ import main
from sat.study import lock as stages
from sat.study.lock import code_digest, drifted, entries, settle, versions
from sat.study.plan import Plan
from sat.study.study import load_study


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
    file = package / "attacks/interface.py"
    file.write_text(
        file.read_text().replace(
            '    """What an attack on a batch of images gives."""', '    """Other words."""  # and a comment'
        )
    )
    assert "Other words" in file.read_text()
    assert drifted() == []


def change(package, name):
    """Change the code of a module in a way that digests see."""
    file = package / name
    file.write_text(file.read_text() + "\nCHANGED = 1\n")


def test_a_change_is_seen_by_exactly_those_that_import_the_module(package):
    change(package, "attacks/noise.py")
    assert drifted() == ["evaluate"]
    change(package, "similarity/similarity.py")
    assert drifted() == ["estimate", "evaluate", "similarity"]
    # Whatever several attacks share drifts them, and not the stage that runs them by name.
    change(package, "attacks/l2.py")
    assert drifted() == ["estimate", "evaluate", "similarity", "attacks/pgd_l2"]
    change(package, "attacks/lattice.py")
    on_the_lattice = ["di_fgsm", "fgsm", "mi_fgsm", "pgd_linf", "tgr", "ti_fgsm", "vmi_fgsm"]
    assert drifted()[3:] == sorted(f"attacks/{name}" for name in [*on_the_lattice, "pgd_l2"])


@pytest.mark.parametrize("name", ["attacks/pgd_linf", "attacks/autoattack", "measures/cka"])
def test_a_mended_unit_drifts_itself_alone(package, name):
    change(package, f"{name}.py")
    assert drifted() == [name]


@pytest.mark.parametrize(("kind", "like"), [("attacks", "fgsm"), ("measures", "agreement")])
def test_a_new_unit_drifts_nothing_else(package, kind, like):
    shutil.copy(package / kind / f"{like}.py", package / kind / "mine.py")
    assert drifted() == [f"{kind}/mine"]
    assert f"{kind}/mine" not in versions()
    settle([f"{kind}/mine"], bump=False)
    assert drifted() == [] and versions()[f"{kind}/mine"] == 1
    (package / kind / "mine.py").unlink()
    settle([], bump=False)
    assert f"{kind}/mine" not in versions()


def test_same_and_bump(package):
    change(package, "attacks/noise.py")
    change(package, "attacks/lattice.py")
    before = versions()
    settle(["evaluate", *(name for name in drifted() if name.startswith("attacks/"))], bump=False)
    settle(["attacks/pgd_linf"], bump=True)
    assert drifted() == []
    assert versions() == {**before, "attacks/pgd_linf": before["attacks/pgd_linf"] + 1}
    assert tuple(versions()) == entries()


def test_digest_follows_imports_within_functions(package):
    found = stages._imported(["sat.stages.attack"])
    assert {"sat.attacks.interface", "sat.models.classifier", "sat.store.hdf5", "sat.seeds"} <= set(found)
    assert not [module for module in found if module.startswith(("sat.report", "sat.analyses"))]
    assert all(isinstance(tree, ast.Module) for tree in found.values())
    before = code_digest("attack")
    for name, counts in (("report/style.py", False), ("store/hdf5.py", True)):
        file = package / name
        file.write_text(file.read_text() + "\nCHANGED = 1\n")
        assert (code_digest("attack") != before) == counts, name


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("from .noise import noise", True),
        ("from . import noise", True),
        ("from ..attacks.noise import noise", True),
        ("import sat.attacks.noise", True),
        ("if TYPE_CHECKING:\n    X = int\nelse:\n    from sat.attacks.noise import noise as X", True),
        ("if TYPE_CHECKING:\n    from sat.attacks.noise import noise", False),
        ("if typing.TYPE_CHECKING:\n    from sat.attacks.noise import noise", False),
        ("if not TYPE_CHECKING:\n    from sat.attacks.noise import noise", True),
    ],
)
def test_a_digest_sees_what_runs(package, text, seen):
    (package / "attacks/mine.py").write_text(f"UNIT = None\n{text}\n")
    assert ("sat.attacks.noise" in stages._imported(["sat.attacks.mine"])) == seen


def recipes(given, **raised):
    plan = Plan(given, versions={**versions(), **{name.replace("__", "/"): 2 for name in raised}})
    return {name: artefact.step.recipe for name, artefact in plan.artefacts().items()}


@pytest.mark.parametrize("part", ["page.html", "page.css", "page.js"])
def test_a_part_of_the_page_drifts_the_page_alone(package, part):
    with (package / "report/atlas" / part).open("a") as stream:
        stream.write("\n")
    assert stages.drifted() == ["atlas"]


def test_the_version_of_an_attack_changes_what_is_made_with_it(write_study):
    fast = {"fast": {"attack": {"method": "fgsm"}}, "few": {"attack_images": 16}}
    given = load_study([write_study(variants=fast)])
    before = recipes(given)
    assert "versions" not in Plan(given).adversarial("vit").step.params

    def differ(**raised):
        after = recipes(given, **raised)
        return {name for name in before if before[name] != after[name]}

    ablation = {"analysis/ablation.csv", "analysis/ablation_pairs.csv", "figures/ablation.svg"}
    ablation |= LAST
    own = {name for name in before if name.startswith("variants/fast/")}
    assert differ(attacks__fgsm=2) == own | ablation
    assert differ(attacks__mi_fgsm=2) == set()
    shared = {name for name in before if name.startswith(("images/", "weights/", "clean/", "study.json"))}
    assert differ(attacks__pgd_linf=2) == set(before) - own - shared
    plan = Plan(given, versions={**versions(), "attacks/fgsm": 3})
    assert plan.adversarial("vit", "fast").step.params["versions"] == {"fgsm": 3}
    assert "versions" not in plan.adversarial("vit").step.params


def test_the_version_of_a_measure_changes_the_measures_alone(write_study):
    given = load_study([write_study(measures=["cka", "agreement"])])
    before = recipes(given)
    after = recipes(given, measures__cka=2)
    assert {name for name in before if before[name] != after[name]} == {
        "analysis/measures.csv",
        "analysis/measures_separation.csv",
        "analysis/measures_pairs.csv",
        "figures/measures.svg",
        *LAST,
    }
    assert recipes(given, measures__jensen_shannon=2) == before
    assert Plan(given, versions={**versions(), "measures/cka": 2}).analysis("measures")[0].step.params["versions"] == {
        "cka": 2
    }


def test_the_command_lists_and_settles_units(capsys):
    assert main(["stages"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == list(entries())
    assert main(["stages", "bump", "attacks/pgd"]) == 1
    assert "no such stage or unit: attacks/pgd; there are atlas, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "seen"),
    [
        ("study/config.py", []),
        ("study/plan.py", []),
        ("study/study.py", []),
        ("study/table.py", []),
        ("study/training.py", ["distil", "train"]),
        ("analyses/groups/__init__.py", ["groups"]),
        ("analyses/groups/means.py", ["groups"]),
        ("stages/gate.py", ["gate"]),
    ],
)
def test_a_change_is_asked_about_where_it_can_matter_alone(package, file, seen):
    """A lock that asks about every stage at each new config key says nothing."""
    change(package, file)
    assert drifted() == seen


@pytest.mark.parametrize(
    ("damage", "line", "said"),
    [
        (lambda text: text[: text.index('"code"')], 4, "is not valid JSON"),
        (lambda text: "", 1, "is not valid JSON"),
        (lambda text: text.replace('"version": ', '"version": x', 1), 3, "is not valid JSON"),
        (lambda text: text.replace("  },\n", "  },\n<<<<<<< HEAD\n", 1), 6, "marks of a merge conflict"),
        (lambda text: text.replace('"version": ', '"version": "x', 1).replace(",", '",', 1), 2, "whole number"),
        (lambda text: "[]", None, "holds no entries"),
        (lambda text: '{\n "attack": 3}', 2, "'attack' needs a whole number"),
    ],
)
def test_a_malformed_lock_is_told_in_one_line_with_its_repair(package, capsys, damage, line, said):
    stages.LOCK.write_text(damage(stages.LOCK.read_text()))
    assert main(["stages"]) == 1
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0 and said in told
    assert f"{stages.LOCK}, line {line}: " in told if line else f"{stages.LOCK}: " in told
    assert "git checkout HEAD -- stages.lock.json" in told or "delete the marks" in told
