from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score

from sat.analyses.measures.agreement import against, family_separation, rest
from sat.statistics.correlation import RankCorrelation, permutation_p


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


def slow_rest(matrix):
    """Residuals of a regression on which models a pair has, as a matrix."""
    pairs = list(combinations(matrix.index, 2))
    x = np.array([[float(model in pair) for model in matrix.index] for pair in pairs])
    y = np.array([matrix.loc[pair] for pair in pairs])
    return symmetric(y - LinearRegression(fit_intercept=False).fit(x, y).predict(x), list(matrix.index))


def slow_partial(sat, other, accuracy):
    """Correlation of ranks, given the ranks of the difference in accuracy, by the textbook formula."""
    pairs = list(combinations(sat.index, 2))
    x, y = (np.array([matrix.loc[pair] for pair in pairs]) for matrix in (sat, other))
    z = np.array([abs(accuracy[a] - accuracy[b]) for a, b in pairs])
    xy, xz, yz = (spearmanr(*both).statistic for both in ((x, y), (x, z), (y, z)))
    return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))


def slow_spearman(sat, other):
    pairs = list(combinations(sat.index, 2))
    return spearmanr([sat.loc[a, b] for a, b in pairs], [other.loc[a, b] for a, b in pairs]).statistic


def test_correlations_and_p_against_all_permutations():
    sat, other, accuracy = case(5, seed=2)
    affinity = symmetric(np.random.default_rng(9).normal(size=10), list(sat.index))
    # Models that are alike to all, or to none: permuting pairs instead of models would find far smaller p.
    sat += 3 * np.add.outer(*[np.array([0, 3, 1, 2, 5])] * 2)
    other += 3 * np.add.outer(*[np.array([1, 3, 0, 5, 4])] * 2)
    found = against(sat, affinity, {"other": other}, accuracy, permutations=4000).set_index("of")
    assert (found[["n_models", "n_pairs"]].to_numpy() == [5, 10]).all()
    for of, one, two in (("sat", sat, other), ("affinity", slow_rest(affinity), slow_rest(other))):
        observed = slow_spearman(one, two)
        assert found.loc[of, "spearman"] == pytest.approx(observed, abs=1e-10)
        assert found.loc[of, "partial_spearman"] == pytest.approx(slow_partial(one, two, accuracy), abs=1e-10)
        orders = [one.to_numpy()[np.ix_(order, order)] for order in permutations(range(5))]
        every = [slow_spearman(pd.DataFrame(order, index=sat.index, columns=sat.columns), two) for order in orders]
        exact = np.mean(np.abs(every) >= abs(observed) - 1e-9)
        assert found.loc[of, "mantel_p"] == pytest.approx(exact, abs=0.03)


def test_the_rest_is_that_of_a_regression_and_the_rest_of_a_permuted_matrix_is_permuted():
    sat, _, _ = case(6)
    np.testing.assert_allclose(off_diagonal(rest(sat)), off_diagonal(slow_rest(sat)), atol=1e-10)
    order = np.random.default_rng(0).permutation(6)
    mixed = sat.iloc[order, order]
    pd.testing.assert_frame_equal(rest(mixed), rest(sat).iloc[order, order], check_exact=False, atol=1e-10)
    assert rest(sat.iloc[:3, :3]).isna().all(axis=None)
    sat.loc["m4"] = sat["m4"] = np.nan
    assert rest(sat).isna().sum().sum() == 6 + 2 * 5


def off_diagonal(matrix):
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def test_equal_and_opposite_measures():
    sat, _, accuracy = case(8)
    found = against(sat, sat, {"same": sat, "opposite": -sat}, accuracy, permutations=999)
    for column in ("spearman", "partial_spearman"):
        assert found[column].tolist() == pytest.approx([1, 1, -1, -1])
    assert (found["mantel_p"] <= 0.003).all()


