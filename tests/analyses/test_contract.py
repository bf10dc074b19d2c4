"""What every declared analysis keeps to, ours and those that are added."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from conftest import ROOT
from sat import units
from sat.report.atlas.charts import OWN
from sat.report.atlas.data import PIPELINE
from sat.study.config import Core
from sat.study.plan import Plan
from sat.study.study import load_study

NAMES = units.names("analyses")
HEAVY = ("torch", "timm", "pandas", "matplotlib", "seaborn", "h5py", "sklearn", "scipy")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_has_a_caption(name: str):
    unit = units.declarations("analyses")[name]
    for kind, shown in (("table", unit.tables), ("figure", unit.figures)):
        for what, place in shown.items():
            captions = [ROOT / f"workflow/report/{stem}.rst" for stem in (what, f"{what}_{kind}")]
            assert place is None or any(path.is_file() for path in captions), what
            if place:
                assert place.section and place.title and not place.title.endswith(".")


def test_no_two_entries_of_the_page_share_a_title():
    """A table and a figure of one name are one entry, and the table's title heads it."""
    outputs = [PIPELINE, *(unit.outputs for unit in units.declarations("analyses").values())]
    places = {Path(path).stem: place for one in outputs for path, place in reversed(one.items()) if place}
    assert {
        title: n for title, n in Counter((one.section, one.title) for one in places.values()).items() if n > 1
    } == {}


def test_no_two_views_of_a_chart_share_a_title():
    """A reader chooses a view by its title."""
    for chart in [
        *OWN.values(),
        *(one for unit in units.declarations("analyses").values() for one in unit.charts.values()),
    ]:
        titles = [view.title for view in chart]
        assert len(set(titles)) == len(titles), titles


@pytest.mark.parametrize("name", NAMES)
def test_its_inputs_are_known_and_its_function_takes_its_params(name: str, write_study):
    unit, module = units.declarations("analyses")[name], units.module("analyses", name)
    assert unit.optional <= set(unit.inputs)
    assert len(set(unit.inputs.values())) == len(unit.inputs), "inputs are told apart by their paths"
    plan = Plan(load_study([write_study()]))
    made = {path for other in units.declarations("analyses").values() for path in other.outputs}
    for path in unit.inputs.values():
        assert path in made or plan.find(path) is not None
    assert unit.drawn_from <= set(unit.inputs) and hasattr(module, "draw") == bool(unit.figures)
    for function, places in (("run", ["given"]), ("draw", ["given", "answer"])):
        if not hasattr(module, function):
            continue
        parameters = list(inspect.signature(getattr(module, function)).parameters.values())
        first, others = parameters[: len(places)], parameters[len(places) :]
        keywords = [other for other in others if other.kind is not inspect.Parameter.VAR_KEYWORD]
        assert [one.name for one in first] == places
        assert all(other.kind is inspect.Parameter.KEYWORD_ONLY for other in keywords)
        if name in plan.analyses:
            params = set(plan.params_of(name))
            needed = {other.name for other in keywords if other.default is inspect.Parameter.empty}
            assert needed <= params
            assert len(keywords) < len(others) or params <= {other.name for other in keywords}
        assert inspect.getdoc(getattr(module, function))
    assert inspect.getdoc(module)


def test_no_two_declare_one_output_or_one_key():
    declared = units.declarations("analyses").values()
    outputs = Counter(path for unit in declared for path in unit.outputs)
    keys = Counter(key for unit in declared if unit.settings for key in unit.settings.model_fields)
    assert {**outputs, **keys} == dict.fromkeys([*outputs, *keys], 1)
    assert not set(keys) & set(Core.model_fields)


def test_declarations_import_nothing_heavy():
    """The Snakefile imports them in every job."""
    code = (
        "import sys; from sat import units; import sat.study.plan\n"
        "for kind in ('attacks', 'measures', 'analyses'): units.declarations(kind)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
