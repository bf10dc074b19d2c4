from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from sat.analyses.measures.agreement import against_sat, family_separation


def symmetric(values, names):
    square = np.zeros((len(names), len(names)))
    square[np.triu_indices(len(names), 1)] = values
    return pd.DataFrame(square + square.T + np.eye(len(names)) * 5, index=names, columns=names)


def case(models=6, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(models)]
    values = random.normal(size=models * (models - 1) // 2)
    sat, other = symmetric(values, names), symmetric(values + noise * random.normal(size=len(values)), names)
    return sat, other, dict(zip(names, random.uniform(0.6, 0.9, models), strict=True))


def slow_partial(sat, other, accuracy):
    pairs = list(combinations(sat.index, 2))
    known = [
        [(accuracy[a] + accuracy[b]) / 2 for a, b in pairs],
        [abs(accuracy[a] - accuracy[b]) for a, b in pairs],
    ]
    x = np.stack([rankdata(column) for column in known], 1)
    left = []
    for matrix in (sat, other):
        ranks = rankdata([matrix.loc[a, b] for a, b in pairs])
        left.append(ranks - LinearRegression().fit(x, ranks).predict(x))
    return np.corrcoef(left)[0, 1]


def slow_spearman(sat, other):
    pairs = list(combinations(sat.index, 2))
    return spearmanr([sat.loc[a, b] for a, b in pairs], [other.loc[a, b] for a, b in pairs]).statistic


def test_correlations_and_p_against_all_permutations():
    sat, other, accuracy = case(5, seed=2)
    # Models that are alike to all, or to none: permuting pairs instead of models would find far smaller p.
    sat += 3 * np.add.outer(*[np.array([0, 3, 1, 2, 5])] * 2)
    other += 3 * np.add.outer(*[np.array([1, 3, 0, 5, 4])] * 2)
    found = against_sat(sat, {"other": other}, accuracy, permutations=4000).iloc[0]
    assert found[["n_models", "n_pairs"]].tolist() == [5, 10]
    for column, slow in (
        ("", lambda matrix: slow_spearman(matrix, other)),
        ("partial_", lambda matrix: slow_partial(matrix, other, accuracy)),
    ):
        observed = slow(sat)
        assert found[f"{column}spearman"] == pytest.approx(observed, abs=1e-10)
        orders = [sat.to_numpy()[np.ix_(order, order)] for order in permutations(range(5))]
        every = [slow(pd.DataFrame(order, index=sat.index, columns=sat.columns)) for order in orders]
        exact = np.mean(np.abs(every) >= abs(observed) - 1e-9)
        assert found[f"{column}mantel_p"] == pytest.approx(exact, abs=0.03)


def test_equal_and_opposite_measures():
    sat, _, accuracy = case(8)
    found = against_sat(sat, {"same": sat, "opposite": -sat}, accuracy, permutations=999)
    assert found["spearman"].tolist() == pytest.approx([1, -1])
    assert found["partial_spearman"].tolist() == pytest.approx([1, -1])
    assert (found[["mantel_p", "partial_mantel_p"]] <= 0.003).all().all()


def test_what_only_accuracy_makes_alike_is_taken_out():
    random = np.random.default_rng(1)
    names = [f"m{i:02d}" for i in range(16)]
    accuracy = dict(zip(names, random.uniform(0.5, 0.9, 16), strict=True))
    mean = np.array([accuracy[a] + accuracy[b] for a, b in combinations(names, 2)])
    sat, other = (symmetric(mean + random.normal(0, 0.05, len(mean)), names) for _ in range(2))
    found = against_sat(sat, {"other": other}, accuracy, permutations=499).iloc[0]
    assert found["spearman"] > 0.7 and found["mantel_p"] < 0.01
    assert abs(found["partial_spearman"]) < 0.25 and found["partial_mantel_p"] > 0.02


def test_independent_measures_are_seldom_significant():
    p = []
    for seed in range(60):
        sat, _, accuracy = case(7, seed=seed)
        _, other, _ = case(7, seed=seed + 1000, noise=0)
        p.append(against_sat(sat, {"other": other}, accuracy, permutations=99, seed=seed).iloc[0]["mantel_p"])
    assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.15)


def test_order_of_models_changes_nothing_and_seeds_do():
    sat, other, accuracy = case(6)
    mixed = ["m3", "m1", "m5", "m0", "m4", "m2"]
    first = against_sat(sat, {"other": other}, accuracy, permutations=199)
    second = against_sat(sat.loc[mixed, mixed], {"other": other.iloc[::-1, ::-1]}, accuracy, permutations=199)
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(against_sat(sat, {"other": other}, accuracy, permutations=199, seed=1))


def test_nan_costs_as_few_models_as_possible_and_the_diagonal_none():
    sat, other, accuracy = case(6)
    other.loc["m4", ["m0", "m2", "m4"]] = np.nan
    other.loc[["m0", "m2", "m4"], "m4"] = np.nan
    other.loc["m1", "m1"] = np.nan
    found = against_sat(sat, {"other": other}, accuracy, permutations=9).iloc[0]
    kept = ["m0", "m1", "m2", "m3", "m5"]
    assert found["n_models"] == 5
    assert found["spearman"] == pytest.approx(slow_spearman(sat.loc[kept, kept], other.loc[kept, kept]))


def test_too_little_to_correlate_is_nan():
    sat, other, accuracy = case(2)
    found = against_sat(sat, {"other": other, "constant": sat * 0}, accuracy, permutations=9)
    assert found[["spearman", "mantel_p", "partial_spearman", "partial_mantel_p"]].isna().all().all()
    sat, other, accuracy = case(5)
    found = against_sat(sat, {"constant": sat * 0}, accuracy, permutations=9)
    assert found[["spearman", "mantel_p", "partial_spearman", "partial_mantel_p"]].isna().all().all()
    # Models of equal accuracy: nothing to take out.
    found = against_sat(sat, {"other": other}, dict.fromkeys(accuracy, 0.8), permutations=9).iloc[0]
    assert found["partial_spearman"] == pytest.approx(found["spearman"])


def test_family_separation_against_scikit_learn():
    sat, other, _ = case(7, seed=3)
    families = dict(zip(sat.index, "aabbbc", strict=False))
    other.iloc[0, 2] = other.iloc[2, 0] = np.nan
    found = family_separation({"sat": sat, "other": other.round(0)}, families)
    for (_, row), matrix in zip(found.iterrows(), (sat, other.round(0)), strict=True):
        pairs = [(a, b) for a, b in combinations(list(families), 2) if not np.isnan(matrix.loc[a, b])]
        same = np.array([families[a] == families[b] for a, b in pairs])
        value = np.array([matrix.loc[a, b] for a, b in pairs])
        assert row["roc_auc"] == pytest.approx(roc_auc_score(same, value))
        within, across = value[same], value[~same]
        assert (row["n_within"], row["n_across"]) == (len(within), len(across))
        assert (row["within_mean"], row["across_mean"]) == pytest.approx((within.mean(), across.mean()))
        spread = np.sqrt((within.var(ddof=1) + across.var(ddof=1)) / 2)
        assert row["d_prime"] == pytest.approx((within.mean() - across.mean()) / spread)


def test_one_family_separates_from_nothing():
    sat, _, _ = case(4)
    found = family_separation({"sat": sat}, dict.fromkeys(sat.index, "a")).iloc[0]
    assert found["n_within"] == 6 and found["n_across"] == 0
    assert np.isnan(found[["across_mean", "d_prime", "roc_auc"]].astype(float)).all()
