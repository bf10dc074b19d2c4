"""An attack or a measure that one new file adds is known everywhere, and a faulty declaration is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Annotated

import pytest
from pydantic import Field

from conftest import ROOT, ROWS
from sat.errors import SatError
from sat.study.attack import own_fields
from sat.study.section import Section
from sat.study.study import load_study
from sat.units import check_known, names
from sat.units.attack import Attack

# Where the size of a model is known, the forecast depends on the attack's cost.
SIZED = [{**row, "n_parameters": "1000000", "gmacs": "0.1"} for row in ROWS]
ATTACK = '''
"""Many steps from a random start."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from sat.attacks.settings import Steps
from sat.units.attack import Attack


class Settings(Steps):
    """Keys of the config's section `attack`."""

    leap: Annotated[int, Field(ge=1)] = 3
    """Steps at once."""

    @field_validator("leap")
    @classmethod
    def _check_leap(cls, value):
        if value == 13:
            raise ValueError("13 brings bad luck")
        return value


UNIT = Attack(summary="random leaps", norm="linf", settings=Settings, seeded=True, cost="leap")


def run(classifier, images, labels, *, eps, step, steps, leap, draws, device="cpu"):
    """Attack one batch."""
    from sat.attacks.lattice import ascend, random_start

    start = random_start(draws, images.shape[1:], eps)
    return ascend(classifier, images, labels, eps=eps, step=step, steps=steps * leap, start=start, device=device)
'''
ATTACK_KNOWN = """
import sys
from pathlib import Path
import numpy as np
from sat.errors import SatError
from sat.status.outlook import outlook
from sat.study.config import config_schema
from sat.study.forecast import Forecast
from sat.study.lock import drifted
from sat.study.plan import Plan
from sat.study.study import load_study

file = sys.argv[1]
given = {"attack": {"method": "mine", "leap": 2}}
plan = Plan(load_study([file], given))
step = plan.adversarial("vit").step
assert step.params == {
    "model": "vit", "method": "mine", "eps": 24, "step": 8, "steps": 3, "leap": 2, "seed": 0
}, step.params
section = config_schema()["$defs"]["AttackSettings"]["properties"]
assert "mine" in section["method"]["enum"] and "`mine`, random leaps" in section["method"]["description"]
assert section["leap"]["minimum"] == 1 and section["leap"]["description"] == "Steps at once. Used by `mine`."
assert "`mine`" in section["steps"]["description"] and "`mine`" not in section["random_start"]["description"]
slow = Plan(load_study([file], {"attack": {"method": "mine", "leap": 10**6}}))
assert Forecast(slow).attack("vit").minutes > Forecast(plan).attack("vit").minutes
assert "attack" in outlook(plan, Path("results"))
assert drifted() == ["attacks/mine"]
for leap, said in ((13, "13 brings bad luck"), (0, "attack.leap")):
    try:
        load_study([file], {"attack": {"method": "mine", "leap": leap}})
    except SatError as error:
        assert said in str(error), error
    else:
        raise AssertionError(leap)
# The other attacks ignore the key.
assert load_study([file], {"attack": {"leap": 13}}).config.attack.params.keys().isdisjoint({"leap"})
assert not {"torch", "pandas"} & set(sys.modules)

from nets import classifier, digits
from sat.attacks.apply import attack
from sat.models.classifier import predict

net = classifier("test_resnet")
images, _ = digits(16)
labels = predict(net, images, 16).argmax(1)
found = attack(net, images, labels, np.arange(16), step.params)
assert found.fooled.any() and 0 < np.abs(found.perturbation.astype(int)).max() <= 24
"""
MEASURE = '''
"""Share of images on which both models are right."""

from __future__ import annotations

import numpy as np

from sat.units.measure import Measure

UNIT = Measure(needs="prediction", labelled=True, title="both right\\n(share of images)")


def run(arrays, labels):
    """Correct on both; 1 on the diagonal."""
    right = np.stack([array[:] == labels for array in arrays]).astype(float)
    square = right @ right.T / len(labels)
    np.fill_diagonal(square, 1)
    return square
