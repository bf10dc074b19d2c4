from itertools import combinations
from math import comb

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import rankdata, spearmanr

from sat.analyses.ensembles import averaging as ensembles
from sat.analyses.ensembles.averaging import (
    Pool,
    by_clusters,
    ensemble_table,
    gain_by_sat,
    member_sets,
    of_the_same_classes,
    recommend,
)

CLASSES = 6


def outputs(models=6, n=80, seed=0, classes=CLASSES, sharp=1.0):
    """Logits, predictions, labels and a SAT matrix, all at random."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=n)
    names = [f"m{i}" for i in range(models)]
    logits = {
        m: (sharp * (random.normal(size=(n, classes)) + np.eye(classes)[labels])).astype(np.float16) for m in names
    }
    sat = random.normal(2, 1, (models, models))
    sat = pd.DataFrame((sat + sat.T) / 2, index=names, columns=names)
    return logits, {m: values.argmax(1) for m, values in logits.items()}, labels, sat


def slow_row(members, logits, predictions, labels, sat, clusters):
    """One set, by the book."""
    mean = np.mean([softmax(logits[m].astype(float), axis=1) for m in members], axis=0)
    error = np.mean(mean.argmax(1) != labels)
    errors = np.mean([np.mean(predictions[m] != labels) for m in members])
    return {
        "size": len(members),
        "members": ";".join(members),
        "member_accuracy": 1 - errors,
        "accuracy": 1 - error,
        "error_reduction": (errors - error) / errors,
        "all_wrong": np.mean(np.all([predictions[m] != labels for m in members], axis=0)),
        "mean_sat": np.mean([sat.loc[a, b] for a, b in combinations(members, 2)]),
        "n_clusters": len({clusters[m] for m in members}),
    }


@pytest.mark.parametrize("sharp", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("classes", [2, 40])
def test_every_set_against_brute_force(sharp, classes, monkeypatch):
    # Blocks of a few images; sharp logits leave few classes that can win, flat ones all.
    monkeypatch.setattr(ensembles, "_BLOCK", 7 * 6 * classes)
    logits, predictions, labels, sat = outputs(sharp=sharp, classes=classes)
    clusters = {m: place // 2 for place, m in enumerate(logits)}
    pool = Pool.of(logits, predictions, labels)
    table = ensemble_table(pool, [member_sets(6, size) for size in (2, 3, 4, 5)], sat, clusters)
    every = [members for size in (2, 3, 4, 5) for members in combinations(logits, size)]
    expected = pd.DataFrame([slow_row(m, logits, predictions, labels, sat, clusters) for m in every])
    pd.testing.assert_frame_equal(table, expected[table.columns], check_dtype=False, atol=1e-12)


def test_a_class_that_no_member_puts_first_can_win():
    # Each is half sure of a class of its own; all give the true one a quarter, more than a third of a half.
    logits = {f"m{i}": np.log(np.full((4, 5), [0.02, 0.02, 0.02, 0.25, 0.19]) + 0.5 * np.eye(5)[i]) for i in range(3)}
    sat = pd.DataFrame(1.0, index=list(logits), columns=list(logits))
    pool = Pool.of(logits, {m: values.argmax(1) for m, values in logits.items()}, np.full(4, 3))
    row = ensemble_table(pool, [member_sets(3, 3)], sat).iloc[0]
    assert row["member_accuracy"] == 0 and row["all_wrong"] == 1 and row["accuracy"] == 1


def test_member_sets_are_all_or_a_sample():
    assert member_sets(5, 3).tolist() == [list(members) for members in combinations(range(5), 3)]
    assert len(member_sets(5, 3, limit=10)) == comb(5, 3)
    some = member_sets(20, 4, limit=200, seed=3)
    assert some.shape == (200, 4)
    assert (np.diff(some, axis=1) > 0).all() and len(np.unique(some, axis=0)) == 200
    assert np.array_equal(some, member_sets(20, 4, limit=200, seed=3))
    assert not np.array_equal(some, member_sets(20, 4, limit=200, seed=4))
    # No model is favoured: each is expected 40 times.
    assert np.bincount(some.ravel(), minlength=20).min() > 20
    assert member_sets(2, 2).tolist() == [[0, 1]]


def test_sizes_that_make_no_ensemble():
    with pytest.raises(ValueError, match="5 members of 4 models"):
        member_sets(4, 5)
    with pytest.raises(ValueError, match="two members or more, not 1"):
        member_sets(4, 1)


def test_inputs_that_do_not_fit_are_said():
    logits, predictions, labels, _ = outputs()
    with pytest.raises(ValueError, match="no logits"):
        Pool.of({}, {}, labels)
    with pytest.raises(ValueError, match="no predictions of m3"):
        Pool.of(logits, {m: p for m, p in predictions.items() if m != "m3"}, labels)
    with pytest.raises(ValueError, match="do not fit 79 labels"):
        Pool.of(logits, predictions, labels[:-1])
    with pytest.raises(ValueError, match="do not fit"):
        Pool.of({**logits, "m3": logits["m3"][:, :-1]}, predictions, labels)
    logits["m2"][5, 1] = np.nan
    with pytest.raises(ValueError, match="m2 is not finite"):
        ensemble_table(Pool.of(logits, predictions, labels), [member_sets(6, 2)], outputs()[3])


def test_identical_members_gain_nothing_and_perfect_ones_have_nothing_to_gain():
    logits, _, labels, sat = outputs(models=3)
    same = dict.fromkeys(logits, logits["m0"])
    predictions = {m: values.argmax(1) for m, values in same.items()}
    table = ensemble_table(Pool.of(same, predictions, labels), [member_sets(3, 2), member_sets(3, 3)], sat)
    assert table["error_reduction"].to_numpy() == pytest.approx(0, abs=1e-12)
    assert table["all_wrong"].to_numpy() == pytest.approx(1 - table["member_accuracy"])
    right = {m: (20 * np.eye(CLASSES)[labels]) for m in logits}
    table = ensemble_table(Pool.of(right, dict.fromkeys(right, labels), labels), [member_sets(3, 2)], sat)
    assert (table["accuracy"] == 1).all() and table["error_reduction"].isna().all()


def test_independent_errors_are_all_wrong_as_often_as_chance_has_it():
    random = np.random.default_rng(0)
    labels = np.zeros(40_000, int)
    wrong = random.random((4, len(labels))) < 0.3
    logits = {f"m{i}": np.where(row[:, None], [[0, 9]], [[9, 0]]) for i, row in enumerate(wrong)}
    predictions = {f"m{i}": row.astype(int) for i, row in enumerate(wrong)}
    sat = pd.DataFrame(1.0, index=list(logits), columns=list(logits))
    table = ensemble_table(
        Pool.of(logits, predictions, labels), [member_sets(4, 2), member_sets(4, 3), member_sets(4, 4)], sat
    )
    assert table["all_wrong"].to_numpy() == pytest.approx(0.3 ** table["size"].to_numpy(), abs=0.01)
    # Three equally sure members vote: wrong where two or three are.
    three = table.query("size == 3")["accuracy"].to_numpy()
    assert three == pytest.approx(1 - (3 * 0.3**2 * 0.7 + 0.3**3), abs=0.01)


def test_means_by_number_of_clusters():
    logits, predictions, labels, sat = outputs(models=4)
    clusters = {"m0": 1, "m1": 1, "m2": 2}
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(4, 2)], sat, clusters)
    found = by_clusters(table).set_index("n_clusters")
    # m3 has no cluster.
    assert found["n_sets"].to_dict() == {1: 4, 2: 2}
    assert found.loc[1, "error_reduction"] == pytest.approx(table.query("n_clusters == 1")["error_reduction"].mean())


def test_open_files_and_any_order_of_models_give_the_same(tmp_path):
    logits, predictions, labels, sat = outputs()
    half = np.random.default_rng(1).random(80) < 0.5
    pool = Pool.of(logits, predictions, labels)
    first = ensemble_table(pool, [member_sets(6, 3, 8)], sat), recommend(pool, half, sat, 3, resamples=20)
    mixed = ["m3", "m0", "m5", "m1", "m4", "m2"]
    with h5py.File(tmp_path / "logits.h5", "w") as file:
        stored = {m: file.create_dataset(m, data=logits[m]) for m in mixed}
        pool = Pool.of(stored, predictions, labels)
        other = sat.loc[mixed, mixed]
        second = ensemble_table(pool, [member_sets(6, 3, 8)], other), recommend(pool, half, other, 3, resamples=20)
    pd.testing.assert_frame_equal(first[0], second[0])
    assert first[1].members == second[1].members
    pd.testing.assert_frame_equal(first[1].choices, second[1].choices)
    pd.testing.assert_frame_equal(first[1].differences, second[1].differences)


def planted(seed=0, n=4000, families=4, each=3):
    """Models of a family err on the same images and on the same wrong class; those of two, independently."""
    random = np.random.default_rng(seed)
    labels = random.integers(10, size=n)
    logits, sat = {}, {}
    for family in range(families):
        shared = random.random(n) < 0.25
        wrong = (labels + random.integers(1, 10, n)) % 10
        for member in range(each):
            err = np.where(random.random(n) < 0.15, random.random(n) < 0.25, shared)
            predicted = np.where(err, wrong, labels)
            noise = random.normal(0, 0.5, (n, 10))
            logits[f"f{family}m{member}"] = (4 * np.eye(10)[predicted] + noise).astype(np.float16)
    names = list(logits)
    sat = pd.DataFrame([[3.5 if a[:2] == b[:2] else 1.5 for b in names] for a in names], index=names, columns=names)
    noise = random.normal(0, 0.1, sat.shape)
    return logits, {m: values.argmax(1) for m, values in logits.items()}, labels, sat + (noise + noise.T) / 2


def test_low_sat_goes_with_gain_where_that_was_planted():
    logits, predictions, labels, sat = planted()
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(12, 3), member_sets(12, 4, 300)], sat)
    found = gain_by_sat(table, sat, permutations=499)
    assert found["size"].tolist() == [3, 4] and found["n_sets"].tolist() == [220, 300]
    assert (found[["spearman", "partial_spearman"]] < -0.6).all().all()
    assert (found[["p", "partial_p"]] <= 0.01).all().all()
    # A matrix that has nothing to do with it.
    names, random = list(sat), np.random.default_rng(3)
    none = random.normal(size=sat.shape)
    none = pd.DataFrame(none + none.T, index=names, columns=names)
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(12, 3)], none)
    assert gain_by_sat(table, none, permutations=499).loc[0, "p"] > 0.02


def test_correlations_against_scipy():
    logits, predictions, labels, sat = outputs(models=7)
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(7, 3)], sat)
    found = gain_by_sat(table, sat, permutations=9).iloc[0]
    x, y, z = (rankdata(table[column]) for column in ("mean_sat", "error_reduction", "member_accuracy"))
    assert found["spearman"] == pytest.approx(spearmanr(x, y).statistic)
    xy, xz, yz = np.corrcoef(x, y)[0, 1], np.corrcoef(x, z)[0, 1], np.corrcoef(y, z)[0, 1]
    assert found["partial_spearman"] == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    mixed = table.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(gain_by_sat(mixed, sat, 99), gain_by_sat(table, sat.iloc[::-1, ::-1], 99))


def test_nan_in_sat_costs_its_sets_and_two_models_have_no_correlation():
    logits, predictions, labels, sat = outputs()
    sat.loc["m0", "m1"] = sat.loc["m1", "m0"] = sat.loc["m2", "m2"] = np.nan
    pool = Pool.of(logits, predictions, labels)
    table = ensemble_table(pool, [member_sets(6, 2)], sat)
    found = gain_by_sat(table, sat, permutations=9).iloc[0]
    assert found["n_models"] == 5 and found["n_sets"] == 10
    pair = {m: logits[m] for m in ("m3", "m4")}
    table = ensemble_table(Pool.of(pair, predictions, labels), [member_sets(2, 2)], sat)
    assert len(table) == 1 and gain_by_sat(table, sat)[["spearman", "p", "partial_spearman"]].isna().all().all()


def test_recommends_decorrelated_models_and_they_gain_on_the_other_half():
    logits, predictions, labels, sat = planted()
    half = np.arange(len(labels)) % 2 == 0
    found = recommend(
        Pool.of(logits, predictions, labels), half, sat, 4, tolerance=0.05, clusters={m: m[:2] for m in logits}
    )
    assert {name[:2] for name in found.members} == {"f0", "f1", "f2", "f3"}
    choices = found.choices.set_index("choice")
    assert choices.index.tolist() == ["low_sat", "most_accurate", "greedy", "matched"]
    assert choices.loc["low_sat", "n_clusters"] == 4 and choices.loc["matched", "n_sets"] == 100
    assert choices.loc["low_sat", "members"] == ";".join(found.members)
    assert choices.loc["low_sat", "error_reduction"] > choices.loc["matched", "error_reduction"] + 0.05
    share = choices.loc["low_sat", "accuracy"]
    width = choices.loc["low_sat", "accuracy_high"] - choices.loc["low_sat", "accuracy_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 2000), rel=0.15)
    # Interval of a difference to sets of the same accuracy.
    matched = found.differences.set_index("than").loc["matched"]
    assert matched["accuracy_low"] > 0 and matched["error_reduction_low"] > 0
    assert choices.loc["matched", "chosen_on_accuracy"] == pytest.approx(
        choices.loc["low_sat", "chosen_on_accuracy"], abs=0.005
    )


def test_figures_are_those_of_the_other_half():
    logits, predictions, labels, sat = outputs(n=200)
    half = np.random.default_rng(4).random(200) < 0.5
    found = recommend(Pool.of(logits, predictions, labels), half, sat, 3, tolerance=0.2, resamples=200)
    clusters = dict.fromkeys(logits, 0)
    other = [{m: values[m][~half] for m in logits} for values in (logits, predictions)]
    for _, row in found.choices[found.choices["n_sets"] == 1].iterrows():
        slow = slow_row(row["members"].split(";"), *other, labels[~half], sat, clusters)
        for column in ("member_accuracy", "accuracy", "error_reduction", "all_wrong", "mean_sat"):
            assert row[column] == pytest.approx(slow[column], abs=1e-12)
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    # What happens there has no part in the choice.
    for values in logits.values():
        values[~half] = 0
    again = recommend(
        Pool.of(logits, {**predictions, "m0": np.where(half, predictions["m0"], 0)}, labels), half, sat, 3, 0.2
    )
    assert again.choices["members"].tolist() == found.choices["members"].tolist()


def test_choices_against_brute_force():
    logits, predictions, labels, sat = outputs(n=300, seed=5)
    half = np.arange(300) < 150
    found = recommend(
        Pool.of(logits, predictions, labels), half, sat, 3, tolerance=0.02, matched=2, resamples=5, seed=1
    )
    own = {m: np.mean(predictions[m][half] == labels[half]) for m in logits}
    sets = {members: np.mean([own[m] for m in members]) for members in combinations(logits, 3)}
    near = [members for members, mean in sets.items() if mean >= max(sets.values()) - 0.02 - 1e-12]
    assert found.n_candidates == len(near)
    assert found.members == min(near, key=lambda m: np.mean([sat.loc[a, b] for a, b in combinations(m, 2)]))
    gaps = sorted(abs(sets[m] - sets[found.members]) for m in near if m != found.members)[:2]
    matched = found.choices.set_index("choice").loc["matched"]
    assert abs(matched["chosen_on_accuracy"] - sets[found.members]) <= np.mean(gaps) + 1e-12
    best = found.choices.set_index("choice").loc["most_accurate", "members"]
    assert best == ";".join(sorted(sorted(own, key=lambda m: (-own[m], m))[:3]))
    # Greedy, step by step.
    seen = [{m: values[m][half] for m in logits} for values in (logits, predictions)]
    clusters = dict.fromkeys(logits, 0)
    greedy = [min(own, key=lambda m: (-own[m], m))]
    for _ in range(2):
        steps = {
            m: slow_row([*greedy, m], *seen, labels[half], sat, clusters)["accuracy"] for m in logits if m not in greedy
        }
        greedy.append(max(steps, key=lambda m: steps[m]))
    assert found.choices.set_index("choice").loc["greedy", "members"] == ";".join(sorted(greedy))


def test_no_tolerance_is_the_most_accurate_set_and_a_limit_keeps_the_best_models():
    logits, predictions, labels, sat = outputs(models=8, n=300, seed=2)
    half = np.arange(300) < 150
    pool = Pool.of(logits, predictions, labels)
    found = recommend(pool, half, sat, 3, tolerance=0, resamples=5)
    assert found.members == tuple(found.choices.set_index("choice").loc["most_accurate", "members"].split(";"))
    found = recommend(pool, half, sat, 3, tolerance=1, limit=10, resamples=5)
    own = pool.correct[:, half].mean(1)
    assert found.n_considered == 5 and found.n_candidates == 10
    assert set(found.members) <= {pool.models[place] for place in np.argsort(-own, kind="stable")[:5]}


def test_two_models_leave_no_choice():
    logits, predictions, labels, sat = outputs(models=2)
    pool, half = Pool.of(logits, predictions, labels), np.arange(80) < 40
    found = recommend(pool, half, sat, 2, resamples=5)
    assert found.members == ("m0", "m1")
    # There is no other set to match.
    assert found.choices["choice"].tolist() == ["low_sat", "most_accurate", "greedy"]
    assert (found.differences[["accuracy", "accuracy_low", "error_reduction_high"]] == 0).all().all()
    with pytest.raises(ValueError, match="3 members of 2 models"):
        recommend(pool, half, sat, 3)
    with pytest.raises(ValueError, match="some of the images, and not all"):
        recommend(pool, np.ones(80, bool), sat, 2)
    with pytest.raises(ValueError, match="SAT is NaN"):
        recommend(pool, half, sat * np.nan, 2)


def test_models_of_other_classes_are_not_combined():
    shapes = {"a": (5, 10), "b": (5, 1000), "c": (5, 10)}
    kept, others = of_the_same_classes({name: np.zeros(shape) for name, shape in shapes.items()})
    assert list(kept) == ["a", "c"] and others == ["b"]
    assert of_the_same_classes({}) == ({}, [])
