from itertools import combinations, permutations
from math import comb

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import spearmanr

from sat.analyses.ensembles import COLUMNS
from sat.analyses.ensembles import averaging as ensembles
from sat.analyses.ensembles.averaging import (
    Pool,
    by_clusters,
    ensemble_table,
    gain_by_similarity,
    member_sets,
    of_the_same_classes,
    recommend,
)

CLASSES = 6


def both(sat, affinity=None):
    """The two matrices that the analysis compares."""
    return {"sat": sat, "affinity": sat * np.nan if affinity is None else affinity}


def affinity_of(sat):
    """Affinity by the normal equations of a two-way layout without a diagonal, not by the project's least squares."""
    n, off = len(sat), ~np.eye(len(sat), dtype=bool)
    values = sat.where(off)
    total = values.sum(axis=1)
    effects = (total - total.sum() / (2 * (n - 1))) / (n - 2)
    return values.sub(effects, axis=0).sub(effects, axis=1)


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
        "mean_affinity": np.mean([affinity_of(sat).loc[a, b] for a, b in combinations(members, 2)]),
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
    similarities = both(sat, affinity_of(sat))
    table = ensemble_table(pool, [member_sets(6, size) for size in (2, 3, 4, 5)], similarities, clusters)
    assert table.columns.tolist() == list(COLUMNS)
    every = [members for size in (2, 3, 4, 5) for members in combinations(logits, size)]
    expected = pd.DataFrame([slow_row(m, logits, predictions, labels, sat, clusters) for m in every])
    pd.testing.assert_frame_equal(table, expected[table.columns], check_dtype=False, atol=1e-12)


def test_a_class_that_no_member_puts_first_can_win():
    # Each is half sure of a class of its own; all give the true one a quarter, more than a third of a half.
    logits = {f"m{i}": np.log(np.full((4, 5), [0.02, 0.02, 0.02, 0.25, 0.19]) + 0.5 * np.eye(5)[i]) for i in range(3)}
    sat = pd.DataFrame(1.0, index=list(logits), columns=list(logits))
    pool = Pool.of(logits, {m: values.argmax(1) for m, values in logits.items()}, np.full(4, 3))
    row = ensemble_table(pool, [member_sets(3, 3)], both(sat)).iloc[0]
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
        ensemble_table(Pool.of(logits, predictions, labels), [member_sets(6, 2)], both(outputs()[3]))


def test_identical_members_gain_nothing_and_perfect_ones_have_nothing_to_gain():
    logits, _, labels, sat = outputs(models=3)
    same = dict.fromkeys(logits, logits["m0"])
    predictions = {m: values.argmax(1) for m, values in same.items()}
    table = ensemble_table(Pool.of(same, predictions, labels), [member_sets(3, 2), member_sets(3, 3)], both(sat))
    assert table["error_reduction"].to_numpy() == pytest.approx(0, abs=1e-12)
    assert table["all_wrong"].to_numpy() == pytest.approx(1 - table["member_accuracy"])
    right = {m: (20 * np.eye(CLASSES)[labels]) for m in logits}
    table = ensemble_table(Pool.of(right, dict.fromkeys(right, labels), labels), [member_sets(3, 2)], both(sat))
    assert (table["accuracy"] == 1).all() and table["error_reduction"].isna().all()


def test_independent_errors_are_all_wrong_as_often_as_chance_has_it():
    random = np.random.default_rng(0)
    labels = np.zeros(40_000, int)
    wrong = random.random((4, len(labels))) < 0.3
    logits = {f"m{i}": np.where(row[:, None], [[0, 9]], [[9, 0]]) for i, row in enumerate(wrong)}
    predictions = {f"m{i}": row.astype(int) for i, row in enumerate(wrong)}
    sat = pd.DataFrame(1.0, index=list(logits), columns=list(logits))
    table = ensemble_table(
        Pool.of(logits, predictions, labels), [member_sets(4, 2), member_sets(4, 3), member_sets(4, 4)], both(sat)
    )
    assert table["all_wrong"].to_numpy() == pytest.approx(0.3 ** table["size"].to_numpy(), abs=0.01)
    # Three equally sure members vote: wrong where two or three are.
    three = table.query("size == 3")["accuracy"].to_numpy()
    assert three == pytest.approx(1 - (3 * 0.3**2 * 0.7 + 0.3**3), abs=0.01)


