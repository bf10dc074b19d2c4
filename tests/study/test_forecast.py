import pytest

from conftest import ROOT, TINY
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import load_study


@pytest.fixture(scope="module")
def imagenet():
    return Forecast(Plan(load_study([ROOT / "studies/imagenet69.yaml"])))


def test_numbers_of_images(write_study, imagenet):
    digits = Forecast(Plan(load_study([write_study()])))
    assert digits.n_images == {"train": 1078, "eval": 719, "attack": 48}
    few = load_study([write_study(images={**TINY["images"], "eval_images": 300, "attack_images": "all"})])
    assert Forecast(Plan(few)).n_images == {"train": 1078, "eval": 300, "attack": 300}
    assert imagenet.n_images == {"train": 0, "eval": 50_000, "attack": 5000}


def test_every_artefact_has_needs_and_disk(imagenet):
    for name, artefact in imagenet.plan.artefacts().items():
        needs, disk = imagenet.needs(artefact), imagenet.disk(artefact)
        assert disk >= 0
        big = name.startswith(("weights/", "adversarial/", "tiles/")) or (
            name.startswith("clean/") and name.endswith(".h5")
        )
        assert (needs is not None and disk > 0) or not big, name


def test_disk_against_sizes_by_hand(imagenet):
    raw, artefacts = 5000 * 3 * 224 * 224, imagenet.plan.artefacts()
    assert 0.4 * raw < imagenet.disk(artefacts["adversarial/resnet50.h5"]) < raw
    assert imagenet.disk(artefacts["weights/resnet50.safetensors"]) == 4 * 25_557_032
    # int16 predictions of 8 targets on 8 sources, and their probabilities as float16.
    assert imagenet.disk(artefacts["tiles/c1-000/c1-001.h5"]) == (2 + 2) * 64 * 5000
    assert imagenet.disk(artefacts["clean/resnet50.h5"]) == 2 * 1000 * 50_000


def test_gradients_are_a_part_of_the_study_that_asks_for_them(write_study, imagenet):
    assert not any(path.startswith("gradients/") for path in imagenet.plan.artefacts())
    plan = Plan(load_study([write_study(measures=["cka", "input_gradients"])]))
    forecast, made = Forecast(plan), plan.artefacts()["gradients/vit.h5"]
    assert forecast.disk(made) == 2 * 48 * 3 * 32 * 32, "float16, of the 48 attack images"
    assert forecast.needs(made) is not None
    other = Plan(load_study([write_study(measures=["cka"])]))
    assert other.clean("vit").step == plan.clean("vit").step and "gradients/vit.h5" not in other.artefacts()
    assert set(other.inputs_of("measures")) == set(plan.inputs_of("measures")) - {"gradients"}
    needs = imagenet.gradients("resnet50")
    # 512 gradients take no more memory than the attack's, and far less time than 5,000 times its steps.
    assert needs.mem_mb <= imagenet.attack("resnet50").mem_mb and needs.minutes < imagenet.attack("resnet50").minutes


def test_larger_models_and_more_attempts_ask_for_more(imagenet):
    small, large = (imagenet.attack(model) for model in ("mixnet_xl", "resmlp_big_24_224"))
    assert large.minutes > small.minutes and large.mem_mb > small.mem_mb
    again = large.grow(2)
    assert again.mem_mb > large.mem_mb and again.minutes > large.minutes
    diagonal, other = imagenet.tile("c1-000", "c1-000"), imagenet.tile("c1-000", "c1-001")
    assert diagonal.mem_mb > other.mem_mb


def test_a_student_with_a_teacher_asks_for_more_than_one_alone():
    forecast = Forecast(Plan(load_study([ROOT / "studies/distill_deit_tiny.yaml"])))
    alone, small, large = (forecast.distil(name) for name in ("_alone", "efficientnet_b2", "convit_base"))
    assert forecast.train("deit_tiny").minutes < alone.minutes < small.minutes < large.minutes
    assert alone.mem_mb < small.mem_mb < large.mem_mb
    student = forecast.plan.distilled("convit_base", 2)
    assert forecast.needs(student) == large
    # Float32, as all weights.
    assert forecast.disk(student) == 4 * 5_717_416
    assert forecast.n_images == {"train": 1_281_167, "eval": 50_000, "attack": 5000}


def test_the_key_for_evaluation_images_enters_the_steps_that_it_changes(write_study):
    def recipes(**changes):
        plan = Plan(load_study([write_study(images={**TINY["images"], **changes})]))
        return {split: plan.images(split).step.recipe for split in ("train", "eval", "attack")} | {
            "study": plan.describe().step.recipe,
            "weights": plan.weights("vit").step.recipe,
        }

    before, named, few = recipes(), recipes(eval_images="all"), recipes(eval_images=300)
    assert named == before
    assert {name for name in before if few[name] != before[name]} == {"eval", "study"}
    all_of_them, of_few = recipes(attack_images="all"), recipes(attack_images="all", eval_images=300)
    assert {name for name in before if of_few[name] != all_of_them[name]} == {"eval", "attack", "study"}
