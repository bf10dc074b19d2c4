"""Units of a study's own are declared in a process of its own, once, and read as data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import ROOT
from projects import LAST
from sat.errors import SatError
from sat.study import own_units
from sat.study.code import CONSENT, read_code
from sat.study.plan import Plan
from sat.study.study import Study, examine_study, load_study
from sat.units import ours
from sat.units.declared import Declared, describe

EXAMPLE = ROOT / "examples/own_units"
FILES = ("nesterov.py", "kappa.py", "nearest.py")
USED = {"attack": {"method": "nesterov", "eps": "24/255", "step": "8/255", "steps": 3}, "measures": ["cka", "kappa"]}
MEASURE = """
from sat.units.measure import Measure
UNIT = Measure({fields})
def run(arrays, labels): ...
"""
ANALYSIS = """
from sat.units.analysis import Analysis, Shown
from sat.study.section import Count, Section
from sat.attacks.settings import Steps
from pydantic import Field, field_validator
from typing import Annotated, Any
{before}
UNIT = Analysis({fields})
def run(given): ...
"""
SHOWN = 'tables={"mine": Shown("Similarity", "mine")}, inputs={"sat": "similarity/sat.csv"}'


@pytest.fixture(scope="module")
def declarations(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The declarations of the example, written once."""
    results = tmp_path_factory.mktemp("declared") / "results/tiny"
    own_units.read_units(read_code(EXAMPLE / name for name in FILES), results, may_run=True)
    return (results / "units.json").read_text()