def test_means_by_number_of_clusters():
    logits, predictions, labels, sat = outputs(models=4)
    clusters = {"m0": 1, "m1": 1, "m2": 2}
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(4, 2)], both(sat), clusters)
    found = by_clusters(table).set_index("n_clusters")
    # m3 has no cluster.
    assert found["n_sets"].to_dict() == {1: 4, 2: 2}
    assert found.loc[1, "error_reduction"] == pytest.approx(table.query("n_clusters == 1")["error_reduction"].mean())


def test_open_files_and_any_order_of_models_give_the_same(tmp_path):
    logits, predictions, labels, sat = outputs()
    half = np.random.default_rng(1).random(80) < 0.5
    pool = Pool.of(logits, predictions, labels)
    given = both(sat, affinity_of(sat))
    first = ensemble_table(pool, [member_sets(6, 3, 8)], given), recommend(pool, half, given, 3, resamples=20)
    mixed = ["m3", "m0", "m5", "m1", "m4", "m2"]
    with h5py.File(tmp_path / "logits.h5", "w") as file:
        stored = {m: file.create_dataset(m, data=logits[m]) for m in mixed}
        pool = Pool.of(stored, predictions, labels)
        other = {name: matrix.loc[mixed, mixed] for name, matrix in given.items()}
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


def test_low_similarity_goes_with_gain_where_that_was_planted():
    logits, predictions, labels, sat = planted()
    given = both(sat, affinity_of(sat))
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(12, 3), member_sets(12, 4, 300)], given)
    found = gain_by_similarity(table, given, permutations=499)
    assert found[["size", "of"]].to_numpy().tolist() == [[3, "sat"], [3, "affinity"], [4, "sat"], [4, "affinity"]]
    assert found["n_sets"].tolist() == [220, 220, 300, 300]
    assert (found[["spearman", "partial_spearman"]] < -0.6).all().all()
    assert (found[["p", "partial_p"]] <= 0.01).all().all()
    # A matrix that has nothing to do with it.
    names, random = list(sat), np.random.default_rng(3)
    none = random.normal(size=sat.shape)
    none = both(pd.DataFrame(none + none.T, index=names, columns=names))
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(12, 3)], none)
    assert gain_by_similarity(table, none, permutations=499).loc[0, "p"] > 0.02


def slow_correlation(table, matrix, partial):
    """Rank correlation of gain and mean similarity, after regression on which models are members if `partial`."""
    members = [row.split(";") for row in table["members"]]
    mean = np.array([np.mean([matrix.loc[a, b] for a, b in combinations(row, 2)]) for row in members])
    sides = [mean, table["error_reduction"].to_numpy()]
    if partial:
        design = np.array([[float(model in row) for model in matrix] for row in members])
        sides = [side - design @ np.linalg.lstsq(design, side, rcond=None)[0] for side in sides]
    return spearmanr(*(np.round(side, 9) for side in sides)).statistic


def test_correlations_against_scipy_and_numpy():
    logits, predictions, labels, sat = outputs(models=7)
    given = both(sat, affinity_of(sat))
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(7, 3)], given)
    found = gain_by_similarity(table, given, permutations=9).set_index("of")
    for name, matrix in given.items():
        assert found.loc[name, "spearman"] == pytest.approx(slow_correlation(table, matrix, False))
        assert found.loc[name, "partial_spearman"] == pytest.approx(slow_correlation(table, matrix, True))
    mixed, other = table.sample(frac=1, random_state=0), {name: m.iloc[::-1, ::-1] for name, m in given.items()}
    pd.testing.assert_frame_equal(gain_by_similarity(mixed, given, 99), gain_by_similarity(table, other, 99))


def test_p_is_that_of_all_permutations_of_a_small_pool():
    logits, predictions, labels, sat = outputs(models=5, n=200, seed=3)
    given = both(sat, affinity_of(sat))
    names = list(sat)
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(5, 2)], given)
    found = gain_by_similarity(table, given, permutations=1999).set_index("of")
    for name, matrix in given.items():
        for column, partial in (("p", False), ("partial_p", True)):
            every = []
            for order in permutations(names):
                relabelled = matrix.loc[list(order), list(order)].set_axis(names).set_axis(names, axis=1)
                every.append(abs(slow_correlation(table, relabelled, partial)))
            assert found.loc[name, column] == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-9), abs=0.04)


