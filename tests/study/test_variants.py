"""Variants of a study: what they share with it, and what is their own."""

import json

import pytest

from conftest import ROOT, ROWS
from projects import LAST, Project
from sat.errors import SatError
from sat.study.attack import AttackSettings
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import load_study

VARIANTS = {
    "weak": {"attack": {"eps": "12/255", "step": "4/255"}},
    "few": {"attack_images": 16},
    "l2": {"attack": {"method": "pgd_l2", "eps": 6.0, "step": 2.0}, "attack_images": 32},
}


def plan(write_study, **changes):
    return Plan(load_study([write_study(**changes)]))


def recipes(given):
    """Recipes of everything except study.json, the page and the crate, which change with any setting."""
    describe = {"study.json", *LAST}
    return {name: made.step.recipe for name, made in given.artefacts().items() if name not in describe}


def test_a_study_without_variants_is_what_it_was(write_study):
    alone, varied = plan(write_study), plan(write_study, variants=VARIANTS)
    before, after = recipes(alone), recipes(varied)
    assert before.items() <= after.items()
    new = after.keys() - before.keys()
    assert {"analysis/ablation.csv", "analysis/ablation_pairs.csv", "figures/ablation.svg"} <= new
    assert all(name.startswith("variants/") or "ablation" in name for name in new)
    params = json.loads(alone.adversarial("vit").json)["params"]
    assert params == {
        "model": "vit",
        "method": "pgd_linf",
        "eps": 24,
        "step": 8,
        "steps": 3,
        "random_start": True,
        "seed": 0,
    }


def test_fewer_images_alone_take_no_attack(write_study):
    varied = plan(write_study, variants=VARIANTS)
    few = [name for name in varied.artefacts() if name.startswith("variants/few/")]
    assert few and all(name.startswith("variants/few/similarity/") for name in few)
    assert varied.similarity("few")[0].step.inputs == varied.similarity("")[0].step.inputs
    assert varied.similarity("few")[0].step.params["attack_images"] == 16
    assert varied.adversarial("vit", "l2").step.params == {
        "model": "vit",
        "method": "pgd_l2",
        "eps": 6.0 * 255,
        "step": 2.0 * 255,
        "steps": 3,
        "random_start": True,
        "seed": 0,
        "attack_images": 32,
    }
    assert varied.tile("c1-000", "c1-000", "l2").step.params["noise"] == {"eps": 1530.0, "seed": 0, "norm": "l2"}


def test_a_change_of_one_variant_touches_no_other(write_study):
    before = recipes(plan(write_study, variants=VARIANTS))
    changed = {**VARIANTS, "weak": {"attack": {"eps": "13/255", "step": "4/255"}}}
    after = recipes(plan(write_study, variants=changed))
    differ = {name for name in before if before[name] != after[name]}
    assert {name.split("/")[1] for name in differ if name.startswith("variants/")} == {"weak"}
    assert {name for name in differ if not name.startswith("variants/")} == {
        "analysis/ablation.csv",
        "analysis/ablation_pairs.csv",
        "figures/ablation.svg",
    }


def test_what_a_method_does_not_use_reruns_nothing(write_study):
    def fgsm(**settings):
        return recipes(plan(write_study, variants={"fast": {"attack": {"method": "fgsm", **settings}}}))

    assert fgsm() == fgsm(steps=7, step="3/255", momentum=0.5, random_start=False)


def test_forecast_and_status_know_variants(write_study):
    varied = plan(write_study, variants=VARIANTS)
    forecast = Forecast(varied)
    artefacts = varied.artefacts()
    for name, artefact in artefacts.items():
        assert ("adversarial/" in name) <= (forecast.needs(artefact) is not None and forecast.disk(artefact) > 0)
    own = forecast.disk(artefacts["adversarial/vit.h5"])
    assert forecast.disk(artefacts["variants/weak/adversarial/vit.h5"]) == own
    # Two bytes a value instead of one, 32 of 48 images.
    assert forecast.disk(artefacts["variants/l2/adversarial/vit.h5"]) == pytest.approx(4 / 3 * own, 1e-4)
    names = set(varied.jobs())
    assert {
        "variants/weak/attack/vit",
        "variants/weak/evaluate/c1-000/c1-001",
        "variants/few/similarity/similarity",
    } <= (names)


