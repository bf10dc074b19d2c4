"""The analysis of effects on pools whose truth is known, and on pools that leave little to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from analysed import analyse, results_in, vouch
from sat.analyses.effects.pool import Pool, model_table, pair_table, pool_table
from sat.similarity.affinity import directed_log_odds, fit_affinity, log_odds, symmetric_log_odds
from sat.similarity.predictions import Predictions
from sat.similarity.similarity import pair_table as count_pairs
from sat.similarity.similarity import sat_matrix, unordered_pairs
from sat.store import hdf5
from sat.store.artefact import read_sidecar


def predictions(rate, images=800, seed=0, right=0.9):
    """Who errs where: each target errs on a source's image with its own rate; models are right on most clean images."""
    random = np.random.default_rng(seed)
    names = [f"m{i:02d}" for i in range(len(rate))]
    correct = {name: random.random(images) < right for name in names}
    fooled = {(s, t): random.random(images) < rate[i, j] for i, s in enumerate(names) for j, t in enumerate(names)}
    return names, Predictions(correct, fooled, {name: np.zeros(images, bool) for name in names})


def truth(n=8, seed=0, likeness=0.0, mu=-1.5):
    random = np.random.default_rng(seed)
    strength, fragility = random.normal(0, 0.6, (2, n))
    strength, fragility = strength - strength.mean(), fragility - fragility.mean()
    family = np.arange(n) % 4
    rate = expit(mu + strength[:, None] + fragility[None, :] + likeness * (family[:, None] == family))
    return rate, strength, fragility, family


def sat_of(names, found):
    pairs = count_pairs(found.correct, found.fooled, found.fooled_by_noise, 0.01)
    return pairs, sat_matrix(unordered_pairs(pairs, 0.01), names)


def test_strength_and_fragility_of_counts_cover_the_truth():
    """Nominal 95 % intervals of the choice of images, over many samples of images."""
    rate, strength, fragility, _ = truth()
    inside = []
    for seed in range(25):
        names, found = predictions(rate, 500, seed)
        pool = Pool.of_predictions(names, {}, found, 100, seed)
        table = model_table(pool, 0.95)
        for name, true in (("strength", strength), ("fragility", fragility)):
            inside.append((table[f"{name}_low"] <= true) & (true <= table[f"{name}_high"]))
    assert 0.91 < np.mean(inside) < 0.985, np.mean(inside)


def test_affinity_of_counts_covers_the_truth_and_agrees_with_the_stage():
    rate, _, _, family = truth(likeness=0.8)
    half = symmetric_log_odds(pd.DataFrame(np.log(rate / (1 - rate))))
    expected = fit_affinity(half).matrix.to_numpy()
    inside = []
    for seed in range(25):
        names, found = predictions(rate, 600, seed)
        families = dict(zip(names, map(str, family), strict=True))
        pairs, sat = sat_of(names, found)
        pool = Pool.of_predictions(names, families, found, 100, seed)
        table = pair_table(pool, sat, 0.95)
        a, b = (table[f"model_{which}"].map(names.index).to_numpy() for which in "ab")
        inside.append((table["affinity_low"] <= expected[a, b]) & (expected[a, b] <= table["affinity_high"]))
        # What the stage similarity writes is the same, from the counts of the pair table.
        stage = fit_affinity(symmetric_log_odds(directed_log_odds(pairs, names))).matrix.to_numpy()
        assert np.allclose(table["affinity"], stage[a, b], atol=1e-6)
        assert np.allclose(table["sat"], sat.to_numpy()[a, b])
    assert 0.91 < np.mean(inside) < 0.985, np.mean(inside)


def test_shares_and_their_chance():
    rate, *_ = truth(12, 3)
    names, found = predictions(rate, 4000, right=1.0)
    _, sat = sat_of(names, found)
    table = pool_table(Pool.of_predictions(names, {}, found, 50, 0), sat).set_index("quantity")
    assert table.loc["share_half", "value"] > 0.95, "nothing but effects"
    assert table.loc["reliability", "value"] < 0.5, "what is left is the choice of images"
    # Pairs without effects: the share over many draws is what chance gives.
    shares = []
    for seed in range(200):
        square = np.random.default_rng(seed).normal(size=(12, 12))
        shares.append(fit_affinity(pd.DataFrame(square + square.T)).share)
    assert np.mean(shares) == pytest.approx(table.loc["share_half", "chance"], abs=0.01)


def test_what_a_family_leaving_the_pool_changes():
    rate, _, _, family = truth(12, 1, likeness=1.0)
    names, found = predictions(rate, 2000, right=1.0)
    families = dict(zip(names, map(str, family), strict=True))
    _, sat = sat_of(names, found)
    pool = Pool.of_predictions(names, families, found, 0, 0)
    table = pair_table(pool, sat, 0.95)
    row = table.iloc[0]
    assert row["without"] not in (families[row["model_a"]], families[row["model_b"]])
    changes = []
    for other in set(families.values()) - {families[row["model_a"]], families[row["model_b"]]}:
        kept = [name for name in names if families[name] != other]
        again = fit_affinity(pool.half.loc[kept, kept]).matrix
        changes.append(again.loc[row["model_a"], row["model_b"]] - row["affinity"])
    assert row["largest_change"] == pytest.approx(max(changes, key=abs))
    assert table["affinity_low"].isna().all(), "without draws of the images there are no intervals"


