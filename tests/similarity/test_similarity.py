import itertools
import math

import numpy as np
import pandas as pd
import pytest

from sat.similarity.similarity import model_table, pair_table, sat_matrix, unordered_pairs
from sat.statistics.intervals import wilson
from sat.store.columns import TABLES

EPS_S = 0.01


def study(seed, models=4, images=60, accuracy=0.8, transfer=0.3):
    """Random predictions of models on images with ten classes; X_AB differs from pair to pair."""
    random = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    label = random.integers(0, 10, images)

    def predict(share):
        return np.where(random.random(images) < share, label, (label + 1) % 10)

    clean = {name: predict(accuracy) for name in names}
    adversarial = {(a, b): predict(0.02 if a == b else 1 - transfer) for a in names for b in names}
    return names, label, clean, adversarial


def tables(names, label, clean, adversarial, noise=None):
    correct = {name: clean[name] == label for name in names}
    fooled = {pair: prediction != label for pair, prediction in adversarial.items()}
    noise = noise or {name: np.zeros(len(label), bool) for name in names}
    pairs = pair_table(correct, fooled, noise, EPS_S)
    unordered = unordered_pairs(pairs, EPS_S)
    return pairs, unordered, sat_matrix(unordered, names)


def brute_force(label, clean, adversarial, a, b):
    """The formula, image by image. adversarial[s, t][i]: what t predicts on the image that was made on s."""
    total, count = 0, 0
    for i in range(len(label)):
        if clean[a][i] == label[i] and clean[b][i] == label[i]:
            count += 1
            total += int(adversarial[b, a][i] != label[i]) + int(adversarial[a, b][i] != label[i])
    return math.log(max(EPS_S, 100 * total / (2 * count)))


@pytest.mark.parametrize("seed", range(5))
def test_sat_against_a_double_loop(seed):
    names, label, clean, adversarial = study(seed, transfer=[0, 0.01, 0.1, 0.5, 0.9][seed])
    _, _, matrix = tables(names, label, clean, adversarial)
    sizes = {(clean[a] == label)[clean[b] == label].sum() for a in names for b in names}
    assert len(sizes) > 3, "X_AB differs"
    for a in names:
        for b in names:
            assert matrix.loc[a, b] == pytest.approx(brute_force(label, clean, adversarial, a, b), abs=1e-12)
    assert matrix.equals(matrix.T)


@pytest.mark.parametrize("seed", range(3))
def test_images_on_which_both_directions_transfer_are_counted_in_both_rows(seed):
    names, label, clean, adversarial = study(seed, transfer=[0.1, 0.5, 0.9][seed])
    pairs, _, _ = tables(names, label, clean, adversarial)
    found = pairs.set_index(["source", "target"])["n_both_fooled"]
    for a in names:
        for b in names:
            count = 0
            for i in range(len(label)):
                if clean[a][i] == clean[b][i] == label[i]:
                    count += adversarial[a, b][i] != label[i] and adversarial[b, a][i] != label[i]
            assert found[a, b] == count
    own = pairs[pairs["source"] == pairs["target"]]
    assert (own["n_both_fooled"] == own["n_fooled"]).all()


def test_two_directions_that_agree_are_worth_one_and_others_two():
    names, label, clean, adversarial = study(0, models=2, images=2000, accuracy=1)
    _, apart, _ = tables(names, label, clean, adversarial)
    _, agreeing, _ = tables(names, label, clean, {**adversarial, ("m1", "m0"): adversarial["m0", "m1"]})

    def width(unordered):
        pair = unordered.set_index(["model_a", "model_b"]).loc[("m0", "m1")]
        return pair["sat_high"] - pair["sat_low"], pair["design_effect"]

    assert width(agreeing)[1] == pytest.approx(2)
    assert width(apart)[1] == pytest.approx(1, abs=0.1)
    assert width(agreeing)[0] / width(apart)[0] == pytest.approx(math.sqrt(2), rel=0.08)
    # On its own adversarial images, a model is one direction.
    own = apart[apart["model_a"] == apart["model_b"]].iloc[0]
    hits = round(own["rate"] * own["n_both_correct"])
    expected = [math.log(100 * share) for share in wilson(hits, own["n_both_correct"])]
    assert own[["sat_low", "sat_high"]].tolist() == pytest.approx(expected, abs=1e-9)


