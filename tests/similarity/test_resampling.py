import math
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sat.seeds import generator
from sat.similarity import resampling
from sat.similarity.affinity import fit_affinity
from sat.similarity.resampling import (
    bootstrap,
    curve_sizes,
    enough_images,
    image_scores,
    matrix_statistics,
    pair_differences,
    rank_stability,
    stability_curve,
    weighted_affinity,
    weighted_sat,
)

EPS_S = 0.01
SAT = partial(weighted_sat, eps_s=EPS_S)


def predictions(models=4, images=40, seed=0, transfer=None):
    random = np.random.default_rng(seed)
    transfer = 0.4 if transfer is None else transfer[:, :, None]
    correct = random.random((models, images)) < 0.8
    return correct, random.random((models, models, images)) < transfer


def scores(*arguments, **options):
    correct, fooled = predictions(*arguments, **options)
    return image_scores([f"m{i}" for i in range(len(correct))], correct, fooled)


def brute_force(correct, fooled, a, b, drawn):
    """The formula, image by image, over a list of images that may hold one several times."""
    total, count = 0, 0
    for i in drawn:
        if correct[a, i] and correct[b, i]:
            count += 1
            total += int(fooled[a, b, i]) + int(fooled[b, a, i])
    return math.log(max(EPS_S, 100 * total / (2 * count))) if count else math.nan


@pytest.mark.parametrize("block", [3, 256])
def test_weights_against_a_double_loop(monkeypatch, block):
    monkeypatch.setattr(resampling, "BLOCK", block)
    correct, fooled = predictions(seed=1)
    fooled[0, 1] = fooled[1, 0] = False
    random = np.random.default_rng(2)
    drawn = [random.integers(0, 40, size) for size in (40, 40, 5, 1)]
    found = weighted_sat(
        image_scores(list("abcd"), correct, fooled), [np.bincount(images, minlength=40) for images in drawn], EPS_S
    )
    pairs = [(a, b) for a in range(4) for b in range(a, 4)]
    expected = [[brute_force(correct, fooled, a, b, images) for a, b in pairs] for images in drawn]
    assert np.allclose(found, expected, equal_nan=True, atol=1e-12)
    assert np.isnan(found).any(), "one image is not always correct for both"


def test_affinity_with_weights_against_counting_directions():
    """Least squares of log-odds that are counted image by image; a replicate without a common image has none there."""
    correct, fooled = predictions(6, 40, seed=4)
    random = np.random.default_rng(5)
    # The last draw is of images on which the first model errs.
    drawn = [random.integers(0, 40, size) for size in (40, 40)] + [np.flatnonzero(~correct[0])]
    given = image_scores(list("abcdef"), correct, fooled)
    found = weighted_affinity(given, [np.bincount(images, minlength=40) for images in drawn])
    for row, images in zip(found, drawn, strict=True):
        odds = np.full((6, 6), np.nan)
        for a, b in product(range(6), range(6)):
            both = [i for i in images if correct[a, i] and correct[b, i]]
            hits = sum(int(fooled[a, b, i]) for i in both)
            if both:
                odds[a, b] = math.log((hits + 0.5) / (len(both) - hits + 0.5))
        expected = fit_affinity(pd.DataFrame((odds + odds.T) / 2)).matrix.to_numpy()
        assert np.allclose(given.square(row), expected, atol=1e-10, equal_nan=True)
    assert np.isfinite(found[0]).sum() == 15 and np.isnan(found[2]).all()


def test_affinity_is_drawn_on_the_same_images_as_sat():
    given = scores(5, 60)
    sat, affinity = (bootstrap(given, measure, 3, seed=2) for measure in (SAT, weighted_affinity))
    weights = generator("bootstrap over images", 2).multinomial(60, np.full(60, 1 / 60), size=3)
    assert np.array_equal(sat.replicates, SAT(given, weights))
    assert np.array_equal(affinity.replicates, weighted_affinity(given, weights), equal_nan=True)
    table = matrix_statistics(affinity).set_index("statistic")
    assert table.loc["mean", ["value", "low", "high"]].abs().max() < 1e-12 and table.loc["sd", "value"] > 0


