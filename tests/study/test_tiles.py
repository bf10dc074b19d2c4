import random

from sat.study.table import Model
from sat.study.tiles import cut_tiles


def rows(*names, cohort=1):
    return [Model(model=name, architecture="a", weights="train", family="f", cohort=cohort) for name in names]


def test_tiles_cover_every_model_once_within_its_cohort():
    models = [*rows(*"gfedcba"), *rows(*"zyx", cohort=3)]
    tiles = cut_tiles(models, 3)
    assert list(tiles.values()) == [("a", "b", "c"), ("d", "e", "f"), ("g",), ("x", "y", "z")]
    assert list(tiles) == ["c1-000", "c1-001", "c1-002", "c3-000"]


def test_order_of_rows_is_irrelevant():
    models = [*rows(*"gfedcba"), *rows(*"zyx", cohort=2)]
    shuffled = random.Random(0).sample(models, len(models))
    assert cut_tiles(models, 2) == cut_tiles(shuffled, 2)


def test_a_new_cohort_leaves_old_tiles_alone():
    old = rows(*"bcdfg")
    before = cut_tiles(old, 2)
    after = cut_tiles([*old, *rows("a", "e", cohort=2)], 2)
    assert before.items() <= after.items()
    assert {name: tile for name, tile in after.items() if name not in before} == {"c2-000": ("a", "e")}


def test_retired_models_keep_their_places():
    models = rows(*"abcd")
    retired = [model.model_copy(update={"use": model.model != "b"}) for model in models]
    assert cut_tiles(models, 2) == cut_tiles(retired, 2)