def test_a_model_that_always_fools_itself_has_sat_ln_100():
    names, label, clean, adversarial = study(0)
    adversarial = {(a, b): (label + 1) % 10 if a == b else value for (a, b), value in adversarial.items()}
    _, _, matrix = tables(names, label, clean, adversarial)
    assert np.diag(matrix) == pytest.approx(math.log(100))


def test_floor():
    names, label, clean, adversarial = study(0)
    adversarial = dict.fromkeys(adversarial, label)
    pairs, unordered, matrix = tables(names, label, clean, adversarial)
    assert np.allclose(matrix, math.log(EPS_S))
    assert pairs["at_floor"].all() and unordered["at_floor"].all()


def test_one_direction_above_the_floor_lifts_both():
    names, label, clean, adversarial = study(0, models=2)
    adversarial = dict.fromkeys(adversarial, label)
    adversarial["m0", "m1"] = (label + 1) % 10
    pairs, _, matrix = tables(names, label, clean, adversarial)
    assert pairs.set_index(["source", "target"])["at_floor"].to_dict() == {
        ("m0", "m0"): True, ("m0", "m1"): False, ("m1", "m0"): False, ("m1", "m1"): True,
    }  # fmt: skip
    assert matrix.loc["m0", "m1"] == pytest.approx(math.log(50))


def test_no_common_image_gives_nan_and_leaves_the_rest():
    names, label, clean, adversarial = study(1)
    even = np.arange(len(label)) % 2 == 0
    clean["m0"] = np.where(even, label, label + 1)
    clean["m1"] = np.where(even, label + 1, label)
    pairs, unordered, matrix = tables(names, label, clean, adversarial)
    assert np.isnan(matrix.loc["m0", "m1"]) and np.isnan(matrix.loc["m1", "m0"])
    assert matrix.isna().sum().sum() == 2
    row = pairs[(pairs["source"] == "m0") & (pairs["target"] == "m1")].iloc[0]
    assert row["n_both_correct"] == 0 and np.isnan(row["rate"])
    assert not row["above_noise"] and not row["at_floor"]
    empty = unordered[unordered["n_both_correct"] == 0].iloc[0]
    assert (empty["model_a"], empty["model_b"]) == ("m0", "m1")
    assert empty["sat_high"] == pytest.approx(math.log(100))


def test_above_noise_is_a_paired_test():
    names, label, clean, adversarial = study(2, images=400, accuracy=1, transfer=0.3)
    random = np.random.default_rng(0)
    noise = {name: random.random(len(label)) < (0.28 if name == "m0" else 0.0) for name in names}
    pairs, unordered, _ = tables(names, label, clean, adversarial, noise)
    onto = pairs[pairs["source"] != pairs["target"]].groupby("target")["above_noise"].all()
    assert onto.to_dict() == {"m0": False, "m1": True, "m2": True, "m3": True}
    # The mean of both directions is 0.3, and that of their noise 0.14.
    assert unordered["above_noise"].all()
    rate = pairs.set_index(["source", "target"]).loc[("m1", "m0"), "noise_rate"]
    assert rate == pytest.approx(noise["m0"].mean())


def test_noise_on_the_same_images_and_a_few_more_is_told_apart():
    names, label, clean, adversarial = study(2, images=400, accuracy=1, transfer=0.3, models=2)
    fooled = adversarial["m0", "m1"] != label
    # Noise fools m1 on all these images but eight: two intervals overlap, and 8 of 8 is no chance.
    noise = {"m0": adversarial["m1", "m0"] != label, "m1": fooled.copy()}
    noise["m1"][np.flatnonzero(fooled)[:8]] = False
    pairs, unordered, _ = tables(names, label, clean, adversarial, noise)
    row = pairs.set_index(["source", "target"]).loc["m0", "m1"]
    assert row["rate_low"] < row["noise_high"]
    assert row["noise_p"] == pytest.approx(0.5**8) and row["above_noise"]
    other = unordered[unordered["model_a"] != unordered["model_b"]].iloc[0]
    assert other["noise_p"] == pytest.approx(0.5**8) and other["above_noise"]
    assert not pairs.set_index(["source", "target"]).loc[("m1", "m0"), "above_noise"]


def test_noise_p_of_pairs_by_brute_force():
    names, label, clean, adversarial = study(5, images=14, accuracy=0.9, transfer=0.5)
    random = np.random.default_rng(1)
    noise = {name: random.random(len(label)) < 0.3 for name in names}
    _, unordered, _ = tables(names, label, clean, adversarial, noise)
    for row in unordered.itertuples():
        a, b = row.model_a, row.model_b
        both = (clean[a] == label) & (clean[b] == label)
        excess = sum(
            (adversarial[source, target] != label).astype(int) - noise[target] for source, target in ((a, b), (b, a))
        )[both]
        if len(excess):
            signs = np.array(list(itertools.product((-1, 1), repeat=len(excess))))
            assert row.noise_p == pytest.approx(np.mean(signs @ np.abs(excess) >= excess.sum()))
        else:
            assert row.noise_p == 1