def test_replicates_resample_images_for_all_models_at_once():
    correct, fooled = predictions()
    drawn = bootstrap(image_scores(list("abcd"), correct, fooled), SAT, 5, seed=3)
    weights = generator("bootstrap over images", 3).multinomial(40, np.full(40, 1 / 40), size=5)
    images = np.repeat(np.arange(40), weights[4])
    matrix = drawn.matrix(4)
    assert matrix.equals(matrix.T)
    for a in range(4):
        for b in range(4):
            assert matrix.iloc[a, b] == pytest.approx(brute_force(correct, fooled, a, b, images))
    assert drawn.measured[0] == pytest.approx(brute_force(correct, fooled, 0, 0, range(40)))


def test_same_seed_same_numbers_and_a_longer_run_begins_with_the_shorter():
    given = scores()
    long, short = bootstrap(given, SAT, 20), bootstrap(given, SAT, 7)
    assert np.array_equal(long.replicates[:7], short.replicates, equal_nan=True)
    assert not np.array_equal(short.replicates, bootstrap(given, SAT, 7, seed=1).replicates)
    curve = stability_curve(given, [5, 10], SAT, 4)
    assert curve.equals(stability_curve(given, [10, 5], SAT, 4))


def test_intervals_are_as_wide_as_images_vary():
    """The bootstrap's standard error of one entry against that of the mean of independent images."""
    correct, fooled = np.ones((2, 900), bool), predictions(2, 900)[1]
    drawn = bootstrap(image_scores(["a", "b"], correct, fooled), SAT, 2000)
    score = (fooled[0, 1].astype(float) + fooled[1, 0]) / 2
    assert drawn.replicates[:, 1].std() == pytest.approx(score.std() / score.mean() / 30, rel=0.08)


def test_matrix_statistics():
    transfer = np.where(np.arange(6)[:, None] // 3 == np.arange(6) // 3, 0.6, 0.2)
    drawn = bootstrap(scores(6, 400, transfer=transfer), SAT, 200)
    families = {f"m{i}": "left" if i < 3 else "right" for i in range(6)}
    table = matrix_statistics(drawn, families).set_index("statistic")
    off = drawn.measured[drawn.off_diagonal]
    same = np.array([True, True, False, False, False] + [True] + [False] * 6 + [True] * 3)
    assert table["n_pairs"].to_dict() == {"mean": 15, "sd": 15, "within": 6, "across": 9, "within_minus_across": 15}
    assert table.loc["mean", "value"] == pytest.approx(off.mean())
    assert table.loc["sd", "value"] == pytest.approx(off.std())
    assert table.loc["within", "value"] == pytest.approx(off[same].mean())
    assert table.loc["within_minus_across", "value"] == pytest.approx(off[same].mean() - off[~same].mean())
    assert table.loc["within_minus_across", "low"] > 0
    by_hand = np.quantile([row[drawn.off_diagonal].mean() for row in drawn.replicates], [0.025, 0.975])
    assert table.loc["mean", ["low", "high"]].tolist() == pytest.approx(by_hand.tolist())
    assert "within" not in set(matrix_statistics(drawn)["statistic"])


def test_unknown_families_and_missing_pairs():
    correct, fooled = predictions(3, 30)
    correct[0, :15], correct[1, 15:] = False, False
    drawn = bootstrap(image_scores(list("abc"), correct, fooled), SAT, 20)
    table = matrix_statistics(drawn, {"a": "one", "b": "two"}).set_index("statistic")
    assert table.loc["mean", "n_pairs"] == 2 and np.isfinite(table.loc["mean", "value"])
    assert table.loc["across", "n_pairs"] == 0 and table.loc["across"].iloc[1:].isna().all()
    assert pair_differences(drawn, [(("a", "b"), ("a", "c"))])["verdict"].tolist() == ["unknown"]


def test_differences_between_pairs():
    transfer = np.full((4, 4), 0.3)
    transfer[0, 1] = transfer[1, 0] = 0.6
    drawn = bootstrap(scores(4, 600, transfer=transfer), SAT, 400)
    asked = [(("m0", "m1"), ("m2", "m3")), (("m3", "m2"), ("m1", "m0")), (("m0", "m2"), ("m2", "m0"))]
    table = pair_differences(drawn, asked)
    assert table["verdict"].tolist() == ["first", "second", "tie"]
    assert table["difference"][0] == pytest.approx(drawn.measured[1] - drawn.measured[8])
    assert table["low"][0] == pytest.approx(-table["high"][1])
    assert table.loc[2, ["difference", "low", "high"]].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="m9 is not a model"):
        pair_differences(drawn, [(("m0", "m9"), ("m2", "m3"))])


