"""The command on small files that are made here: what it finds, and what it says where there is little to find."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysed import analyse, results_in, vouch
from sat.similarity.affinity import fit_affinity, log_odds, symmetric_log_odds
from sat.statistics.intervals import sat_interval
from sat.store import hdf5
from sat.store.artefact import read_sidecar

EPS_S = 0.01
COLUMNS = {
    "stability.csv": ["of", "statistic", "n_pairs", "value", "low", "high", "level"],
    "stability_curve.csv": ["of", "images", "n", "mean", "p05", "p95"],
    "stability_membership.csv": ["of", "model", "cluster", "n_mates", "n_replicates", "mates", "overlap"],
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

    results = results_in(folder)
    for part in ("similarity", "analysis", "images", "clean", "tiles/c1-000"):
        (results / part).mkdir(parents=True)
    matrix = by_hand(correct, fooled) if matrix is None else matrix
    path = results / "similarity/sat.csv"
    pd.DataFrame(matrix, index=names, columns=names).rename_axis("model").to_csv(path)
    vouch(path)
    path = results / "analysis/clusters.csv"
    numbers = np.arange(len(names)) % 2 + 1
    of_affinity = numbers if len(names) > 3 else [None] * len(names)
    table = pd.DataFrame({"model": names, "cluster": numbers, "cluster_affinity": of_affinity})
    table.to_csv(path, index=False)
    vouch(path)
    path = results / "images/attack.h5"
    with hdf5.writing(path) as file:
        file["label"] = np.zeros(images, int)
    vouch(path)
    for name, right in zip(names, correct, strict=True):
        path = results / f"clean/{name}.h5"
        with hdf5.writing(path) as file:
            file["attack_prediction"] = (~right).astype(int)
        vouch(path, accuracy=0.9)
    prediction = np.ones((len(names) + 1, len(names) + 1, images), int)
    prediction[:-1, :-1] = fooled.transpose(1, 0, 2)
    path = results / "tiles/c1-000/c1-000.h5"
    with hdf5.writing(path) as file:
        file["target"] = file["source"] = [*names, "retired"]
        file["prediction"], file["noise_prediction"] = prediction, prediction[:, 0]
    vouch(path)
    params = {
        "models": {name: f"family {i % 2}" for i, name in enumerate(names)},
        **{"replicates": replicates, "correlation": correlation, "eps_s": EPS_S, "confidence": 0.95, "seed": 0, "k": 2},
    }
    status, _ = analyse(folder, "stability", params)
    if status == 0:
        for name, columns in COLUMNS.items():
            assert pd.read_csv(results / "analysis" / name).columns.tolist() == columns
        written = [*(results / "analysis" / name for name in COLUMNS), results / "figures/stability.svg"]
        assert all(read_sidecar(path)["facts"]["n_images"] == images for path in written)
    return status


def test_statistics_curve_and_membership(tmp_path):
    correct, fooled = predictions(6, 400)
    assert stability(tmp_path, correct, fooled) == 0
    matrix = by_hand(correct, fooled)
    pairs = [(a, b) for a in range(6) for b in range(a)]
    found = pd.read_csv(tmp_path / "results/tiny/analysis/stability.csv")
    table = found[found["of"] == "sat"].set_index("statistic")
    assert table.loc["mean", "value"] == pytest.approx(np.mean([matrix[pair] for pair in pairs]))
    within = np.mean([matrix[a, b] for a, b in pairs if (a - b) % 2 == 0])
    across = np.mean([matrix[a, b] for a, b in pairs if (a - b) % 2])
    assert table.loc["within_minus_across", "value"] == pytest.approx(within - across)
    assert table.loc["within_minus_across", "low"] > 0
    ranks = table.filter(like="rank_correlation", axis=0)
    assert ranks["level"].eq(0.9).all() and (ranks["low"] <= ranks["value"]).all() and len(ranks) == 2

    both = correct[:, None] & correct
    affinity = fit_affinity(symmetric_log_odds(pd.DataFrame(log_odds((fooled & both).sum(2), both.sum(2))))).matrix
    table = found[found["of"] == "affinity"].set_index("statistic")
    assert "mean" not in table.index, "it is 0 on any images"
    within = np.mean([affinity.loc[a, b] for a, b in pairs if (a - b) % 2 == 0])
    across = np.mean([affinity.loc[a, b] for a, b in pairs if (a - b) % 2])
    assert table.loc["within_minus_across", "value"] == pytest.approx(within - across)
    assert table.loc["within_minus_across", "low"] > 0
    assert "affinity: " in (tmp_path / "results/tiny/figures/stability.svg").read_text()

    curves = pd.read_csv(tmp_path / "results/tiny/analysis/stability_curve.csv")
    assert set(curves["of"]) == {"sat", "affinity"}
    curve = curves[curves["of"] == "sat"]
    assert curve["images"].max() == 200 and curve["mean"].iloc[-1] > curve["mean"].iloc[0]
    enough = read_sidecar(tmp_path / "results/tiny/analysis/stability_curve.csv")["facts"]["images_for_correlation"]
    short = curve["images"][curve["p05"] < 0.8]
    assert 0 < len(short) < len(curve) and enough == curve["images"][curve["images"] > short.max()].min()
    membership = pd.read_csv(tmp_path / "results/tiny/analysis/stability_membership.csv")
    assert membership["of"].value_counts().to_dict() == {"sat": 6, "affinity": 6}
    assert membership["n_replicates"].eq(100).all() and membership["mates"].min() > 0.9


def test_the_interval_of_one_pair_is_that_of_the_formula(tmp_path, caplog):
    """Two models: the bootstrap against the interval from four counts, and no rank correlation to speak of."""
    correct, fooled = predictions(2, 600)
    assert stability(tmp_path, correct, fooled, replicates=1000) == 0
    path = tmp_path / "results/tiny/analysis/stability.csv"
    row = pd.read_csv(path).set_index("statistic").loc["mean"]
    both = correct[0] & correct[1]
    forth, back = fooled[0, 1][both], fooled[1, 0][both]
    counts = (forth & back).sum(), (forth & ~back).sum(), (~forth & back).sum(), (~forth & ~back).sum()
    formula = sat_interval(*counts, EPS_S).iloc[0]
    assert row["value"] == pytest.approx(formula["sat"])
    assert row["high"] - row["low"] == pytest.approx(formula["sat_high"] - formula["sat_low"], rel=0.12)
    assert pd.read_csv(tmp_path / "results/tiny/analysis/stability.csv")["statistic"].tolist() == ["mean", "across"]
    assert pd.read_csv(tmp_path / "results/tiny/analysis/stability_curve.csv").empty
    assert (
        read_sidecar(tmp_path / "results/tiny/analysis/stability_curve.csv")["facts"]["images_for_correlation"] is None
    )
    assert "no stability of affinity" in caplog.text and set(pd.read_csv(path)["of"]) == {"sat"}
    assert "no stability curve" in caplog.text and "within: too few pairs" in caplog.text
    assert "No rank correlation" in (tmp_path / "results/tiny/figures/stability.svg").read_text()


@pytest.mark.parametrize("images", [1, 3, 20])
def test_pairs_without_common_images_and_few_images_are_no_failure(tmp_path, caplog, images):
    correct, fooled = predictions(4, images)
    correct[0], correct[1:] = np.arange(images) % 2 == 0, np.arange(images) % 2 == 1
    assert stability(tmp_path, correct, fooled) == 0
    assert "have no image in common" in caplog.text


def test_a_matrix_that_the_tiles_do_not_say_is_an_error(tmp_path, capsys):
    correct, fooled = predictions(3, 40)
    assert stability(tmp_path, correct, fooled, by_hand(correct, ~fooled)) == 1
    assert "does not agree with the tiles" in capsys.readouterr().err
    assert not (tmp_path / "results/tiny/analysis/stability.csv").exists()