def effects_world(random, effect, n=10, apart=0.25):
    """Pairs whose gain depends on the members' accuracies, each by itself and by their distance, and on similarity.

    Fragility follows accuracy; SAT and affinity come from the rates of both directions.
    """
    names = [f"m{i}" for i in range(n)]
    accuracy, strength = random.normal(size=n), 0.5 * random.normal(size=n)
    rest, noise = (random.normal(0, 0.4, (n, n)) for _ in range(2))
    rest, noise = (rest + rest.T) / np.sqrt(2), (noise + noise.T) / np.sqrt(2)
    odds = -1.9 + strength[:, None] + accuracy + rest
    rate = 1 / (1 + np.exp(-odds))
    sat = pd.DataFrame(np.log(50 * (rate + rate.T)), index=names, columns=names)
    half = pd.DataFrame((odds + odds.T) / 2, index=names, columns=names)
    gain = accuracy[:, None] + accuracy - apart * (accuracy[:, None] - accuracy) ** 2 - effect * rest + noise
    a, b = np.triu_indices(n, 1)
    table = pd.DataFrame({"size": 2, "members": [f"{names[i]};{names[j]}" for i, j in zip(a, b, strict=True)]})
    return table.assign(error_reduction=gain[a, b]), both(sat, affinity_of(half))


def shares_below(random, pools, **world):
    """How often p is .05 or less."""
    rows = []
    for _ in range(pools):
        table, given = effects_world(random, **world)
        found = gain_by_similarity(table, given, permutations=39).set_index("of")
        rows.append({(of, name): found.loc[of, name] <= 0.05 for of in given for name in ("p", "partial_p")})
    return pd.DataFrame(rows).mean()


def test_what_accuracy_does_is_not_taken_for_an_effect_of_affinity():
    found = shares_below(np.random.default_rng(0), 100, effect=0.0)
    # 5 % is right, give or take 4.4 % (2 sd).
    assert found["affinity", "partial_p"] < 0.095 and found["affinity", "p"] < 0.095
    # SAT holds the distance of two models' levels, with and without their effects.
    assert found["sat", "p"] > 0.5 and found["sat", "partial_p"] > 0.25
    # Where accuracies only add up, taking the effects out is enough for SAT too.
    found = shares_below(np.random.default_rng(1), 60, effect=0.0, apart=0.0)
    assert found["sat", "p"] > 0.7 and found["sat", "partial_p"] < 0.11


def test_an_effect_of_similarity_is_found_beside_models_own_effects():
    found = shares_below(np.random.default_rng(2), 30, effect=0.7, apart=0.0)
    assert found["affinity", "partial_p"] > 0.8 and found["sat", "partial_p"] > 0.7


def test_effects_that_explain_everything_leave_no_partial_correlation():
    logits, predictions, labels, sat = outputs(models=5)
    own = np.arange(5.0)
    additive = pd.DataFrame(own[:, None] + own, index=sat.index, columns=sat.columns)
    table = ensemble_table(Pool.of(logits, predictions, labels), [member_sets(5, 3), member_sets(5, 4)], both(additive))
    found = gain_by_similarity(table, {"sat": additive}, permutations=9).set_index("size")
    assert np.isfinite(found.loc[3, "spearman"]) and np.isnan(found.loc[3, "partial_spearman"])
    # Five sets of four out of five models are as many as effects.
    assert np.isnan(gain_by_similarity(table, both(sat), permutations=9).set_index("size").loc[4, "partial_p"]).all()


def test_nan_in_sat_costs_its_sets_and_two_models_have_no_correlation():
    logits, predictions, labels, sat = outputs()
    sat.loc["m0", "m1"] = sat.loc["m1", "m0"] = sat.loc["m2", "m2"] = np.nan
    pool = Pool.of(logits, predictions, labels)
    table = ensemble_table(pool, [member_sets(6, 2)], both(sat))
    found = gain_by_similarity(table, both(sat), permutations=9).set_index("of")
    assert found.loc["sat", "n_models"] == 5 and found.loc["sat", "n_sets"] == 10
    # Without any affinity, SAT goes on alone.
    assert found.loc["affinity", "n_sets"] == 0 and np.isnan(found.loc["affinity", "spearman"])
    pair = {m: logits[m] for m in ("m3", "m4")}
    table = ensemble_table(Pool.of(pair, predictions, labels), [member_sets(2, 2)], both(sat))
    assert len(table) == 1
    assert gain_by_similarity(table, both(sat))[["spearman", "p", "partial_spearman"]].isna().all().all()