def test_comparing_on_the_same_images_is_sharper_than_on_different_ones():
    random = np.random.default_rng(0)
    hard = random.normal(size=500)
    fooled = hard + 0.3 * random.normal(size=(3, 3, 500)) > 0.5
    drawn = bootstrap(image_scores(list("abc"), np.ones((3, 500), bool), fooled), SAT, 500)
    ab, ac = drawn.replicates[:, 1], drawn.replicates[:, 2]
    assert (ab - ac).std() < 0.5 * np.hypot(ab.std(), ac.std())


def test_rank_stability_against_scipy():
    drawn = bootstrap(scores(5, 60), SAT, 5)
    sat, off = drawn.replicates, drawn.off_diagonal
    table = rank_stability(drawn).set_index("between")
    assert table["n"].to_dict() == {"replicates": 2, "measured": 5}
    expected = [spearmanr(sat[i][off], sat[i + 1][off]).statistic for i in (0, 2)]
    assert table.loc["replicates", "mean"] == pytest.approx(np.mean(expected))
    assert table.loc["measured", "mean"] == pytest.approx(
        np.mean([spearmanr(row[off], drawn.measured[off]).statistic for row in sat])
    )


def test_more_images_make_a_matrix_more_stable():
    random = np.random.default_rng(1)
    transfer = random.uniform(0.1, 0.6, (12, 12))
    curve = stability_curve(scores(12, 4000, transfer=transfer), [50, 200, 2000, 2001, 0], SAT, 10)
    assert curve["images"].tolist() == [50, 200, 2000], "two disjoint samples of 2,001 images are not there"
    assert curve["mean"].is_monotonic_increasing and curve["mean"].iloc[-1] > 0.9
    assert ((curve["p05"] <= curve["mean"]) & (curve["mean"] <= curve["p95"])).all()
    assert enough_images(curve, 0.9) == 200
    assert enough_images(curve, 0.95) == 2000
    assert enough_images(curve, 0.9999) is None


def test_without_structure_no_number_of_images_is_enough():
    curve = stability_curve(scores(12, 1000), [100, 500], SAT, 10)
    assert curve["mean"].abs().max() < 0.2


@pytest.mark.parametrize("images", [0, 1, 2, 3, 19, 20, 48, 700, 5000])
def test_sizes_of_the_curve_end_at_half_the_images(images):
    sizes = curve_sizes(images)
    assert sizes == sorted(set(sizes)) and len(sizes) <= 12
    if images < 2:
        assert sizes == []
    else:
        assert sizes[-1] == images // 2 and sizes[0] == min(10, images // 2)


def test_a_single_lucky_size_does_not_count():
    curve = pd.DataFrame({"images": [100, 200, 400, 800], "p05": [0.95, 0.8, 0.91, 0.97]})
    assert enough_images(curve, 0.9) == 400
    assert enough_images(curve.iloc[:0], 0.9) is None


def test_two_models_have_no_rank_correlation_and_no_image_is_an_error():
    drawn = bootstrap(scores(2, 30), SAT, 4)
    assert rank_stability(drawn)["mean"].isna().all()
    assert matrix_statistics(drawn).set_index("statistic").loc["sd", "value"] == 0
    with pytest.raises(ValueError, match="0 images"):
        bootstrap(scores(2, 0), SAT)