PARAMS = {"confidence": 0.95, "seed": 0}


def lay_out(folder, rate, families, images=120, right=0.9):
    """Artefacts of a study, as the pipeline leaves them."""
    names, found = predictions(rate, images, right=right)
    results = results_in(folder)
    for part in ("similarity", "images", "clean", "tiles/c1-000"):
        (results / part).mkdir(parents=True)
    pairs, sat = sat_of(names, found)
    affinity = fit_affinity(symmetric_log_odds(directed_log_odds(pairs, names))).matrix
    for name, matrix in (("sat", sat), ("affinity", affinity)):
        matrix.rename_axis("model").reset_index().to_csv(results / f"similarity/{name}.csv", index=False)
        vouch(results / f"similarity/{name}.csv")
    with hdf5.writing(results / "images/attack.h5") as file:
        file["label"] = np.zeros(images, int)
    vouch(results / "images/attack.h5")
    for name in names:
        with hdf5.writing(results / f"clean/{name}.h5") as file:
            file["attack_prediction"] = (~found.correct[name]).astype(int)
        vouch(results / f"clean/{name}.h5")
    with hdf5.writing(results / "tiles/c1-000/c1-000.h5") as file:
        file["target"] = file["source"] = names
        file["prediction"] = np.array([[found.fooled[s, t].astype(int) for s in names] for t in names])
        file["noise_prediction"] = np.zeros((len(names), images), int)
    vouch(results / "tiles/c1-000/c1-000.h5")
    return results, {name: families[i] for i, name in enumerate(names)}


def test_the_analysis_of_a_study(tmp_path):
    rate, *_ = truth(8, likeness=1.0)
    results, families = lay_out(tmp_path, rate, list("abcdabcd"), 400)
    assert analyse(tmp_path, "effects", {**PARAMS, "families": families})[0] == 0
    models = pd.read_csv(results / "analysis/effects.csv")
    assert models["model"].tolist() == list(families) and models["strength"].sum() == pytest.approx(0)
    assert (models["strength_low"] < models["strength"]).all() and (models["strength"] < models["strength_high"]).all()
    pairs = pd.read_csv(results / "analysis/effects_pairs.csv")
    matrix = pd.read_csv(results / "similarity/affinity.csv", index_col=0)
    found = [matrix.loc[row.model_a, row.model_b] for row in pairs.itertuples()]
    assert np.allclose(pairs["affinity"], found, atol=1e-6)
    assert pairs["affinity"].is_monotonic_decreasing and pairs["affinity_block"].notna().all()
    text = (results / "figures/effects.svg").read_text()
    assert all(name in text for name in families) and "explain" in text and "fragility" in text


@pytest.mark.parametrize(("n", "words"), [(2, "2 models"), (3, "3 models")])
def test_small_pools_say_why_there_is_no_affinity(tmp_path, caplog, n, words):
    results, families = lay_out(tmp_path, truth(8)[0][:n, :n], list("abc"))
    assert analyse(tmp_path, "effects", {**PARAMS, "families": families})[0] == 0
    assert f"no affinity: {words}: affinity needs 4 or more" in caplog.text
    assert pd.read_csv(results / "analysis/effects_pairs.csv")["affinity"].isna().all()
    assert read_sidecar(results / "analysis/effects.csv")["facts"]["reason"].startswith(words)
    assert (results / "figures/effects.svg").exists()


def test_a_model_without_common_images_is_told(tmp_path, caplog):
    names, found = predictions(truth(6)[0], 200)
    found.correct["m00"][:] = False
    _, sat = sat_of(names, found)
    pool = Pool.of_predictions(names, {}, found, 20, 0)
    assert "common image" in pool.plain.reason and pool.plain.matrix.isna().all(axis=None)
    table = pair_table(pool, sat, 0.95)
    assert table["affinity"].isna().all() and model_table(pool, 0.95)["strength"].isna().all()


def test_counts_of_nothing_and_of_everything_stay_finite():
    rate = np.where(np.eye(5, dtype=bool), 1.0, 0.0)
    rate[0] = 1.0
    names, found = predictions(rate, 100)
    pool = Pool.of_predictions(names, {}, found, 20, 0)
    assert np.isfinite(pool.plain.matrix.to_numpy()[np.triu_indices(5, 1)]).all()
    assert pool.directed.loc["m01", "m02"] == log_odds(0, (found.correct["m01"] & found.correct["m02"]).sum())


def test_a_matrix_that_was_given_has_one_effect_a_model(tmp_path):
    rate, *_ = truth(8, likeness=1.0)
    results, families = lay_out(tmp_path, rate, list("abcdabcd"))
    for path in (*results.glob("images/*"), *results.glob("clean/*"), *results.glob("tiles/*/*")):
        path.unlink()
    assert analyse(tmp_path, "effects", {**PARAMS, "families": families})[0] == 0
    models = pd.read_csv(results / "analysis/effects.csv")
    assert models["effect"].notna().all() and models[["strength", "fragility"]].isna().all(axis=None)
    assert "strength and fragility together" in (results / "figures/effects.svg").read_text()