def test_recommends_decorrelated_models_and_they_gain_on_the_other_half():
    logits, predictions, labels, sat = planted()
    half = np.arange(len(labels)) % 2 == 0
    found = recommend(
        Pool.of(logits, predictions, labels),
        half,
        both(sat, affinity_of(sat)),
        4,
        tolerance=0.05,
        clusters={m: m[:2] for m in logits},
    )
    assert {name[:2] for name in found.members} == {"f0", "f1", "f2", "f3"}
    choices = found.choices.set_index("choice")
    assert found.by == "affinity"
    assert choices.index.tolist() == ["low_affinity", "low_sat", "most_accurate", "greedy", "matched"]
    assert choices.loc["low_affinity", "n_clusters"] == 4
    assert choices.loc["low_affinity", "members"] == ";".join(found.members)
    assert choices.loc["low_affinity", "error_reduction"] > choices.loc["matched", "error_reduction"] + 0.05
    share = choices.loc["low_affinity", "accuracy"]
    width = choices.loc["low_affinity", "accuracy_high"] - choices.loc["low_affinity", "accuracy_low"]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 2000), rel=0.15)
    # Interval of a difference to sets of the same accuracy.
    matched = found.differences.set_index("than").loc["matched"]
    assert matched["accuracy_low"] > 0 and matched["error_reduction_low"] > 0
    gap = choices.loc["matched", "chosen_on_accuracy"] - choices.loc["low_affinity", "chosen_on_accuracy"]
    assert abs(gap) <= found.caliper


def test_figures_are_those_of_the_other_half():
    logits, predictions, labels, sat = outputs(n=200)
    half = np.random.default_rng(4).random(200) < 0.5
    given = both(sat, affinity_of(sat))
    found = recommend(Pool.of(logits, predictions, labels), half, given, 3, tolerance=0.2, resamples=200)
    clusters = dict.fromkeys(logits, 0)
    other = [{m: values[m][~half] for m in logits} for values in (logits, predictions)]
    for _, row in found.choices[found.choices["n_sets"] == 1].iterrows():
        slow = slow_row(row["members"].split(";"), *other, labels[~half], sat, clusters)
        for column in ("member_accuracy", "accuracy", "error_reduction", "all_wrong", "mean_sat", "mean_affinity"):
            assert row[column] == pytest.approx(slow[column], abs=1e-12)
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    # What happens there has no part in the choice.
    for values in logits.values():
        values[~half] = 0
    again = recommend(
        Pool.of(logits, {**predictions, "m0": np.where(half, predictions["m0"], 0)}, labels), half, given, 3, 0.2
    )
    assert again.choices["members"].tolist() == found.choices["members"].tolist()


def test_choices_against_brute_force():
    logits, predictions, labels, sat = outputs(n=300, seed=5)
    half = np.arange(300) < 150
    affinity = affinity_of(sat)
    found = recommend(
        Pool.of(logits, predictions, labels), half, both(sat, affinity), 3, tolerance=0.02, resamples=5, seed=1
    )
    own = {m: np.mean(predictions[m][half] == labels[half]) for m in logits}
    sets = {members: np.mean([own[m] for m in members]) for members in combinations(logits, 3)}
    near = [members for members, mean in sets.items() if mean >= max(sets.values()) - 0.02 - 1e-12]
    assert found.n_candidates == len(near)
    choices = found.choices.set_index("choice")
    for name, matrix in (("low_affinity", affinity), ("low_sat", sat)):
        least = min(near, key=lambda m, matrix=matrix: np.mean([matrix.loc[a, b] for a, b in combinations(m, 2)]))
        assert choices.loc[name, "members"] == ";".join(least)
    assert ";".join(found.members) == choices.loc["low_affinity", "members"]
    # The caliper, over all sets and not over the candidates alone.
    assert found.caliper == pytest.approx(0.2 * np.std(list(sets.values())))
    alike = [m for m, mean in sets.items() if m != found.members and abs(mean - sets[found.members]) <= found.caliper]
    assert choices.loc["matched", "n_sets"] == len(alike) > 0
    assert choices.loc["matched", "chosen_on_accuracy"] == pytest.approx(np.mean([sets[m] for m in alike]))
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
    found = recommend(pool, half, both(sat), 3, tolerance=0, resamples=5)
    assert found.members == tuple(found.choices.set_index("choice").loc["most_accurate", "members"].split(";"))
    found = recommend(pool, half, both(sat), 3, tolerance=1, limit=10, resamples=5)
    own = pool.correct[:, half].mean(1)
    assert found.n_considered == 5 and found.n_candidates == 10
    assert set(found.members) <= {pool.models[place] for place in np.argsort(-own, kind="stable")[:5]}