def test_a_pair_says_what_each_direction_shows():
    """Noise fools m0 as often as adversarial images do, so pairs with it are above noise by the other direction."""
    names, label, clean, adversarial = study(2, images=400, accuracy=0.95, transfer=0.3)
    random = np.random.default_rng(0)
    noise = {name: random.random(len(label)) < (0.28 if name == "m0" else 0.0) for name in names}
    pairs, unordered, _ = tables(names, label, clean, adversarial, noise)
    directed = pairs.set_index(["source", "target"])
    different = unordered[unordered["model_a"] != unordered["model_b"]]
    for row in different.itertuples():
        a, b = row.model_a, row.model_b
        both = (clean[a] == label) & (clean[b] == label)
        assert row.rate_ab == pytest.approx(np.mean((adversarial[a, b] != label)[both]))
        assert row.rate_ba == pytest.approx(np.mean((adversarial[b, a] != label)[both]))
        assert (row.noise_p_ab, row.noise_p_ba) == (directed.loc[(a, b), "noise_p"], directed.loc[(b, a), "noise_p"])
        assert row.directions_above == directed.loc[[(a, b), (b, a)], "above_noise"].sum() and row.above_noise
        assert row.rate == pytest.approx((row.rate_ab + row.rate_ba) / 2)
        assert row.noise_p_holm == pytest.approx(
            max(
                min(1, p * (len(different) - rank))
                for rank, p in enumerate(sorted(different["noise_p"]))
                if p <= row.noise_p
            )
        )
    assert set(different["directions_above"]) == {1, 2}
    assert unordered.loc[unordered["model_a"] == unordered["model_b"], "noise_p_holm"].isna().all()


def test_intervals_hold_the_value_and_are_sorted():
    _, unordered, _ = tables(*study(3))
    assert ((unordered["sat_low"] <= unordered["sat"]) & (unordered["sat"] <= unordered["sat_high"])).all()
    assert unordered["sat"].is_monotonic_decreasing


def test_pairs_are_ranked_among_pairs_of_different_models():
    _, unordered, _ = tables(*study(3))
    own = unordered["model_a"] == unordered["model_b"]
    assert unordered.loc[own, "rank"].isna().all()
    assert unordered.loc[~own, "rank"].tolist() == sorted(unordered.loc[~own, "rank"])
    assert (unordered.loc[~own, "rank_best"] <= unordered.loc[~own, "rank"]).all()


def test_model_table():
    names, label, clean, adversarial = study(4, transfer=0.5)
    adversarial["m2", "m2"] = label
    pairs, _, _ = tables(names, label, clean, adversarial)
    table = model_table(pairs, dict.fromkeys(names, "f"), dict.fromkeys(names, 0.8), 0.9).set_index("model")
    assert table["low_whitebox"].to_dict() == {"m0": False, "m1": False, "m2": True, "m3": False}
    assert table.loc["m2", "whitebox"] == 0
    assert table["most_fooled_by_own"].to_dict() == {"m0": True, "m1": True, "m2": False, "m3": True}
    assert isinstance(table, pd.DataFrame)
    assert "published_top1" not in table


def test_models_off_their_published_accuracy_are_flagged_either_way():
    names, label, clean, adversarial = study(4, transfer=0.5)
    pairs, _, _ = tables(names, label, clean, adversarial)
    accuracy = {"m0": 0.80, "m1": 0.80, "m2": 0.80, "m3": 0.80}
    published = {"m0": 81.9, "m1": 82.1, "m2": 77.9}
    counts = dict.fromkeys(names, 1000)
    table = model_table(pairs, dict.fromkeys(names, "f"), accuracy, 0.9, published, 2.0, counts)
    assert list(table) == list(TABLES["similarity/models.csv"].columns), "docs/files.md says what each column holds"
    table = table.set_index("model")
    assert table["off_published"].to_dict() == {"m0": False, "m1": True, "m2": True, "m3": False}
    assert table["published_gap"].round(6).to_dict() == pytest.approx(
        {"m0": -1.9, "m1": -2.1, "m2": 2.1, "m3": math.nan}, nan_ok=True
    )