@pytest.mark.parametrize(
    ("variants", "advice"),
    [
        ({"a b": {}}, "file name"),
        ({"weak": {"atack": {}}}, "unknown key 'variants.weak.atack'"),
        ({"weak": {"attack": {"epsilon": "8/255"}}}, "weak: unknown key 'attack.epsilon'"),
        ({"weak": {"attack": {"eps": "7.5/255"}}}, "weak: key 'attack.eps': '7.5/255'"),
        ({"weak": {"attack": {"method": "pgd"}}}, "weak: key 'attack.method'"),
        ({"l2": {"attack": {"method": "pgd_l2"}}}, "key 'attack.eps' has to be given"),
        ({"l2": {"attack": {"method": "pgd_l2", "eps": 3.0}}}, "key 'attack.step' has to be given"),
        ({"many": {"attack_images": 49}}, "write 1 to 48"),
    ],
)
def test_a_fault_of_a_variant_names_it(write_study, variants, advice):
    with pytest.raises(SatError) as caught:
        load_study([write_study(variants=variants)])
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"method": "pgd_l2"}, "eps: pgd_l2 needs one of its own"),
        ({"method": "pgd_l2", "eps": 3.0}, "step: pgd_l2 needs one of its own"),
        ({"method": "pgd_l2", "eps": -1.0, "step": 0.5}, "is not an L2 size above 0"),
        ({"method": "pgd_l2", "eps": 3.0, "step": 0}, "is not an L2 size above 0"),
        ({"method": "fgsm", "eps": 3.0}, "8/255"),
    ],
)
def test_sizes_belong_to_a_norm(given, advice):
    with pytest.raises(ValueError, match=advice):
        AttackSettings.model_validate(given)


def test_an_l2_norm_may_be_above_one():
    attack = AttackSettings.model_validate({"method": "pgd_l2", "eps": 3.0, "step": "1/2"})
    assert (attack.eps_levels, attack.step_levels) == (765.0, 127.5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "anew"), [("digits", 14), ("vits", 4), ("imagenet", 11)])
def test_dry_runs_of_the_ablations(name, anew, tmp_path):
    study = ROOT / f"studies/ablation_{name}.yaml"
    done = Project(tmp_path).snakemake(
        "-n", "--quiet", "rules", "-s", str(ROOT / "Snakefile"), "--configfile", str(study)
    )
    assert done.returncode == 0, done.stderr[-3000:]
    jobs = dict(line.split()[:2] for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    found = load_study([study])
    assert int(jobs["attack"]) == len(found.used) * (1 + anew)
    assert int(jobs["similarity"]) == 1 + len(found.config.variants) and jobs["ablation"] == "1"


def test_sizes_in_l2_that_whole_grey_levels_cannot_hold_are_told(write_study):
    variants = {"weak": {"attack": {"method": "pgd_l2", "eps": 0.1, "step": 0.05}}, "l2": VARIANTS["l2"]}
    (caution,) = load_study([write_study(variants=variants)]).cautions
    assert caution.startswith("key 'variants.weak.attack': eps 0.1 is 0.46 grey levels")


def test_an_attack_made_for_vits_is_refused_with_the_rows_of_other_models(write_study):
    patches = {"method": "patchfool", "eps": 256, "steps": 2}
    for changes, key in (
        ({"attack": patches}, "attack"),
        ({"variants": {"p": {"attack": patches}}}, "variants.p.attack"),
    ):
        with pytest.raises(SatError) as raised:
            load_study([write_study(**changes)])
        others = [row for row in ROWS if not row["architecture"].startswith("test_vit")]
        assert f"key '{key}.method': patchfool cannot attack {len(others)} of {len(ROWS)} models: " in str(raised.value)
        assert all(f"{row['model']} ({row['architecture']})" in str(raised.value) for row in others)
    vits = [row | {"architecture": "test_vit2"} for row in ROWS]
    given = Plan(load_study([write_study(vits, attack=patches)]))
    assert given.adversarial("vit").step.params == {
        "model": "vit",
        "method": "patchfool",
        "eps": 256,
        "steps": 2,
        "rate": 0.05,
        "attention": 0.002,
        "seed": 0,
    }
    assert given.tile("c1-000", "c1-000").step.params["noise"] == {"eps": 256, "seed": 0, "norm": "patch"}
    # A retired row is attacked with its tile, so it is refused as well.
    retired = [*vits, ROWS[0] | {"model": "old", "architecture": "test_resnet", "use": "no"}]
    with pytest.raises(SatError, match=r"1 of \d+ models: old \(test_resnet\)"):
        load_study([write_study(retired, attack=patches)])


@pytest.mark.parametrize("eps", ["8/255", 0, 2.5, "many"])
def test_a_patch_is_a_whole_number_of_pixels(eps):
    with pytest.raises(ValueError, match="not a number of pixels; eps is a number of pixels that may change"):
        AttackSettings.model_validate({"method": "patchfool", "eps": eps})


def test_a_patch_takes_no_size_of_another_norm():
    with pytest.raises(ValueError, match=r"'attack\.eps' has to be given: a number of pixels"):
        AttackSettings().changed({"method": "patchfool"})
    with pytest.raises(ValueError, match="eps: patchfool needs one of its own, a number of pixels"):
        AttackSettings.model_validate({"method": "patchfool"})
    back = AttackSettings.model_validate({"method": "patchfool", "eps": 256})
    with pytest.raises(ValueError, match=r"'attack\.eps' has to be given: whole grey levels"):
        back.changed({"method": "fgsm"})