def test_two_models_leave_no_choice():
    logits, predictions, labels, sat = outputs(models=2)
    pool, half = Pool.of(logits, predictions, labels), np.arange(80) < 40
    found = recommend(pool, half, both(sat), 2, resamples=5)
    assert found.members == ("m0", "m1") and found.by == "sat" and found.caliper == 0
    # There is no other set to match.
    assert found.choices["choice"].tolist() == ["low_sat", "most_accurate", "greedy"]
    assert (found.differences[["accuracy", "accuracy_low", "error_reduction_high"]] == 0).all().all()
    with pytest.raises(ValueError, match="3 members of 2 models"):
        recommend(pool, half, both(sat), 3)
    with pytest.raises(ValueError, match="some of the images, and not all"):
        recommend(pool, np.ones(80, bool), both(sat), 2)
    with pytest.raises(ValueError, match="neither SAT nor affinity is known"):
        recommend(pool, half, both(sat * np.nan), 2)


def test_no_set_is_matched_outside_the_caliper():
    # Accuracies of .1, .3, .5 and .9: pairs are .1 or more apart, and a fifth of their sd is .04.
    labels = np.zeros(100, int)
    hits = {f"m{place}": np.arange(100) % 50 < wanted for place, wanted in enumerate((5, 15, 25, 45))}
    logits = {m: np.where(right[:, None], [[9.0, 0.0]], [[0.0, 9.0]]) for m, right in hits.items()}
    predictions = {m: (~right).astype(int) for m, right in hits.items()}
    sat = pd.DataFrame(1.0, index=list(hits), columns=list(hits))
    sat.loc["m0", "m1"] = sat.loc["m1", "m0"] = 0.5
    pool = Pool.of(logits, predictions, labels)
    found = recommend(pool, np.arange(100) < 50, both(sat), 2, tolerance=1.0, resamples=5)
    pairs = [(a + b) / 2 for a, b in combinations((0.1, 0.3, 0.5, 0.9), 2)]
    assert found.members == ("m0", "m1") and found.caliper == pytest.approx(0.2 * np.std(pairs))
    assert "matched" not in found.choices["choice"].tolist() and "matched" not in found.differences["than"].tolist()


def test_a_pair_without_affinity_is_no_candidate_and_sat_decides_where_there_is_none():
    logits, predictions, labels, sat = outputs(n=300, seed=5)
    pool, half = Pool.of(logits, predictions, labels), np.arange(300) < 150
    affinity = affinity_of(sat)
    first = recommend(pool, half, both(sat, affinity), 2, tolerance=1, resamples=5)
    a, b = first.members
    affinity.loc[a, b] = affinity.loc[b, a] = np.nan
    second = recommend(pool, half, both(sat, affinity), 2, tolerance=1, resamples=5)
    left = {pair: affinity.loc[pair] for pair in combinations(sat, 2) if pair != (a, b)}
    assert second.by == "affinity" and second.members == min(left, key=left.get)
    third = recommend(pool, half, both(sat), 2, tolerance=1, resamples=5)
    assert third.by == "sat" and third.members == min(combinations(sat, 2), key=lambda pair: sat.loc[pair])
    assert third.choices["choice"].iloc[0] == "low_sat" and third.choices["mean_affinity"].isna().all()


def test_models_of_other_classes_are_not_combined():
    shapes = {"a": (5, 10), "b": (5, 1000), "c": (5, 10)}
    kept, others = of_the_same_classes({name: np.zeros(shape) for name, shape in shapes.items()})
    assert list(kept) == ["a", "c"] and others == ["b"]
    assert of_the_same_classes({}) == ({}, [])