@pytest.fixture
def beside(
    write_study: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declarations: str
) -> SimpleNamespace:
    """A study with the example's units, in a folder of its own, without consent."""
    monkeypatch.delenv(CONSENT, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        shutil.copy(EXAMPLE / name, tmp_path / name)
    path = write_study(code=list(FILES), **USED)
    declared = tmp_path / "results/tiny/units.json"

    def know(text: str = declarations) -> None:
        declared.parent.mkdir(parents=True, exist_ok=True)
        declared.write_text(text)

    consent = partial(monkeypatch.setenv, CONSENT, "1")
    return SimpleNamespace(folder=tmp_path, path=path, declared=declared, consent=consent, know=know)


def entries(beside: SimpleNamespace) -> dict[str, Any]:
    return json.loads(beside.declared.read_text())


def test_the_kind_is_seen_without_import(tmp_path: Path) -> None:
    text = (
        "raise SystemExit\nfrom sat.units import measure\nUNIT: object = measure.Measure(title='x')\ndef run(): ...\n"
    )
    (tmp_path / "mine.py").write_text(text)
    assert read_code([tmp_path / "mine.py"])["mine"].kind == "measures"
    for changed in (text.replace("measure.Measure(", "dict("), text.replace("def run", "def walk")):
        (tmp_path / "mine.py").write_text(changed)
        with pytest.raises(SatError, match=r"mine\.py, line 3: a unit is declared as UNIT = Attack\(\.\.\.\), Measure"):
            read_code([tmp_path / "mine.py"])


def test_without_consent_file_digest_and_purpose_are_told_and_nothing_is_written(beside: SimpleNamespace) -> None:
    digest = read_code([beside.folder / "kappa.py"])["kappa"].digest[:12]
    with pytest.raises(SatError, match=rf"kappa\.py \(digest {digest}, .* declares the measure kappa.*trust_code=true"):
        load_study([beside.path])
    assert not beside.declared.exists()
    study, faults = examine_study([beside.path])
    assert study is None and len(faults) == 1, "its keys are not called unknown"


def test_one_process_imports_each_version_once_and_reading_needs_no_consent(beside: SimpleNamespace) -> None:
    marks = beside.folder / "marks"
    marks.mkdir()
    for name in FILES:
        with (beside.folder / name).open("a") as file:
            file.write(f"import os\nopen({str(marks)!r} + f'/{name}.{{os.getpid()}}', 'a').write('!')\n")
    beside.consent()
    study = load_study([beside.path])
    found = [path.name.rsplit(".", 1) for path in sorted(marks.iterdir())]
    assert sorted(name for name, _ in found) == sorted(FILES)
    assert len({process for _, process in found} - {str(os.getpid())}) == 1, "one process, which is not this one"
    before = beside.declared.stat().st_mtime_ns
    os.environ.pop(CONSENT)
    assert load_study([beside.path]).config.model_dump() == study.config.model_dump()
    assert len(list(marks.iterdir())) == 3 and beside.declared.stat().st_mtime_ns == before
    # A comment makes another version.
    (beside.folder / "kappa.py").write_text((beside.folder / "kappa.py").read_text() + "# changed\n")
    with pytest.raises(SatError, match=r"kappa\.py \(digest [^;]*\. To learn"):
        load_study([beside.path])
    beside.consent()
    load_study([beside.path])
    assert len(list(marks.iterdir())) == 4 and len(entries(beside)) == 4


def test_settings_are_keys_of_the_config_with_their_types_and_bounds(beside: SimpleNamespace) -> None:
    beside.know()
    plan = Plan(load_study([beside.path], {"attack": {"ahead": 0.5}, "nearest": 1}))
    params = plan.adversarial("vit").step.params
    assert params["ahead"] == 0.5 and params["momentum"] == 1.0 and params["units"].keys() == {"attacks/nesterov"}
    assert plan.analysis("nearest")[0].step.params["nearest"] == 1
    assert plan.analysis("nearest")[0].step.params["families"]["vit"] == "vit"
    for wrong, said in (
        ({"nearest": 0}, "key 'nearest': input should be greater than or equal to 1"),
        ({"nearset": 2}, "unknown key 'nearset'; did you mean nearest"),
        ({"attack": {"ahead": "far"}}, "key 'attack.ahead'"),
        ({"attack": {"method": "nestrov"}}, "did you mean nesterov"),
        ({"measures": ["kapa"]}, "key 'measures.0': unknown measure 'kapa'; did you mean kappa"),
        ({"variants": {"x": {"attack": {"ahead": "far"}}}}, "ahead"),
    ):
        with pytest.raises(SatError, match=said):
            load_study([beside.path], wrong)


def test_a_studys_units_are_no_other_studys(beside: SimpleNamespace, write_study: Callable[..., Path]) -> None:
    beside.know()
    with_units = load_study([beside.path])
    assert ours().code == {} and "kappa" not in ours().measures
    without = load_study([write_study()])
    assert "nearest" not in Plan(without).analyses and "nearest" in Plan(with_units).analyses
    with pytest.raises(SatError, match="unknown measure 'kappa'"):
        load_study([write_study(measures=["kappa"])])


def test_the_digest_is_in_exactly_the_steps_of_the_unit(beside: SimpleNamespace) -> None:
    beside.consent()
    before = {path: made.step.recipe for path, made in Plan(load_study([beside.path])).artefacts().items()}
    changed = {}
    for name in FILES:
        text = (beside.folder / name).read_text()
        (beside.folder / name).write_text(text + "# changed\n")
        plan = Plan(load_study([beside.path]))
        changed[name] = {path for path, made in plan.artefacts().items() if made.step.recipe != before[path]}
        (beside.folder / name).write_text(text)
    # The page shows everything.
    for paths in changed.values():
        assert paths >= LAST
        paths -= LAST
    assert changed["nearest.py"] == {"analysis/nearest.csv"}
    assert {path.rpartition("/")[2].split(".")[0].split("_")[0] for path in changed["kappa.py"]} == {"measures"}
    assert {path.split("/")[0] for path in changed["nesterov.py"]} == {
        "adversarial", "tiles", "similarity", "analysis", "figures", "report"
    }  # fmt: skip


def test_a_study_json_holds_the_declarations(beside: SimpleNamespace) -> None:
    beside.know()
    study = load_study([beside.path])
    (beside.folder / "study.json").write_text(study.model_dump_json())
    again = load_study([beside.folder / "study.json"])
    assert again.model_dump() == study.model_dump() and again.config.attack.gradients == 3
    assert Study.model_validate_json(study.model_dump_json()).config.nearest == 2
    recorded = json.loads(study.model_dump_json())
    recorded["declared"]["attacks/nesterov"]["cost"] = "nothing"
    (beside.folder / "study.json").write_text(json.dumps(recorded))
    with pytest.raises(SatError, match=r"declared\.attacks/nesterov: cost is 'nothing'"):
        load_study([beside.folder / "study.json"])


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("kappa", {"kind": "attacks"}, "summary"),
        ("kappa", {"needs": "everything"}, "needs"),
        ("kappa", {"title": "<script>"}, "title"),
        ("kappa", {"title": "a\x1b[2J"}, "title"),
        ("kappa", {"run": "rm"}, "run"),
        ("kappa", {"least": True}, "least"),
        ("nesterov", {"cost": "nothing"}, "cost is 'nothing'"),
        ("nesterov", {"nets": "("}, "not a regular expression"),
        ("nesterov", {"settings": {"x": {"types": ["eval"], "default": 1}}}, "a setting has types of bool"),
        ("nesterov", {"settings": {"x": {"types": ["int"], "default": "1"}}, "cost": 1}, "make no section"),
        ("nesterov", {"settings": {"__init__": {"types": ["int"], "default": 1}}}, "not a key's name"),
        ("nesterov", {"settings": {"eps": {"types": ["int"], "default": 1}}, "cost": 1}, "uses itself"),
        ("nesterov", {"settings": {"steps": {"types": ["int"], "default": 1}}, "cost": 1}, "differs from that of"),
        ("nearest", {"settings": {"study": {"types": ["str"], "default": ""}}}, "is a key of the config file already"),
        ("nearest", {"settings": {"units": {"types": ["str"], "default": ""}}}, "is a key of the config file already"),
        ("nearest", {"tables": {"../../../x": None}}, "not a usable name"),
        ("nearest", {"tables": {"groups": None}}, "analysis/groups.csv is a file of another analysis"),
        ("nearest", {"inputs": {"sat": "../../secret"}}, "not the path of a result"),
        ("nearest", {"tables": {"x": {"section": "a\n.. raw:: html", "title": "x"}}}, "section"),
        ("nearest", {"mem_mb": 0}, "mem_mb"),
        ("nearest", {"wanted": "study"}, "wanted"),
        ("nearest", {"tables": {}}, "makes a table or a figure"),
    ],
)  # fmt: skip
def test_a_hostile_declaration_is_refused(
    beside: SimpleNamespace, name: str, changes: dict[str, Any], said: str
) -> None:
    beside.know()
    found, digest = entries(beside), read_code([beside.folder / f"{name}.py"])[name].digest
    found[digest] = {**found[digest], **changes}
    beside.know(json.dumps(found))
    with pytest.raises(SatError, match=said):
        load_study([beside.path])


