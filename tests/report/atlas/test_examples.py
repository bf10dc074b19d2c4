"""Adversarial examples are chosen by the stated rule, and their images are those of the study."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import softmax

from sat.attacks.evaluate import confidence
from sat.report.atlas.examples import Clean, Found, choose, draw, find
from sat.store import hdf5

MODELS = ("a", "b", "c")
N = 40


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Random predictions of three models, in two tiles of targets, as the pipeline stores them."""
    folder, random = tmp_path_factory.mktemp("study"), np.random.default_rng(1)
    labels = random.integers(0, 3, N)
    logits = {model: random.normal(size=(N, 3)).astype(np.float16) for model in MODELS}
    clean = {model: Clean.of(values.argmax(1), values) for model, values in logits.items()}
    prediction = random.integers(0, 3, (3, 3, N)).astype(np.int16)
    sure = random.uniform(0.4, 1, prediction.shape).astype(np.float16)
    tiles = []
    for number, targets in enumerate([(0, 1), (2,)]):
        tiles.append(folder / f"{number}.h5")
        with hdf5.writing(tiles[-1]) as file:
            file["prediction"] = prediction[list(targets)]
            file["target"], file["source"] = [MODELS[target] for target in targets], list(MODELS)
            if number == 0:  # The other tile is of an earlier version.
                file["confidence"] = sure[list(targets)]
    image = random.integers(0, 256, (N, 3, 8, 8)).astype(np.uint8)
    moved = random.integers(-24, 25, (3, *image.shape)).astype(np.int8)
    with hdf5.writing(folder / "attack.h5") as file:
        file["image"] = image
    sets = {}
    for number, model in enumerate(MODELS):
        sets[model] = folder / f"{model}.h5"
        with hdf5.writing(sets[model]) as file:
            file["perturbation"] = moved[number]
    keys = ("labels", "logits", "clean", "prediction", "sure", "tiles", "image", "moved", "images", "sets")
    values = (labels, logits, clean, prediction, sure, tiles, image, moved, folder / "attack.h5", sets)
    return dict(zip(keys, values, strict=True))


def test_the_first_image_of_each_kind_is_found_by_counting_through_all(study):
    found = find(study["labels"], study["clean"], study["tiles"])
    labels, prediction = study["labels"], study["prediction"]
    wanted = {}
    for source, one in enumerate(MODELS):
        for target, other in enumerate(MODELS):
            for row in range(N) if source != target else ():
                right = all(study["clean"][model].prediction[row] == labels[row] for model in (one, other))
                if right and prediction[source, source, row] != labels[row]:
                    kind = "both" if prediction[target, source, row] != labels[row] else "source"
                    wanted.setdefault((one, other, kind), row)
    assert {(each.source, each.target, each.kind): each.row for each in found} == wanted
    for each in found:
        source, target = MODELS.index(each.source), MODELS.index(each.target)
        assert each.target_class == prediction[target, source, each.row]
        assert each.source_class == prediction[source, source, each.row]
        expected = None if each.target == "c" else float(study["sure"][target, source, each.row])
        assert each.target_p == expected
        assert (each.source_p is None) == (each.source == "c")


def test_probabilities_are_the_softmax_of_the_predicted_class(study):
    for model in MODELS:
        wanted = softmax(study["logits"][model].astype(float), axis=1).max(1)
        assert np.allclose(study["clean"][model].confidence, wanted, atol=1e-3)
        assert np.allclose(confidence(study["logits"][model]), wanted, atol=1e-3)
    assert confidence(np.array([[6e4, -6e4, 0.0]])) == 1


def test_nearest_and_farthest_of_every_model_come_first():
    names = list("abcd")
    sat = pd.DataFrame([[4, 3, 2, 1], [3, 4, 1, 2], [2, 1, 4, 3], [1, 2, 3, 4.0]], names, names)
    every = [
        Found(one, other, kind, 0, 0, None, 0, None)
        for one in names
        for other in names
        if one != other
        for kind in ("source", "both")
    ]
    chosen = [(each.source, each.target, each.kind) for each in choose(sat, every)]
    nearest, farthest = dict(zip("abcd", "badc", strict=True)), dict(zip("abcd", "dcba", strict=True))
    assert chosen[:4] == [(name, nearest[name], "both") for name in names]
    assert chosen[4:8] == [(name, farthest[name], "source") for name in names]
    assert chosen[8:12] == [(name, nearest[name], "source") for name in names]
    assert chosen[12:16] == [(name, farthest[name], "both") for name in names]
    assert len(chosen) == len(set(chosen)) == len(every)


def drawn(study: dict, budget: int) -> pd.DataFrame:
    found = find(study["labels"], study["clean"], study["tiles"])
    sat = pd.DataFrame([[4, 3, 2], [3, 4, 1], [2, 1, 4.0]], MODELS, MODELS)
    names = [f"name{row}" for row in range(N)]
    given = (study["images"], study["sets"], study["clean"], study["labels"], names, ["zero", "one"])
    return draw(choose(sat, found), budget, *given)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).transpose(2, 0, 1)


def test_images_are_exact(study):
    table = drawn(study, 10**9)
    assert len(table) > 5
    for row in table.to_dict("records"):
        place = int(row["image"].removeprefix("name"))
        clean = study["image"][place]
        assert (pixels(row["clean_png"]) == clean).all()
        wanted = clean.astype(int) + study["moved"][MODELS.index(row["source"]), place]
        assert (pixels(row["adversarial_png"]) == wanted.clip(0, 255)).all()
        # The third class has no name.
        assert row["label"] == ("zero", "one", "2")[study["labels"][place]]
        assert row["source_clean"] == row["label"] == row["target_clean"]


def test_the_budget_holds_and_shared_images_count_once(study):
    whole = drawn(study, 10**9)
    sizes = {image: len(image) for name in ("clean_png", "adversarial_png") for image in whole[name]}
    assert len(drawn(study, sum(sizes.values()))) == len(whole)
    budget = sum(sizes.values()) // 2
    part = drawn(study, budget)
    assert 0 < len(part) < len(whole)
    assert part["image"].tolist() == whole["image"].tolist()[: len(part)]
    kept = {*part["clean_png"], *part["adversarial_png"]}
    assert sum(map(len, kept)) <= budget
    assert drawn(study, 0).empty


def test_a_table_without_rows_keeps_its_columns(study, tmp_path: Path):
    drawn(study, 0).to_parquet(tmp_path / "none.parquet")
    assert set(pd.read_parquet(tmp_path / "none.parquet")) == set(drawn(study, 10**9))