'''
MEASURE_KNOWN = """
import sys
import numpy as np
from sat.study.config import Config, config_schema
from sat.study.lock import drifted
from sat.study.plan import Plan
from sat.study.study import load_study

plan = Plan(load_study([sys.argv[1]], {"measures": ["cka", "mine"]}))
assert plan.analysis("measures")[0].step.params["measures"] == ["cka", "mine"]
assert "mine" in config_schema()["properties"]["measures"]["items"]["enum"]
assert "mine" not in Config.model_fields["measures"].default
assert drifted() == ["measures/mine"]
assert not {"torch", "pandas"} & set(sys.modules)

import pandas as pd
from sat.analyses.measures.agreement import against
from sat.analyses.measures.figure import measures_figure
from sat.measures.matrix import similarity_interval, similarity_matrix

random = np.random.default_rng(0)
labels = random.integers(3, size=50)
arrays = {name: random.integers(3, size=50) for name in "abcd"}
matrix = similarity_matrix("mine", arrays, labels)
assert matrix.loc["a", "b"] == np.mean((arrays["a"] == labels) & (arrays["b"] == labels))
found = against(matrix, matrix, {"mine": matrix}, dict.fromkeys("abcd", 0.3), permutations=9)
pairs = pd.DataFrame({"model_a": ["a", "c"], "model_b": ["b", "d"], "sat": [0.0, 1.0], "mine": [0.0, 1.0]})
pairs = pairs.assign(affinity=pairs["sat"], mine_rest=pairs["mine"])
figure = measures_figure(pairs, found, dict(zip("abcd", "xxyy")))
named = [" ".join(axes.get_ylabel().split()) for axes in figure.axes[:2]]
assert named == ["both right", "both right, without levels"]
low, high = similarity_interval("mine", matrix, arrays, labels, 0.95, random)
assert low.loc["a", "b"] < matrix.loc["a", "b"] < high.loc["a", "b"]
"""


@pytest.mark.parametrize(
    ("kind", "unit", "known"), [("attacks", ATTACK, ATTACK_KNOWN), ("measures", MEASURE, MEASURE_KNOWN)]
)
def test_one_file_adds_a_unit(tmp_path, write_study, kind, unit, known):
    package = tmp_path / "library/sat"
    shutil.copytree(ROOT / "workflow/sat", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / kind / "mine.py").write_text(unit.lstrip())
    path = os.pathsep.join([str(package.parent), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", known, str(write_study(SIZED))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_units_are_modules_of_their_package():
    for kind in ("attacks", "measures"):
        assert names(kind) == tuple(sorted(names(kind)))
        for name in names(kind):
            assert (ROOT / f"workflow/sat/{kind}/{name}.py").is_file()
    assert not {"lattice", "rounding", "matrix", "slices"} & {*names("attacks"), *names("measures")}


def test_an_unknown_name_is_told_those_that_are_near():
    assert check_known("attacks", "fgsm") == "fgsm"
    with pytest.raises(ValueError, match="unknown attack 'fsgm'; did you mean fgsm"):
        check_known("attacks", "fsgm")
    with pytest.raises(ValueError, match="unknown measure 'zzz'; there are agreement, cka"):
        check_known("measures", "zzz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"measures": ["cka", "ckka"]},
            "key 'measures.1': unknown measure 'ckka'; did you mean cka? There are agreement, ",
        ),
        ({"measures": ["CKA"]}, "key 'measures.0': unknown measure 'CKA'; there are agreement, "),
        ({"measures": "cka"}, "key 'measures': input should be a valid array, not 'cka'"),
        ({"attack": {"method": "pgd"}}, "key 'attack.method': unknown attack 'pgd'; did you mean pgd_l2"),
        ({"attack": {"method": "pgd_l3", "eps": 3.0}}, "did you mean pgd_l2"),
    ],
)
def test_an_unknown_unit_is_refused_before_any_job(write_study: object, changes: dict[str, object], message: str):
    with pytest.raises(SatError) as caught:
        load_study([write_study(**changes)])
    assert message in str(caught.value) and "grey levels" not in str(caught.value)


class Plain(Section):
    pace: int = 3
    """How fast."""


class Other(Section):
    pace: int = 4
    """How fast."""


class Tighter(Section):
    pace: Annotated[int, Field(ge=1)] = 3
    """How fast."""


class Needed(Section):
    pace: int
    """How fast."""


class Taken(Section):
    eps: int = 3
    """Taken."""


class Method(Section):
    declaration: int = 3
    """Taken by the section's own code."""


def declared(settings: type[Section]) -> Attack:
    return Attack(summary="none", norm="linf", settings=settings, cost=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Other, "attack 'b': setting 'pace' differs from that of 'a'; define it once"),
        (Tighter, "attack 'b': setting 'pace' differs from that of 'a'"),
        (Needed, "attack 'b': setting 'pace' has no default"),
        (Taken, "attack 'b': setting 'eps' is a name that the section 'attack' uses itself"),
        (Method, "attack 'b': setting 'declaration' is a name that the section 'attack' uses itself"),
    ],
)
def test_a_declaration_that_fits_no_section_is_told(settings: type[Section], message: str):
    with pytest.raises(TypeError, match=message):
        own_fields({"a": declared(Plain), "b": declared(settings)})


def test_attacks_may_share_a_key():
    (kind, field) = own_fields({"a": declared(Plain), "b": declared(Plain)})["pace"]
    assert kind is int and field.default == 3 and field.description == "How fast. Used by `a`, `b`."
