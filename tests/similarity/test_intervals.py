import numpy as np
import pytest
from scipy.stats import binom, binomtest

from sat.statistics.intervals import rank_range, sat_interval, sign_flip_p, wilson

EPS_S = 0.01


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(("hits", "n"), [(0, 7), (1, 7), (7, 7), (350, 700), (3, 4000), (1, 1)])
def test_against_scipy(hits, n, confidence):
    expected = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    low, high = wilson(hits, n, confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_trial_says_nothing_and_ends_are_exact():
    low, high = wilson([0, 0, 5], [0, 5, 5])
    assert low[0] == 0 and high[0] == 1
    assert low[1] == 0 and high[2] == 1
    assert np.all(low <= high)


def cells(mean, rho, uneven=0.0):
    """Probabilities of n11, n10, n01, n00: the mean of both shares, their correlation, and how they differ."""
    a = min(mean * (1 + uneven), mean + (1 - mean) * uneven)
    b = 2 * mean - a
    both = a * b + rho * np.sqrt(a * (1 - a) * b * (1 - b))
    both = np.clip(both, max(0, a + b - 1), min(a, b))
    return np.array([both, a - both, b - both, 1 - a - b + both])


def coverage(n, mean, rho, uneven, draws=20_000):
    """In per cent."""
    counts = np.random.default_rng(n).multinomial(n, np.clip(cells(mean, rho, uneven), 0, 1), draws)
    outcomes, times = np.unique(counts, axis=0, return_counts=True)
    table = sat_interval(*outcomes.T, eps_s=1e-6)
    truth = np.log(100 * mean)
    return 100 * times[(table["sat_low"] <= truth + 1e-9) & (truth - 1e-9 <= table["sat_high"])].sum() / draws


@pytest.mark.parametrize("mean", [0.001, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [100, 700, 4000])
def test_sat_interval_holds_the_truth_as_often_as_it_says(n, mean):
    error = 3 * 100 * np.sqrt(0.95 * 0.05 / 20_000)
    for rho in (-0.3, 0, 0.3, 0.7, 1):
        for uneven in (0, 0.9):
            found = coverage(n, mean, rho, uneven)
            # See the next test: with so few hits expected, nothing in between can be had.
            most = 99.9 if (n, mean) in ((100, 0.001), (100, 0.01)) else 98
            assert 93 - error <= found <= most + error, (rho, uneven, found)


@pytest.mark.parametrize(("n", "mean"), [(100, 0.001), (100, 0.01), (200, 0.001)])
def test_with_few_expected_hits_no_interval_covers_93_to_98_per_cent(n, mean):
    # 100 images on which the directions agree, and, as 200 trials, 100 on which they are independent.
    outcome = binom(n, mean).pmf(np.arange(12))
    reachable = [outcome[i:j].sum() for i in range(12) for j in range(i, 13)]
    assert not any(0.93 <= share <= 0.98 for share in reachable)


def test_design_effect_runs_from_agreement_to_opposition():
    table = sat_interval(
        [300, 90, 0, 0, 0], [0, 210, 300, 350, 0], [0, 210, 300, 350, 0], [700, 490, 400, 0, 700], EPS_S
    )
    assert table["design_effect"][0] == pytest.approx(2), "one direction says what the other says"
    assert table["design_effect"][1] == pytest.approx(1, abs=0.01), "independent"
    assert table["design_effect"][2] < 1, "never both"
    assert 0 < table["design_effect"][3] < 0.01, "always exactly one"
    assert table["design_effect"][4] == pytest.approx(2), "nothing known: the worst case"
    assert np.allclose(table["n_effective"], 2 * table["n_both_correct"] / table["design_effect"])
    assert table.loc[0, ["rate_low", "rate_high"]].tolist() == pytest.approx(np.array(wilson(300, 1000)).tolist())
    assert (np.diff(table[["rate_low", "rate", "rate_high"]]) >= 0).all()


def test_zero_counts_give_an_upper_bound():
    table = sat_interval([0, 0], [0, 1], [0, 0], [700, 699], EPS_S)
    assert table["upper_bound"].tolist() == [True, False]
    assert table["sat"][0] == table["sat_low"][0] == pytest.approx(np.log(EPS_S))
    assert table["sat_high"][0] == pytest.approx(np.log(100 * wilson(0, 700)[1]))
    assert table["sat_low"][1] < np.log(100 * 0.5 / 700) < table["sat_high"][1]


def test_hits_and_misses_mirror_each_other():
    few = sat_interval([2, 0, 7], [1, 0, 3], [0, 1, 5], [97, 99, 85], EPS_S)
    many = sat_interval([97, 99, 85], [1, 0, 3], [0, 1, 5], [2, 0, 7], EPS_S)
    assert np.allclose(few["rate_low"], 1 - many["rate_high"])
    assert np.allclose(few["rate_high"], 1 - many["rate_low"])


def test_a_pair_without_images_says_nothing_and_no_pair_is_an_empty_table():
    row = sat_interval(0, 0, 0, 0, EPS_S).iloc[0]
    assert np.isnan(row["rate"]) and np.isnan(row["sat"]) and not row["upper_bound"]
    assert (row["sat_low"], row["sat_high"]) == pytest.approx((np.log(EPS_S), np.log(100)))
    assert sat_interval([], [], [], [], EPS_S).empty


@pytest.mark.parametrize(("up", "down"), [(0, 0), (5, 0), (3, 4), (60, 40), (130, 100), (2600, 2400)])
def test_one_direction_is_mcnemars_test(up, down):
    expected = binomtest(up, up + down, 0.5, "greater").pvalue if up + down else 1.0
    assert sign_flip_p(0, up, down, 0)[0] == pytest.approx(expected, rel=1e-9 if up + down <= 200 else 0.02)
    # Twos alone are the same choice of signs.
    assert sign_flip_p(up, 0, 0, down)[0] == pytest.approx(expected, rel=1e-9 if up + down <= 200 else 0.02)


@pytest.mark.parametrize("counts", [(90, 60, 50, 70), (120, 300, 280, 100)])
def test_many_images_are_normal(counts):
    ones, twos = counts[1] + counts[2], counts[0] + counts[3]
    total = 2 * (counts[0] - counts[3]) + counts[1] - counts[2]
    random = np.random.default_rng(0)
    drawn = 2 * (2 * random.binomial(twos, 0.5, 400_000) - twos) + 2 * random.binomial(ones, 0.5, 400_000) - ones
    assert sign_flip_p(*counts)[0] == pytest.approx(np.mean(drawn >= total), abs=0.003)


def test_ranks_that_intervals_allow():
    found = rank_range([5, 3, 2.9, 1, np.nan], [4, 2.5, 2, 0.5, 0], [6, 3.5, 3, 1.5, 9])
    assert found["rank"].tolist()[:4] == [1, 2, 3, 4]
    assert found["rank_best"].tolist()[:4] == [1, 2, 2, 4]
    assert found["rank_worst"].tolist()[:4] == [1, 3, 3, 4]
    assert found["tied"].tolist()[:4] == [False, True, True, False]
    assert found.loc[4].isna().all()
    # Without intervals nothing is told apart; an interval beside its value is widened to it.
    assert rank_range([2, 1], [np.nan] * 2, [np.nan] * 2)["tied"].all()
    assert rank_range([2, 1], [0.5, 1], [1.5, 1])["rank_worst"].tolist() == [2, 2]


def test_ranks_by_comparing_all_with_all():
    random = np.random.default_rng(3)
    value = random.normal(size=40).round(1)
    low, high = value - random.exponential(0.3, 40).round(1), value + random.exponential(0.3, 40).round(1)
    found = rank_range(value, low, high)
    for i in range(40):
        assert found["rank_best"][i] == 1 + sum(low > high[i])
        assert found["rank_worst"][i] == 40 - sum(high < low[i])
        overlapping = [j for j in range(40) if j != i and low[j] <= high[i] and low[i] <= high[j]]
        assert found["tied"][i] == bool(overlapping)
