import random

import pytest

from conftest import ROWS, TINY
from projects import LAST
from sat.errors import SatError
from sat.study.plan import Plan
from sat.study.study import load_study
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


OTHER = {"attack": {**TINY["attack"], "steps": 4}}


def retired(**cells):
    """The rows of the tiny study, with cells of the column `retired` for models that are not in use."""
    return [
        {**row, "use": "no" if row["model"] in cells else "yes", "retired": cells.get(row["model"], "")} for row in ROWS
    ]


def recipes(plan):
    return {name: made.step.recipe for name, made in plan.artefacts().items()}


def test_a_tile_holds_a_retired_model_while_its_set_is_the_one_it_was_retired_with(write_study):
    plan = Plan(load_study([write_study()]))
    set_then = plan.adversarial("resnet").step.recipe
    rows = retired(resnet=set_then)
    for settings in ({}, {"min_accuracy": 0.01}, {"compute": {"batch_size": 16}}):
        kept = recipes(Plan(load_study([write_study(rows, **settings)])))
        assert {name for name, recipe in recipes(plan).items() if kept.get(name) != recipe and "tiles" in name} == set()
        assert kept["adversarial/resnet.h5"] == set_then
    for settings in (OTHER, {"seed": 1}, {"images": {**TINY["images"], "attack_images": 20}}):
        left = Plan(load_study([write_study(rows, **settings)]))
        assert not [name for name in left.artefacts() if "resnet" in name]
        assert left.needed == ("byobnet", "vit") and len(left.used_tiles) == 4
        assert left.tile("c1-000", "c1-001").step.params["targets"] == ["byobnet"]
        # What is made is what a study without the model makes, where the model had a place of its own.
        assert (
            left.tile("c1-001", "c1-001").step
            == Plan(load_study([write_study(**settings)])).tile("c1-001", "c1-001").step
        )


def test_a_model_retired_by_hand_stays_and_one_in_use_ignores_the_column(write_study):
    by_hand = Plan(load_study([write_study(retired(resnet=""), **OTHER)]))
    assert by_hand.needed == ("byobnet", "resnet", "vit")
    nothing = Plan(load_study([write_study(retired(resnet="none"))]))
    assert nothing.needed == ("byobnet", "vit")
    rows = [{**row, "retired": "none"} for row in ROWS]
    again = recipes(Plan(load_study([write_study(rows)])))
    plain = recipes(Plan(load_study([write_study()])))
    assert {name for name in plain if plain[name] != again[name]} == {"study.json", *LAST}


@pytest.mark.parametrize("cell", ["yes", "1.23E+15", "none none", "0123456789abcdef none"])
def test_a_cell_that_the_command_did_not_write(write_study, cell):
    with pytest.raises(SatError, match=r"models\.csv, row 2, column 'retired': .*'sat retire'"):
        load_study([write_study(retired(resnet=cell))])


def many(count, landmarks=(), cohort=1):
    """Rows for a table, some of them landmarks of the first draw."""
    return [
        {**ROWS[0], "model": f"m{place:02d}", "cohort": str(cohort), "landmark": "1" if place in landmarks else ""}
        for place in range(count)
    ]


def measured(plan):
    """The ordered pairs of models that each tile in use measures."""
    found = {}
    for target_tile, source_tile in plan.used_tiles:
        params = plan.tile(target_tile, source_tile).step.params
        for target in params["targets"]:
            for source in params["sources"]:
                if target == source or not params.get("diagonal"):
                    found.setdefault((target, source), []).append((target_tile, source_tile))
    return found


def test_with_landmarks_every_pair_with_one_is_measured_and_no_other(write_study):
    plan = Plan(load_study([write_study(many(12, {0, 3, 4, 7, 8, 11}))]))
    landmarks = {f"m{place:02d}" for place in (0, 3, 4, 7, 8, 11)}
    assert set(plan.study.landmarks) == landmarks
    found = measured(plan)
    names = plan.study.used
    wanted = {(a, b) for a in names for b in names if a == b or a in landmarks or b in landmarks}
    assert set(found) == wanted
    for a in names:
        for b in names:
            place = plan.tile_of(a, b)
            assert place in found[a, b] if (a, b) in wanted else place is None
    # The errors under noise of every model are evaluated once.
    noisy = [tile for tile in plan.used_tiles if "noise" in plan.tile(*tile).step.params]
    assert sorted(name for tile, _ in noisy for name in plan.tiles[tile]) == list(names)


def test_more_landmarks_and_further_models_make_new_tiles_alone(write_study):
    first = many(12, {0, 3, 4, 7, 8, 11})
    before = recipes(Plan(load_study([write_study(first)])))
    grown = [{**row, "landmark": "2"} if row["model"] in ("m01", "m05") else row for row in first]
    after = recipes(Plan(load_study([write_study(grown)])))
    tiles = {name for name in before if name.startswith("tiles/")}
    assert {name: before[name] for name in tiles} == {name: after[name] for name in tiles}
    assert {name for name in after if name.startswith("tiles/")} - tiles == {
        f"tiles/{pair}.h5" for k in range(6) for pair in (f"c1-{k:03d}/l2-000", f"l2-000/c1-{k:03d}")
    }
    joined = [*first, *({**row, "model": f"n{place}", "landmark": ""} for place, row in enumerate(many(2, cohort=2)))]
    after = recipes(Plan(load_study([write_study(joined)])))
    assert {name: before[name] for name in tiles} == {name: after[name] for name in tiles}
    assert {name for name in after if name.startswith("tiles/")} - tiles == {
        "tiles/c2-000/c2-000.h5",
        *(f"tiles/{pair}.h5" for k in range(3) for pair in (f"c2-000/l1-{k:03d}", f"l1-{k:03d}/c2-000")),
    }


def test_a_column_without_landmarks_changes_no_recipe(write_study):
    assert recipes(Plan(load_study([write_study()]))) == recipes(
        Plan(load_study([write_study([{**row, "landmark": ""} for row in ROWS])]))
    )


@pytest.mark.parametrize(("landmarks", "said"), [(range(3), "3 models in use"), (range(11), "all models in use but 1")])
def test_too_few_and_too_many_landmarks_are_refused(write_study, landmarks, said):
    with pytest.raises(SatError, match="column 'landmark': " + said):
        load_study([write_study(many(12, set(landmarks)))])