@pytest.mark.parametrize("text", ["[]", "{", '{"a": ' * 10**5, "null", '{"x": 1}'])
def test_a_damaged_file_of_declarations_is_written_again(beside: SimpleNamespace, text: str) -> None:
    beside.know(text)
    with pytest.raises(SatError, match="declares the measure kappa"):
        load_study([beside.path])


@pytest.mark.parametrize("inputs", [{"a": "analysis/nearest.csv"}, {"a": "analysis/nothing.csv"}])
def test_an_analysis_of_itself_or_of_nothing_is_told(beside: SimpleNamespace, inputs: dict[str, str]) -> None:
    beside.know()
    digest = read_code([beside.folder / "nearest.py"])["nearest"].digest
    beside.know(json.dumps({**entries(beside), digest: {**entries(beside)[digest], "inputs": inputs}}))
    with pytest.raises(SatError, match=r"needs itself|no study has such a result"):
        Plan(load_study([beside.path])).analyses  # noqa: B018


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cka", r"cka\.py: this measure and our measure have one name, 'cka'"),
        ("fgsm", r"fgsm\.py: this measure and our attack have one name"),
        ("attack", r"attack\.py: this measure and a rule of ours have one name"),
        ("sat", r"sat\.py: this measure and a column"),
    ],
)
def test_names_that_are_taken(write_study: Callable[..., Path], tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / f"{name}.py").write_text(MEASURE.format(fields="needs='prediction', title='x'"))
    with pytest.raises(SatError, match=said):
        load_study([write_study(code=f"{name}.py")])


