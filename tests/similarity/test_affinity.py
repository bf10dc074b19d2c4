"""Effects and affinity: identities that hold exactly, and simulations where the truth is known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, ndtr, ndtri
from scipy.stats import rankdata, spearmanr

from sat.similarity.affinity import (
    affinities,
    contrast,
    directed_log_odds,
    fit_affinity,
    fit_levels,
    log_odds,
    log_odds_of_sat,
    symmetric_log_odds,
)

SIZES = (39, 10, 8, 8, 3, 1)


def frame(square, names=None):
    names = names or [f"m{i:02d}" for i in range(len(square))]
    return pd.DataFrame(square, index=names, columns=names)


def families_of(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def effects_plus(boost, seed=0):
    """H of random effects and a symmetric boost, shape (n, n)."""
    random = np.random.default_rng(seed)
    u = random.normal(-1, 0.7, len(boost))
    return frame(u[:, None] + u[None, :] + boost)


def off(square):
    return np.asarray(square)[np.triu_indices(len(square), 1)]


def by_hand(half):
    """Affinity from the normal equations, a pair at a time."""
    names = list(half.index)
    n = len(names)
    left, right = np.zeros((n, n)), np.zeros(n)
    for i, j in combinations(range(n), 2):
        value = half.iloc[i, j]
        for a, b in ((i, j), (j, i)):
            left[a, a] += 1
            left[a, b] += 1
            right[a] += value
    u = np.linalg.solve(left, right)
    return {(names[i], names[j]): half.iloc[i, j] - u[i] - u[j] for i, j in combinations(range(n), 2)}


def test_log_odds_are_those_of_half_an_image_more():
    assert log_odds(0, 10) == pytest.approx(np.log(0.5 / 10.5))
    assert log_odds(10, 10) == -log_odds(0, 10)
    assert np.isnan(log_odds(0, 0))
    assert log_odds([3, 5], [10, 10])[1] == 0


def test_the_pair_table_becomes_directed_and_symmetric_log_odds():
    pairs = pd.DataFrame(
        [("a", "b", 3, 10), ("b", "a", 8, 10), ("a", "a", 9, 10), ("b", "b", 10, 10)],
        columns=["source", "target", "n_fooled", "n_both_correct"],
    )
    directed = directed_log_odds(pairs, ["a", "b"])
    assert directed.loc["a", "b"] == log_odds(3, 10) and directed.loc["b", "a"] == log_odds(8, 10)
    half = symmetric_log_odds(directed)
    assert half.loc["a", "b"] == half.loc["b", "a"] == (log_odds(3, 10) + log_odds(8, 10)) / 2


def test_a_matrix_without_counts_gives_the_log_odds_of_its_rate():
    sat = frame(np.log([[50.0, 20.0], [20.0, 100.0]]))
    half = log_odds_of_sat(sat)
    assert half.iloc[0, 0] == pytest.approx(0) and half.iloc[0, 1] == pytest.approx(np.log(0.25))
    assert np.isfinite(half.to_numpy()).all()


def test_affinity_is_the_rest_of_the_normal_equations():
    random = np.random.default_rng(3)
    square = random.normal(size=(9, 9))
    half = frame(square + square.T)
    found = fit_affinity(half).matrix
    for (a, b), value in by_hand(half).items():
        assert found.loc[a, b] == pytest.approx(value, abs=1e-10)
        assert found.loc[b, a] == found.loc[a, b]
    assert np.isnan(np.diag(found.to_numpy())).all()
    assert found.sum(axis=1).abs().max() < 1e-10, "each row sums to 0"


def test_pure_effects_of_counts_leave_nothing():
    random = np.random.default_rng(1)
    n, total = 12, 10**9
    strength, fragility = random.normal(0, 0.5, (2, n))
    rate = expit(-1.9 + strength[:, None] + fragility[None, :])
    half = symmetric_log_odds(frame(log_odds(np.rint(rate * total), total)))
    found = fit_affinity(half)
    assert np.abs(off(found.matrix)).max() < 1e-6
    assert found.share == pytest.approx(1)
    # SAT averages the rates first, and has a rest all the same.
    sat = frame(np.log(100 * (rate + rate.T) / 2))
    assert np.std(off(fit_affinity(sat).matrix)) > 0.02


def test_symmetrised_two_way_rest_is_the_one_way_rest():
    random = np.random.default_rng(2)
    directed = frame(random.normal(size=(8, 8)))
    levels = fit_levels(directed)
    expected = levels.level + levels.strength.to_numpy()[:, None] + levels.fragility.to_numpy()[None, :]
    rest = directed.to_numpy() - expected
    one_way = fit_affinity(symmetric_log_odds(directed)).matrix
    assert np.allclose(off((rest + rest.T) / 2), off(one_way), atol=1e-10)
    assert abs(levels.strength.sum()) < 1e-10 and abs(levels.fragility.sum()) < 1e-10


def test_levels_are_those_of_a_regression_by_statsmodels_like_dummies():
    random = np.random.default_rng(5)
    n = 6
    directed = frame(random.normal(size=(n, n)))
    rows = [(i, j) for i in range(n) for j in range(n) if i != j]
    design = np.zeros((len(rows), 2 * n))
    for row, (i, j) in enumerate(rows):
        design[row, i] = design[row, n + j] = 1
    # Minimum norm, then centred: strengths and fragilities are unique up to constants.
    fitted = np.linalg.lstsq(design, [directed.iloc[i, j] for i, j in rows], rcond=None)[0]
    found = fit_levels(directed)
    assert np.allclose(found.strength, fitted[:n] - fitted[:n].mean(), atol=1e-10)
    assert np.allclose(found.fragility, fitted[n:] - fitted[n:].mean(), atol=1e-10)


def test_a_boost_of_a_group_is_a_boost_of_all_others():
    """Nobody can tell which of two groups coheres: the affinities are equal, and the contrast is the boost."""
    family = np.array([0] * 8 + [1] * 4)
    same = family[:, None] == family
    large = effects_plus(0.8 * (same & (family == 0)[:, None]))
    small = effects_plus(0.8 * (same & (family == 1)[:, None]))
    assert np.allclose(off(fit_affinity(large).matrix), off(fit_affinity(small).matrix), atol=1e-10)
    names = list(large.index)
    for half in (large, small):
        assert contrast(half, names[:8], names[8:]) == pytest.approx(0.8)


def test_of_four_models_opposite_pairs_are_equal():
    random = np.random.default_rng(0)
    square = random.normal(size=(4, 4))
    a = fit_affinity(frame(square + square.T)).matrix.to_numpy()
    assert a[0, 1] == pytest.approx(a[2, 3]) and a[0, 2] == pytest.approx(a[1, 3]) and a[0, 3] == pytest.approx(a[1, 2])


def test_what_is_not_identified_says_so():
    square = np.arange(9.0).reshape(3, 3)
    assert "3 models" in fit_affinity(frame(square + square.T)).reason
    half = effects_plus(np.zeros((6, 6)))
    two = dict(zip(half.index, "aaabbb", strict=True))
    found = fit_affinity(half, two)
    assert "2 families" in found.reason and found.matrix.isna().all(axis=None)
    holes = half.copy()
    holes.iloc[0, 1:] = holes.iloc[1:, 0] = np.nan
    assert "common image" in fit_affinity(holes).reason
    one = effects_plus(np.zeros((6, 6)))
    one.iloc[0, 1] = one.iloc[1, 0] = np.nan
    assert not fit_affinity(one).reason and np.isnan(fit_affinity(one).matrix.iloc[0, 1])


def test_a_large_family_is_understated_and_small_ones_are_overstated():
    """Without noise, of the same truth of 1 in each family: a limit that captions must tell."""
    family = families_of(SIZES)
    same = family[:, None] == family
    names = [f"m{i:02d}" for i in range(len(family))]
    matrix = fit_affinity(effects_plus(1.0 * same)).matrix.to_numpy(copy=True)
    np.fill_diagonal(matrix, np.nan)
    across = matrix[~same].mean()
    found = [np.nanmean(matrix[np.ix_(family == f, family == f)]) - across for f in range(5)]
    assert found == pytest.approx([0.43, 1.30, 1.36, 1.36, 1.51], abs=0.01)
    # The regression with declared families finds the boost of each exactly.
    declared = {name: str(f) for name, f in zip(names, family, strict=True)}
    assert fit_affinity(effects_plus(1.0 * same), declared).boosts.to_numpy() == pytest.approx(np.ones(5), abs=1e-9)


def test_other_models_do_not_change_a_contrast():
    family = families_of((6, 5, 7))
    boost = np.array([0.5, 1.0, 2.0])[family] * (family[:, None] == family)
    half = effects_plus(boost, seed=4)
    names = np.array(half.index)
    first, second = list(names[family == 0]), list(names[family == 1])
    assert contrast(half, first, second) == pytest.approx(1.5)
    assert contrast(half.loc[first + second, first + second], first, second) == pytest.approx(1.5)
    assert np.isnan(contrast(half, first[:1], second))


def simulated(sizes, images=1000, likeness=0.8, sd=0.25, seed=0, mu=-1.9):
    """Counts of images from a one-factor probit copula; the truth is additive in log-odds.

    Returns H, the true likeness (n, n) and the families.
    """
    random = np.random.default_rng(seed)
    family = families_of(sizes)
    n = len(family)
    strength, fragility = random.normal(0, 0.5, (2, n))
    noise = random.normal(0, sd, (n, n))
    truth = likeness * (family[:, None] == family) + np.triu(noise, 1) + np.triu(noise, 1).T
    rate = expit(mu + strength[:, None] + fragility[None, :] + truth)
    difficulty = random.normal(size=images)
    chance = ndtr((ndtri(rate)[:, :, None] - np.sqrt(0.3) * difficulty) / np.sqrt(0.7))
    fooled = (random.random((n, n, images)) < chance).sum(2)
    return symmetric_log_odds(frame(log_odds(fooled, images))), truth, family


def auc(values, positive):
    ranks = rankdata(values)
    k = positive.sum()
    return (ranks[positive].sum() - k * (k + 1) / 2) / (k * (~positive).sum())


def test_families_are_told_apart_and_likeness_is_ranked():
    aucs, ranks, biases, errors = [], [], [], []
    for seed in range(40):
        half, truth, family = simulated((5, 5, 5, 5), seed=seed)
        above = np.triu_indices(len(family), 1)
        same = (family[:, None] == family)[above]
        found = off(fit_affinity(half).matrix)
        aucs.append(auc(found, same))
        ranks.append(spearmanr(found, truth[above]).statistic)
        biases.append(found[same].mean() - found[~same].mean() - 0.8)
        names = np.array(half.index)
        groups = [list(names[family == f]) for f in (0, 1)]
        exact = np.mean(off(truth[:5, :5])) + np.mean(off(truth[5:10, 5:10])) - 2 * truth[:5, 5:10].mean()
        errors.append(contrast(half, *groups) - exact)
    assert np.mean(aucs) > 0.95
    assert np.mean(ranks) > 0.88
    assert abs(np.mean(biases)) < 0.08
    assert np.std(errors) < 0.15 and abs(np.mean(errors)) < 0.05


def test_sat_ranks_a_fragile_group_above_a_like_one_and_affinity_does_not():
    """Group 0 is merely fragile, group 1 alike but robust; both have six models, and eight others are neither."""
    wins = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        family = families_of((6, 6, 8))
        n = len(family)
        level = np.array([1.2, -0.8, 0.0])[family] + random.normal(0, 0.2, n)
        truth = 0.8 * ((family[:, None] == 1) & (family == 1)) + random.normal(0, 0.05, (n, n))
        rate = expit(-2.5 + level[:, None] / 2 + level[None, :] + truth)
        half = symmetric_log_odds(frame(np.log(rate / (1 - rate))))
        sat = np.log(100 * (rate + rate.T) / 2)
        matrix = fit_affinity(half).matrix.to_numpy()

        def mean(square, f, family=family):
            return off(square[np.ix_(family == f, family == f)]).mean()

        wins.append((mean(sat, 0) > mean(sat, 1), mean(matrix, 1) > mean(matrix, 0)))
    fragile, alike = np.mean(wins, axis=0)
    assert fragile == 1.0 and alike == 1.0


@pytest.mark.parametrize("n", [2, 3, 4, 5, 12, 40])
def test_many_at_once_are_those_of_each_alone(n):
    random = np.random.default_rng(n)
    half = random.normal(-2, 1, (5, n, n))
    half = (half + half.swapaxes(1, 2)) / 2
    half[1] = -2.0
    half[2, 0, 1] = half[2, 1, 0] = np.nan
    half[3, 0, 1:] = half[3, 1:, 0] = np.nan
    half[4] = np.where(np.eye(n, dtype=bool), np.nan, half[4])
    expected = np.array([fit_affinity(pd.DataFrame(one)).matrix.to_numpy() for one in half])
    found = affinities(half)
    assert np.allclose(found, expected, atol=1e-10, rtol=0, equal_nan=True)
    assert np.isfinite(found[0]).any() == (n >= 4)
