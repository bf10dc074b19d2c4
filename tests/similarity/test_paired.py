"""The paired test of two matrices, where the truth is known."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, wilcoxon

from sat.similarity.paired import paired_test
from sat.similarity.resampling import image_scores, weighted_affinity, weighted_sat

SAT = partial(weighted_sat, eps_s=0.01)
NAMES = ("a", "b", "c", "d", "e")


def outcomes(images, seed, rise=0.0):
    """Two studies of the same images: hard images are hard in both; in the second, transfer is `rise` likelier."""
    random = np.random.default_rng(seed)
    hard = random.uniform(0, 0.5, images)
    scores = []
    for more in (0.0, rise):
        correct = random.random((5, images)) < 0.9
        fooled = random.random((5, 5, images)) < np.clip(0.2 + hard + more, 0, 1)
        scores.append(image_scores(NAMES, correct, fooled))
    return scores


def test_equal_studies_have_uniform_p():
    found = [paired_test(*outcomes(60, seed), SAT, draws=99, seed=seed) for seed in range(120)]
    for p in ([one.p_mean for one in found], [one.p_any for one in found], [one.pairs["p"][3] for one in found]):
        # p is a multiple of 1/100.
        assert kstest(np.asarray(p) - 0.005, "uniform").pvalue > 0.01
    falsely = np.mean([(one.pairs["p_adjusted"] <= 0.1).any() for one in found])
    assert falsely <= 0.17


def test_a_shift_is_found_and_its_interval_holds_the_truth():
    inside = []
    for seed in range(40):
        first, second = outcomes(400, seed, rise=0.05)
        found = paired_test(first, second, SAT, draws=199, seed=seed)
        # Without clipping: the mean rate is .45, and .5 with the rise (up to the clip of images above .95).
        inside.append(found.mean[1] <= np.log(0.5 / 0.45) <= found.mean[2])
        assert found.p_any <= found.p_mean + 0.2
    assert np.mean(inside) >= 0.85
    assert found.mean[0] > 0


def test_with_few_images_p_is_that_of_all_swaps():
    first, second = outcomes(8, 3, rise=0.4)
    found = paired_test(first, second, SAT, draws=4000, seed=1)
    count = 0
    for own in product((0, 1), repeat=8):
        keep = np.array(own)
        joined = [np.where(keep, getattr(first, name), getattr(second, name)) for name in ("both", "forth", "back")]
        other = [np.where(keep, getattr(second, name), getattr(first, name)) for name in ("both", "forth", "back")]
        values = []
        for both, forth, back in (joined, other):
            n = both.sum(1)
            rate = 100 * (forth.sum(1) + back.sum(1)) / np.where(n > 0, 2 * n, np.nan)
            values.append(np.log(np.maximum(rate, 0.01)))
        shift = (values[1] - values[0])[1]
        observed = found.pairs["shift"][0]
        count += abs(shift) >= abs(observed) - 1e-9
    assert found.pairs["p"][0] == pytest.approx(count / 256, abs=0.03)


def test_one_direction_of_one_pair_agrees_with_a_signed_rank_test():
    first, second = outcomes(500, 5, rise=0.08)
    found = paired_test(first, second, SAT, draws=999)
    pair = 1
    assert (NAMES[first.first[pair]], NAMES[first.second[pair]]) == tuple(found.pairs.loc[0, ["model_a", "model_b"]])
    # On images that both studies count: outcomes of -1, 0, 1, 2.
    common = (first.both[pair] & second.both[pair]).astype(bool)
    change = sum(getattr(second, way)[pair].astype(int) - getattr(first, way)[pair] for way in ("forth", "back"))
    other = wilcoxon(change[common], zero_method="wilcox").pvalue
    assert (found.pairs["p"][0] < 0.05) == (other < 0.05)


def test_the_same_study_twice_does_not_differ():
    first, _ = outcomes(50, 0)
    found = paired_test(first, first, weighted_affinity, draws=99)
    assert (found.pairs["shift"] == 0).all() and (found.pairs["p"] == 1).all()
    assert found.p_mean == found.p_any == 1


def test_other_images_or_models_are_refused():
    first, _ = outcomes(50, 0)
    with pytest.raises(ValueError, match="same models and images"):
        paired_test(first, outcomes(40, 0)[1], SAT)