def test_what_two_measures_share_beyond_levels_is_found():
    """Levels that are unrelated hide that both see the same pairs."""
    random = np.random.default_rng(3)
    names = [f"m{i:02d}" for i in range(14)]
    shared = random.normal(size=91)
    # Every second model has a high level in one, and every second pair of models in the other.
    one, two = (
        symmetric(shared + random.normal(size=91) / 2, names) + np.add.outer(*[np.arange(14) // step % 2 * 6.0] * 2)
        for step in (1, 2)
    )
    found = against(one, one, {"other": two}, dict.fromkeys(names, 0.9), permutations=499).set_index("of")
    assert found.loc["sat", "spearman"] < 0.4
    assert found.loc["affinity", "spearman"] > 0.7 and found.loc["affinity", "mantel_p"] < 0.01


def accurate_pools(effect, count=80, models=9):
    """Pools of models whose accuracy acts in the same way on two matrices that share nothing else."""
    names = [f"m{i}" for i in range(models)]
    a, b = np.triu_indices(models, 1)
    for seed in range(count):
        random = np.random.default_rng(seed)
        accuracy = random.uniform(0.5, 0.95, models)
        both = effect(accuracy[a], accuracy[b])
        noise = 0.3 * both.std()
        yield (
            dict(zip(names, accuracy, strict=True)),
            *(symmetric(both + random.normal(0, noise, len(a)), names) for _ in range(2)),
        )


def partial_mantel_p(one, two, accuracy, permutations=99):
    """Legendre's method 1 with the ranks of mean accuracy and of the difference, which was used until version 1."""
    a, b = np.triu_indices(len(one), 1)
    share = np.array(list(accuracy.values()))
    correlation = RankCorrelation(two.to_numpy()[a, b], [share[a] + share[b], np.abs(share[a] - share[b])])
    random, square = np.random.default_rng(0), one.to_numpy()
    orders = [random.permutation(len(one)) for _ in range(permutations)]
    permuted = np.array([correlation.with_values(square[order[a], order[b]]) for order in orders])
    return permutation_p(correlation.with_values(square[a, b]), permuted)


@pytest.mark.parametrize("effect", [lambda x: (x - 0.75) ** 2, lambda x: np.log(1 - x)])
def test_size_where_accuracy_acts_as_a_sum_of_any_function(effect):
    """At 0.05, 5 % of the pools are significant by their rests: within 3.5 standard errors of 80 pools."""
    pools = list(accurate_pools(lambda x, y: effect(x) + effect(y)))
    tables = [
        against(one, one, {"other": two}, accuracy, permutations=99).set_index("of") for accuracy, one, two in pools
    ]
    p = pd.DataFrame([table["mantel_p"] for table in tables])
    assert (p["affinity"] <= 0.05).mean() == pytest.approx(0.05, abs=0.085)
    assert (p["affinity"] <= 0.5).mean() == pytest.approx(0.5, abs=0.2)
    assert (p["sat"] <= 0.05).mean() > 0.9, "as they are, both follow accuracy"


def test_the_partial_mantel_test_rejects_too_often_where_accuracy_is_not_linear():
    pools = accurate_pools(lambda x, y: (x - 0.75) ** 2 + (y - 0.75) ** 2, count=40)
    assert np.mean([partial_mantel_p(one, two, accuracy) <= 0.05 for accuracy, one, two in pools]) > 0.6


def test_a_difference_in_accuracy_is_not_taken_out_and_partial_spearman_shows_it():
    pools = accurate_pools(lambda x, y: -np.abs(x - y), count=20)
    found = pd.concat(against(one, one, {"other": two}, accuracy, 99) for accuracy, one, two in pools)
    rests = found[found["of"] == "affinity"]
    assert rests["spearman"].mean() > 0.7 and (rests["mantel_p"] <= 0.05).all()
    assert rests["partial_spearman"].mean() < 0.7 * rests["spearman"].mean()


def test_order_of_models_changes_nothing_and_seeds_do():
    sat, other, accuracy = case(6)
    mixed = ["m3", "m1", "m5", "m0", "m4", "m2"]
    first = against(sat, sat, {"other": other}, accuracy, permutations=199)
    again = sat.loc[mixed, mixed]
    second = against(again, again, {"other": other.iloc[::-1, ::-1]}, accuracy, permutations=199)
    pd.testing.assert_frame_equal(first, second)
    assert not first.equals(against(sat, sat, {"other": other}, accuracy, permutations=199, seed=1))


def test_nan_costs_as_few_models_as_possible_and_the_diagonal_none():
    sat, other, accuracy = case(6)
    other.loc["m4", ["m0", "m2", "m4"]] = np.nan
    other.loc[["m0", "m2", "m4"], "m4"] = np.nan
    other.loc["m1", "m1"] = np.nan
    found = against(sat, sat, {"other": other}, accuracy, permutations=9).set_index("of")
    kept = ["m0", "m1", "m2", "m3", "m5"]
    one, two = sat.loc[kept, kept], other.loc[kept, kept]
    assert found["n_models"].tolist() == [5, 5]
    assert found.loc["sat", "spearman"] == pytest.approx(slow_spearman(one, two))
    # Both rests are fitted to the models that remain.
    assert found.loc["affinity", "spearman"] == pytest.approx(slow_spearman(slow_rest(one), slow_rest(two)))


def test_too_little_to_correlate_is_nan():
    results = ["spearman", "mantel_p", "partial_spearman"]
    sat, other, accuracy = case(2)
    found = against(sat, sat, {"other": other, "constant": sat * 0}, accuracy, permutations=9)
    assert found[results].isna().all(axis=None)
    sat, other, accuracy = case(3)
    found = against(sat, sat * np.nan, {"other": other}, accuracy, permutations=9).set_index("of")
    assert found.loc["sat", ["spearman", "mantel_p"]].notna().all() and found.loc["affinity", results].isna().all()
    sat, other, accuracy = case(5)
    found = against(sat, sat, {"constant": sat * 0}, accuracy, permutations=9)
    assert found[results].isna().all(axis=None)
    # Models of equal accuracy: nothing to take out.
    found = against(sat, sat, {"other": other}, dict.fromkeys(accuracy, 0.8), permutations=9)
    assert found["partial_spearman"].tolist() == pytest.approx(found["spearman"].tolist())


def test_family_separation_against_scikit_learn():
    sat, other, _ = case(7, seed=3)
    families = dict(zip(sat.index, "aabbbc", strict=False))
    holed = other.round(0)
    holed.iloc[0, 2] = holed.iloc[2, 0] = np.nan
    affinity = slow_rest(sat)
    found = family_separation(sat, affinity, {"other": other, "holed": holed}, families, permutations=9)
    assert found["measure"].tolist() == ["sat", "affinity", "other", "other", "holed", "holed"]
    assert found["rest"].tolist() == [False, True] * 3
    for (_, row), matrix in zip(found[:5].iterrows(), (sat, affinity, other, slow_rest(other), holed), strict=True):
        pairs = [(a, b) for a, b in combinations(list(families), 2) if not np.isnan(matrix.loc[a, b])]
        same = np.array([families[a] == families[b] for a, b in pairs])
        value = np.array([matrix.loc[a, b] for a, b in pairs])
        assert row["roc_auc"] == pytest.approx(roc_auc_score(same, value))
        within, across = value[same], value[~same]
        assert (row["n_within"], row["n_across"]) == (len(within), len(across))
        assert (row["within_mean"], row["across_mean"]) == pytest.approx((within.mean(), across.mean()))
        spread = np.sqrt((within.var(ddof=1) + across.var(ddof=1)) / 2)
        assert row["d_prime"] == pytest.approx((within.mean() - across.mean()) / spread)


def test_p_of_families_against_all_relabellings():
    sat, _, _ = case(6, seed=5)
    families = dict(zip(sat.index, "aabbcc", strict=True))
    pairs = list(combinations(sat.index, 2))
    value = [sat.loc[pair] for pair in pairs]

    def area(labels):
        family = dict(zip(sat.index, labels, strict=True))
        return roc_auc_score([family[a] == family[b] for a, b in pairs], value)

    every = np.array([area(labels) for labels in set(permutations("aabbcc"))])
    exact = np.mean(np.abs(every - 0.5) >= abs(area("aabbcc") - 0.5) - 1e-9)
    found = family_separation(sat, sat, {}, families, permutations=3000).iloc[0]
    assert found["p"] == pytest.approx(exact, abs=0.04)


def test_levels_hide_families_and_the_rest_shows_them():
    random = np.random.default_rng(0)
    names = [f"m{i:02d}" for i in range(12)]
    families = dict(zip(names, "aaaabbbbcccc", strict=True))
    alike = np.array([families[a] == families[b] for a, b in combinations(names, 2)])
    measure = symmetric(alike + random.normal(0, 0.3, 66), names) + np.add.outer(*[random.normal(0, 3, 12)] * 2)
    found = family_separation(measure, rest(measure), {"m": measure}, families, permutations=199).iloc[2:]
    assert found["roc_auc"].iloc[1] > 0.9 > found["roc_auc"].iloc[0] + 0.15
    assert found["p"].iloc[1] < 0.02


def test_one_family_separates_from_nothing():
    sat, _, _ = case(4)
    found = family_separation(sat, sat, {}, dict.fromkeys(sat.index, "a"), permutations=9).iloc[0]
    assert found["n_within"] == 6 and found["n_across"] == 0
    assert np.isnan(found[["across_mean", "d_prime", "roc_auc", "p"]].astype(float)).all()
