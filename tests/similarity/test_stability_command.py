"""The command on small files that are made here: what it finds, and what it says where there is little to find."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sat.__main__ import main
from sat.statistics.intervals import sat_interval
from sat.store import hdf5
from sat.store.artefact import Job, read_sidecar
from sat.store.step import Step, group_recipe

EPS_S = 0.01
COLUMNS = {
    "s.csv": ["statistic", "n_pairs", "value", "low", "high", "level"],
    "curve.csv": ["images", "n", "mean", "p05", "p95"],
    "m.csv": ["model", "cluster", "n_mates", "n_replicates", "mates", "overlap"],
}


def predictions(models, images, seed=0, spread=0.3):
    """Two families that fool their own more often; label 0 is right, and so is prediction 0."""
    random = np.random.default_rng(seed)
    family = np.arange(models) % 2
    rate = np.where(family[:, None] == family, 0.7, 0.2) + random.uniform(-spread, spread, (models, models)) / 2
    correct = random.random((models, images)) < 0.9
    return correct, random.random((models, models, images)) < rate[:, :, None]


def by_hand(correct, fooled):
    """SAT image by image; fooled[source, target]."""
    n = len(correct)
    matrix = np.full((n, n), np.nan)
    for a in range(n):
        for b in range(n):
            both = [i for i in range(correct.shape[1]) if correct[a, i] and correct[b, i]]
            if both:
                hits = sum(int(fooled[a, b, i]) + int(fooled[b, a, i]) for i in both)
                matrix[a, b] = math.log(max(EPS_S, 100 * hits / (2 * len(both))))
    return matrix


def stability(folder, correct, fooled, matrix=None, correlation=0.8, replicates=120):
    """Write what the command reads, with a retired model in the tile, and run it."""
    names = [f"m{i}" for i in range(len(correct))]
    images = correct.shape[1]

    def finish(name, stage, **facts):
        step = Step(stage, 1, {"file": name})
        Job(step).finish(folder / name, **facts)
        return step.recipe

    matrix = by_hand(correct, fooled) if matrix is None else matrix
    pd.DataFrame(matrix, index=names, columns=names).rename_axis("model").to_csv(folder / "sat.csv")
    pd.DataFrame({"model": names, "cluster": np.arange(len(names)) % 2 + 1}).to_csv(folder / "c.csv", index=False)
    recipes = {"sat": finish("sat.csv", "similarity"), "clusters": finish("c.csv", "clusters")}
    with hdf5.writing(folder / "attack.h5") as file:
        file["label"] = np.zeros(images, int)
    recipes["images"] = finish("attack.h5", "images")
    for name, right in zip(names, correct, strict=True):
        with hdf5.writing(folder / f"{name}.h5") as file:
            file["attack_prediction"] = (~right).astype(int)
    recipes["clean"] = group_recipe([finish(f"{name}.h5", "clean", accuracy=0.9) for name in names])
    prediction = np.ones((len(names) + 1, len(names) + 1, images), int)
    prediction[:-1, :-1] = fooled.transpose(1, 0, 2)
    with hdf5.writing(folder / "tile.h5") as file:
        file["target"] = file["source"] = [*names, "retired"]
        file["prediction"], file["noise_prediction"] = prediction, prediction[:, 0]
    recipes["tiles"] = group_recipe([finish("tile.h5", "evaluate")])
    params = {
        "models": {name: f"family {i % 2}" for i, name in enumerate(names)},
        **{"replicates": replicates, "correlation": correlation, "eps_s": EPS_S, "confidence": 0.95, "seed": 0, "k": 2},
    }
    options = {"sat": "sat.csv", "clusters": "c.csv", "images": "attack.h5", "tiles": "tile.h5", "stability": "s.csv"}
    options |= {"curve": "curve.csv", "membership": "m.csv", "figure": "s.svg"}
    words = [word for option, name in options.items() for word in (f"--{option}", str(folder / name))]
    words += ["--clean", *(str(folder / f"{name}.h5") for name in names)]
    status = main(["stability", "--step", Step("stability", 1, params, recipes).json, *words])
    if status == 0:
        for name, columns in COLUMNS.items():
            assert pd.read_csv(folder / name).columns.tolist() == columns
        assert all(read_sidecar(folder / name)["facts"]["n_images"] == images for name in (*COLUMNS, "s.svg"))
    return status


def test_statistics_curve_and_membership(tmp_path):
    correct, fooled = predictions(6, 400)
    assert stability(tmp_path, correct, fooled) == 0
    matrix = by_hand(correct, fooled)
    pairs = [(a, b) for a in range(6) for b in range(a)]
    table = pd.read_csv(tmp_path / "s.csv").set_index("statistic")
    assert table.loc["mean", "value"] == pytest.approx(np.mean([matrix[pair] for pair in pairs]))
    within = np.mean([matrix[a, b] for a, b in pairs if (a - b) % 2 == 0])
    across = np.mean([matrix[a, b] for a, b in pairs if (a - b) % 2])
    assert table.loc["within_minus_across", "value"] == pytest.approx(within - across)
    assert table.loc["within_minus_across", "low"] > 0
    ranks = table.filter(like="rank_correlation", axis=0)
    assert ranks["level"].eq(0.9).all() and (ranks["low"] <= ranks["value"]).all() and len(ranks) == 2

    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve["images"].max() == 200 and curve["mean"].iloc[-1] > curve["mean"].iloc[0]
    enough = read_sidecar(tmp_path / "curve.csv")["facts"]["images_for_correlation"]
    short = curve["images"][curve["p05"] < 0.8]
    assert 0 < len(short) < len(curve) and enough == curve["images"][curve["images"] > short.max()].min()
    membership = pd.read_csv(tmp_path / "m.csv")
    assert membership["n_replicates"].eq(100).all() and membership["mates"].min() > 0.9


def test_the_interval_of_one_pair_is_that_of_the_formula(tmp_path, caplog):
    """Two models: the bootstrap against the interval from four counts, and no rank correlation to speak of."""
    correct, fooled = predictions(2, 600)
    assert stability(tmp_path, correct, fooled, replicates=1000) == 0
    row = pd.read_csv(tmp_path / "s.csv").set_index("statistic").loc["mean"]
    both = correct[0] & correct[1]
    forth, back = fooled[0, 1][both], fooled[1, 0][both]
    counts = (forth & back).sum(), (forth & ~back).sum(), (~forth & back).sum(), (~forth & ~back).sum()
    formula = sat_interval(*counts, EPS_S).iloc[0]
    assert row["value"] == pytest.approx(formula["sat"])
    assert row["high"] - row["low"] == pytest.approx(formula["sat_high"] - formula["sat_low"], rel=0.12)
    assert pd.read_csv(tmp_path / "s.csv")["statistic"].tolist() == ["mean", "across"]
    assert pd.read_csv(tmp_path / "curve.csv").empty
    assert read_sidecar(tmp_path / "curve.csv")["facts"]["images_for_correlation"] is None
    assert "no stability curve" in caplog.text and "within: too few pairs" in caplog.text
    assert "No rank correlation" in (tmp_path / "s.svg").read_text()


@pytest.mark.parametrize("images", [1, 3, 20])
def test_pairs_without_common_images_and_few_images_are_no_failure(tmp_path, caplog, images):
    correct, fooled = predictions(4, images)
    correct[0], correct[1:] = np.arange(images) % 2 == 0, np.arange(images) % 2 == 1
    assert stability(tmp_path, correct, fooled) == 0
    assert "have no image in common" in caplog.text


def test_a_matrix_that_the_tiles_do_not_say_is_an_error(tmp_path, capsys):
    correct, fooled = predictions(3, 40)
    assert stability(tmp_path, correct, fooled, by_hand(correct, ~fooled)) == 1
    assert "is not what the tiles say" in capsys.readouterr().err
    assert not (tmp_path / "s.csv").exists()
