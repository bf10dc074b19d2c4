"""What the precision of attack and evaluation makes again."""

from __future__ import annotations

import json

import pytest

from conftest import TINY
from projects import LAST
from sat.errors import SatError
from sat.study.plan import Plan
from sat.study.study import load_study

BELOW = ("similarity/", "analysis/", "figures/", "report/", "provenance/")
"""What follows from tiles."""


def plan(write_study, attack=None, evaluation=None, **changes):
    changes |= {"attack": {**TINY["attack"], **(attack or {})}}
    if evaluation:
        changes["evaluation"] = evaluation
    return Plan(load_study([write_study(**changes)]))


def recipes(given):
    """Recipes by path."""
    return {name: made.step.recipe for name, made in given.artefacts().items()}


def folders(before, after):
    """Folders of what differs, or the file where it lies in none; pages and analyses count as what is below."""
    assert before.keys() == after.keys()
    differ = {name for name in before if before[name] != after[name]}
    return {name.partition("/")[0] for name in differ if not name.startswith(BELOW)}, differ


def test_float32_written_out_is_the_study_without_the_keys(write_study):
    before = recipes(plan(write_study))
    assert recipes(plan(write_study, {"precision": "float32"}, {"precision": "float32"})) == before
    given = plan(write_study)
    described = json.loads(given.describe().json)["params"]["config"]
    assert "evaluation" not in described and "precision" not in described["attack"]
    for made in (given.clean("vit"), given.adversarial("vit"), given.tile("c1-000", "c1-000")):
        assert "precision" not in made.step.params


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_the_attacks_precision_makes_attacks_and_what_follows_again(write_study, precision):
    before, given = recipes(plan(write_study)), plan(write_study, {"precision": precision})
    changed, _ = folders(before, recipes(given))
    assert changed == {"study.json", "adversarial", "tiles"}
    assert given.adversarial("vit").step.params["precision"] == precision
    assert "precision" not in given.tile("c1-000", "c1-000").step.params
    assert json.loads(given.describe().json)["params"]["config"]["attack"]["precision"] == precision


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_the_evaluations_precision_makes_all_predictions_again(write_study, precision):
    before, given = recipes(plan(write_study)), plan(write_study, None, {"precision": precision})
    changed, _ = folders(before, recipes(given))
    # A model is attacked on the images that it gets right, so attacks follow from clean predictions.
    assert changed == {"study.json", "clean", "adversarial", "tiles"}
    assert given.clean("vit").step.params == {"model": "vit", "precision": precision}
    assert given.tile("c1-000", "c1-001").step.params["precision"] == precision
    assert "precision" not in given.adversarial("vit").step.params
    assert json.loads(given.describe().json)["params"]["config"]["evaluation"] == {"precision": precision}


def test_weights_images_gradients_and_students_have_no_precision(write_study):
    more = {"measures": ["input_gradients"], "distillation": {"student": "vit", "seeds": 1}}
    before = recipes(plan(write_study, **more))
    after = recipes(plan(write_study, {"precision": "tf32"}, {"precision": "bfloat16"}, **more))
    _, differ = folders(before, after)
    parts = ("weights/", "images/", "gradients/", "distilled/")
    assert all(any(name.startswith(part) for name in before) for part in parts)
    assert not any(name.startswith(parts) for name in differ)


def test_a_variant_may_have_another_precision(write_study):
    variants = {"rough": {"attack": {"precision": "bfloat16"}}}
    given = plan(write_study, variants=variants)
    assert given.attacks_anew("rough")
    assert given.adversarial("vit", "rough").step.params["precision"] == "bfloat16"
    alone = recipes(plan(write_study))
    page = {"study.json", *LAST}
    assert {name: recipe for name, recipe in alone.items() if name not in page}.items() <= recipes(given).items()


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"evaluation": {"precision": "float16"}}, "key 'evaluation.precision'"),
        ({"attack": {"precision": "fp32"}}, "key 'attack.precision'"),
        ({"evaluation": {"precison": "tf32"}}, "unknown key 'evaluation.precison'"),
    ],
)
def test_another_precision_is_refused_with_those_there_are(write_study, changes, advice):
    with pytest.raises(SatError) as raised:
        plan(write_study, **changes)
    assert advice in str(raised.value) and ("tf32" in str(raised.value) or "did you mean" in str(raised.value))
