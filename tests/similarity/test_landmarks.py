"""Estimates from landmarks, where the truth is known."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from sat.similarity.landmarks import draw_landmarks, error_by_count, error_table, estimate_pairs, landmarks_for

RELEASED = Path(os.environ.get("SAT_REFERENCE", "absent")) / "SAT_release.csv"


def frame(square):
    names = [f"m{place:03d}" for place in range(len(square))]
    return pd.DataFrame(square, names, names)


def simulated(n, seed, sd=0.25, boost=0.8, families=4):
    """Levels of models, a boost within families, and what belongs to one pair alone."""
    random = np.random.default_rng(seed)
    level, family = random.normal(0, 0.5, n), random.integers(0, families, n)
    alone = np.triu(random.normal(0, sd, (n, n)), 1)
    square = level[:, None] + level + boost * (family[:, None] == family) + alone + alone.T
    return frame(square), family


def unmeasured(matrix, landmarks):
    """The matrix without the pairs that have no landmark."""
    known = np.isin(matrix.index, landmarks)
    return matrix.where(known[:, None] | known[None, :] | np.eye(len(matrix), dtype=bool))


def off(matrix, landmarks):
    """Pairs without a landmark, once each."""
    others = ~np.isin(matrix.index, landmarks)
    return np.nonzero(np.triu(np.outer(others, others), 1))


def test_levels_alone_are_estimated_exactly():
    level = np.random.default_rng(0).normal(size=20)
    truth = frame(level[:, None] + level)
    landmarks = list(truth.index[::3])
    found = estimate_pairs(unmeasured(truth, landmarks), landmarks)
    np.testing.assert_allclose(found.matrix, truth, atol=1e-9)
    assert found.half < 1e-9


def test_what_is_measured_stays_as_it_is_and_the_rest_of_the_input_is_not_read():
    truth, _ = simulated(30, 0)
    landmarks = list(truth.index[:10])
    hidden = unmeasured(truth, landmarks)
    found = estimate_pairs(hidden, landmarks)
    pd.testing.assert_frame_equal(found.matrix.mask(found.estimated), hidden)
    assert found.estimated.to_numpy().sum() == 20 * 19 and not np.diag(found.estimated).any()
    assert found.matrix.notna().all(axis=None)
    pd.testing.assert_frame_equal(found.matrix, found.matrix.T)
    pd.testing.assert_frame_equal(estimate_pairs(truth, landmarks).matrix, found.matrix)


def test_estimates_are_those_of_a_ridge_regression_of_another_library():
    truth, _ = simulated(25, 1)
    landmarks = list(truth.index[5:17])
    found = estimate_pairs(unmeasured(truth, landmarks), landmarks)
    # The effects, by least squares over a list of pairs.
    pairs = [(a, b) for a in truth.index for b in truth.index if a < b and (a in landmarks or b in landmarks)]
    design = np.array([[name in pair for name in truth.index] for pair in pairs], float)
    effect = pd.Series(np.linalg.lstsq(design, [truth.loc[pair] for pair in pairs], rcond=None)[0], truth.index)
    rest = truth.sub(effect, axis=0).sub(effect, axis=1)
    profiles = rest[landmarks].copy()
    for name in landmarks:
        profiles.loc[name, name] = 0.0
    own = profiles.loc[landmarks].to_numpy()
    for a, b in [(truth.index[0], truth.index[2]), (truth.index[3], truth.index[24])]:
        halves = []
        for one, other in ((a, b), (b, a)):
            ridge = Ridge(alpha=found.penalty, fit_intercept=False).fit(own.T, profiles.loc[one])
            halves.append(ridge.coef_ @ profiles.loc[other])
        assert found.matrix.loc[a, b] == pytest.approx(effect[a] + effect[b] + np.mean(halves), abs=1e-8)


def test_a_left_out_error_is_what_an_estimate_without_that_landmark_misses_by():
    truth, _ = simulated(20, 2)
    landmarks = list(truth.index[:8])
    found = estimate_pairs(unmeasured(truth, landmarks), landmarks)
    left, *others = landmarks
    without = unmeasured(truth, others)
    # With one penalty to choose from, both choose the same.
    import sat.similarity.landmarks as module

    before = module.PENALTIES
    module.PENALTIES = (found.penalty,)
    try:
        alone = estimate_pairs(without, others)
    finally:
        module.PENALTIES = before
    far = truth.index[12]
    assert found.errors.loc[left, far] == pytest.approx(truth.loc[left, far] - alone.matrix.loc[left, far], abs=1e-9)


@pytest.mark.parametrize("families", [1, 4, 30])
def test_intervals_hold_what_a_measurement_would_give_as_often_as_they_say(families):
    inside = []
    for seed in range(12):
        truth, _ = simulated(60, seed, families=families)
        landmarks = draw_landmarks(dict.fromkeys(truth.index, "all"), 16, seed)
        found = estimate_pairs(unmeasured(truth, landmarks), landmarks, 0.9)
        a, b = off(truth, landmarks)
        inside.append(np.abs(truth.to_numpy() - found.matrix.to_numpy())[a, b] <= found.half)
    assert 0.88 <= np.concatenate(inside).mean() <= 0.93


def test_a_pair_without_a_common_image_is_left_out_of_the_fit():
    truth, _ = simulated(30, 3)
    landmarks = list(truth.index[:10])
    hidden = unmeasured(truth, landmarks)
    hidden.iloc[0, 20] = hidden.iloc[20, 0] = np.nan
    found = estimate_pairs(hidden, landmarks)
    assert np.isnan(found.matrix.iloc[0, 20]) and found.matrix.isna().to_numpy().sum() == 2


def test_models_unlike_all_landmarks_are_flagged():
    truth, _ = simulated(40, 4, sd=0.1)
    families = {name: "two" if place >= 37 else "one" for place, name in enumerate(truth.index)}
    landmarks = list(truth.index[:12])
    # Its pairs follow no pattern.
    odd = truth.index[30]
    noise = np.random.default_rng(0).normal(0, 1.5, 40)
    truth[odd] += noise
    truth.loc[odd] += noise
    found = error_table(estimate_pairs(unmeasured(truth, landmarks), landmarks), families, landmarks)
    found = found.set_index("model")
    assert set(found.index[found["unlike"]]) == {odd, *truth.index[37:]}
    assert not found.loc[landmarks, "unlike"].any()
    assert (found["n_left_out"] == [28 if name in landmarks else 12 for name in found.index]).all()


def test_landmarks_are_drawn_in_proportion_to_the_families():
    families = {f"m{place}": "abcd"[min(place // 20, 3)] for place in range(70)}
    drawn = [draw_landmarks(families, 14, seed) for seed in range(300)]
    for names in drawn:
        assert len(set(names)) == 14
        counts = Counter(families[name] for name in names)
        # A fifth of 20, 20, 20 and 10.
        assert all(abs(counts[family] - size / 5) <= 1 for family, size in zip("abcd", (20, 20, 20, 10), strict=True))
    shares = Counter(name for names in drawn for name in names)
    assert len(shares) == 70 and max(shares.values()) < 100 and min(shares.values()) > 30
    assert draw_landmarks(families, 14, 5) == draw_landmarks(dict(reversed(families.items())), 14, 5)


@pytest.mark.skipif(not RELEASED.exists(), reason="SAT_REFERENCE names no folder with the released matrix")
def test_the_released_matrix_is_estimated_as_docs_say():
    matrix = pd.read_csv(RELEASED, index_col=0)
    matrix = (matrix + matrix.T) / 2
    explained, inside = [], []
    for seed in range(10):
        landmarks = draw_landmarks(dict.fromkeys(matrix.index, "all"), 24, seed)
        found = estimate_pairs(unmeasured(matrix, landmarks), landmarks)
        a, b = off(matrix, landmarks)
        truth, guess = matrix.to_numpy()[a, b], found.matrix.to_numpy()[a, b]
        explained.append(1 - np.square(truth - guess).sum() / np.square(truth - truth.mean()).sum())
        inside.append(np.abs(truth - guess) <= found.half)
    assert np.mean(explained) > 0.78
    assert 0.93 < np.concatenate(inside).mean() < 0.98


def test_fewer_landmarks_would_have_had_larger_errors_and_all_but_one_those_that_are_left_out():
    truth, _ = simulated(60, 6)
    landmarks = list(truth.index[::3])
    hidden = unmeasured(truth, landmarks)
    found = estimate_pairs(hidden, landmarks)
    fewer = error_by_count(hidden, landmarks, found.penalty)
    assert list(fewer) == [5, 10, 15]
    assert fewer[5] > fewer[10] > fewer[15] > 0.95 * found.error


@pytest.mark.parametrize(("wanted", "count"), [(0.4, 4), (0.2, 16), (0.1, 64), (0.05, 256)])
def test_a_power_law_is_continued_exactly(wanted, count):
    # 0.8 / sqrt(K); rounding may ask for one more.
    assert landmarks_for(wanted, {k: 0.8 / k**0.5 for k in (6, 12, 18, 24)}) in (count, count + 1)


@pytest.mark.parametrize("errors", [{8: 0.2}, {8: 0.2, 16: 0.2}, {8: 0.2, 16: 0.3}, {}, {8: 0.2, 16: 0.19999}])
def test_errors_that_do_not_fall_say_no_number(errors):
    assert landmarks_for(0.1, errors) is None


def test_a_number_that_is_said_from_few_landmarks_gives_about_the_wanted_error():
    # Likeness of 8 families: more landmarks estimate it better, down to what belongs to one pair alone.
    truth, _ = simulated(150, 3, sd=0.1, families=8)
    random = np.random.default_rng(0)

    def error(count):
        squares = []
        for _ in range(5):
            landmarks = sorted(random.choice(truth.index, count, replace=False))
            found = estimate_pairs(unmeasured(truth, landmarks), landmarks)
            squares.append(np.square((found.matrix - truth).to_numpy()[off(truth, landmarks)]).mean())
        return np.sqrt(np.mean(squares))

    wanted, said = error(40), []
    for _ in range(5):
        landmarks = sorted(random.choice(truth.index, 24, replace=False))
        found = estimate_pairs(unmeasured(truth, landmarks), landmarks)
        errors = {**error_by_count(truth, landmarks, found.penalty), 24: found.error}
        said.append(landmarks_for(wanted, errors) or np.inf)
    assert 40 / 3 <= np.median(said) <= 40 * 3, said