@pytest.mark.parametrize(
    ("before", "fields", "said"),
    [
        ("", f"{SHOWN}, params=lambda plan: {{}}", "'params': is a function, .* names of keys of the config"),
        ("", f"{SHOWN}, wanted=lambda study: True", "field 'wanted': is a function, .* has to be left out"),
        ("", f"{SHOWN}, files=('x',)", "field 'files': is for the project's own units"),
        ("class S(Section):\n    x: dict = {}", f"{SHOWN}, settings=S", "key 'x' is of type <class 'dict'>; "),
        ("class S(Section):\n    x: int", f"{SHOWN}, settings=S", "key 'x' has no default"),
        (
            "class S(Section):\n    x: int = 1\n    @field_validator('x')\n    def f(cls, x): return x",
            f"{SHOWN}, settings=S",
            "has validators",
        ),
        ("class S(Section):\n    x: int = Field(1, alias='y')", f"{SHOWN}, settings=S", "declared with more than"),
        ("class S(Section):\n    x: float = float('inf')", f"{SHOWN}, settings=S", "cannot be written as JSON"),
        ("class S: ...", f"{SHOWN}, settings=S", "'settings': is not a class made from sat.study.section.Section"),
        ("raise OSError('no disk')", SHOWN, r"'mine': cannot be imported \(.*mine\.py, line 7: OSError: no disk"),
        ("import sys; sys.exit(3)", SHOWN, "SystemExit: 3"),
        ("import os; os._exit(3)", SHOWN, "the process that imports it ended with status 3: it said nothing"),
        ("Analysis = dict", SHOWN, "UNIT is a dict"),
    ],
)  # fmt: skip
def test_what_json_cannot_hold_is_told_with_the_field(
    beside: SimpleNamespace, write_study: Callable[..., Path], before: str, fields: str, said: str
) -> None:
    (beside.folder / "mine.py").write_text(ANALYSIS.format(before=before, fields=fields))
    beside.consent()
    with pytest.raises(SatError, match=said):
        load_study([write_study(code="mine.py")])


def test_declarations_come_back_as_they_were_written() -> None:
    seen = 0
    for kind in ("attacks", "measures"):
        for name, unit in getattr(ours(), kind).items():
            try:
                again = Declared.validate_json(json.dumps(describe(unit))).make()
            except ValueError as error:
                assert name in ("patchfool", "vmi_fgsm", "ti_fgsm"), error
                continue
            seen += 1
            for one in vars(unit):
                if one == "settings":
                    assert repr(again.settings.model_fields) == repr(unit.settings.model_fields)
                else:
                    assert getattr(again, one) == getattr(unit, one)
    assert seen > 10


def test_a_process_that_hangs_is_stopped(
    beside: SimpleNamespace, write_study: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (beside.folder / "mine.py").write_text(ANALYSIS.format(before="import time; time.sleep(60)", fields=SHOWN))
    monkeypatch.setattr(own_units, "SECONDS", 1)
    beside.consent()
    with pytest.raises(SatError, match=r"mine\.py: the import was stopped after 1 s"):
        load_study([write_study(code="mine.py")])
