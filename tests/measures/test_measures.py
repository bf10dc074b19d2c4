"""Each measure against an independent reference."""

from functools import partial

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import jensenshannon, pdist
from scipy.special import softmax
from scipy.stats import spearmanr, t
from sklearn.metrics import cohen_kappa_score

from pools import CLASSES, pool
from sat.measures import cka, jensen_shannon, mutual_neighbours, procrustes, rsa
from sat.measures.matrix import similarity, similarity_interval, similarity_matrix
from sat.units import declarations

MEASURES = declarations("measures")


def test_logits_have_the_same_classes():
    with pytest.raises(ValueError, match="do not fit together"):
        similarity("jensen_shannon", np.zeros((5, 3)), np.zeros((5, 4)))


def test_an_unknown_name_is_told_the_names():
    arrays, _ = pool("feature")
    with pytest.raises(ValueError, match="'CKA'; there are agreement, cka, "):
        similarity_matrix("CKA", arrays)


def test_agreement_is_counted():
    assert similarity("agreement", np.array([1, 2, 3, 0]), np.array([1, 2, 0, 3])) == 0.5


def test_error_consistency_against_scikit_learn():
    arrays, labels = pool("prediction", n=200)
    matrix = similarity_matrix("error_consistency", arrays, labels)
    for a in arrays:
        for b in arrays:
            expected = cohen_kappa_score(arrays[a] == labels, arrays[b] == labels)
            assert matrix.loc[a, b] == pytest.approx(expected, abs=1e-12)


def test_error_consistency_without_room_above_chance_is_nan():
    labels = np.arange(CLASSES)
    kappa = partial(similarity, "error_consistency")
    assert np.isnan(kappa(labels, labels, labels))
    assert np.isnan(kappa(labels + 1, labels + 2, labels))
    # Always right against always wrong: chance expects no agreement, and there is none.
    assert kappa(labels, labels + 1, labels) == 0


def test_independent_errors_have_no_consistency():
    random = np.random.default_rng(0)
    labels = np.zeros(200_000, int)
    a, b = (random.random((2, len(labels))) > np.array([[0.9], [0.6]])).astype(int)
    assert similarity("error_consistency", a, b, labels) == pytest.approx(0, abs=0.01)


def test_jensen_shannon_against_scipy():
    arrays, _ = pool("probability")
    matrix = similarity_matrix("jensen_shannon", arrays)
    for a in arrays:
        for b in arrays:
            p, q = (softmax(arrays[name].astype(float), axis=1) for name in (a, b))
            assert matrix.loc[a, b] == pytest.approx(1 - np.mean(jensenshannon(p, q, axis=1, base=2) ** 2), abs=1e-12)


def test_jensen_shannon_ends_and_extreme_logits():
    sure = np.array([[65504, -65504, 0], [-65504, 65504, 0]], np.float16)
    assert similarity("jensen_shannon", sure, sure[::-1]) == 0
    assert similarity("jensen_shannon", sure, sure) == 1
    # Infinite halves would be lost in half precision; the sums are made in double precision.
    many = np.tile(np.array([[0, 10, -10]], np.float16), (50_000, 1))
    assert similarity("jensen_shannon", many, many) == 1


def slow_hsic(x, y):
    """Song et al. (2012), Eq. 5, term by term."""
    n = len(x)
    k, m = ([[0.0 if i == j else float(z[i] @ z[j]) for j in range(n)] for i in range(n)] for z in (x, y))
    trace = sum(k[i][j] * m[j][i] for i in range(n) for j in range(n))
    total = sum(map(sum, k)) * sum(map(sum, m))
    both = sum(k[i][j] * m[j][h] for i in range(n) for j in range(n) for h in range(n))
    return (trace + total / ((n - 1) * (n - 2)) - 2 * both / (n - 2)) / (n * (n - 3))


@pytest.mark.parametrize("n", [4, 9, 20])
def test_cka_against_a_slow_loop(n, monkeypatch):
    monkeypatch.setattr(cka, "GRAM", 6)
    random = np.random.default_rng(n)
    x = random.normal(size=(n, 12)) + 3
    y = x[:, :5] + random.normal(size=(n, 5))
    expected = slow_hsic(x, y) / np.sqrt(slow_hsic(x, x) * slow_hsic(y, y))
    assert similarity("cka", x, y) == pytest.approx(expected, abs=1e-10)


def biased_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def test_independent_features_are_not_alike_even_where_they_are_more_than_the_images():
    found, biased = [], []
    for seed in range(20):
        x, y = np.random.default_rng(seed).normal(size=(2, 50, 400))
        found.append(similarity("cka", x, y))
        biased.append(biased_cka(x, y))
    assert np.mean(found) == pytest.approx(0, abs=0.02)
    assert min(biased) > 0.8


def test_both_estimators_meet_where_images_are_many():
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 6))
    y = x @ random.normal(size=(6, 4)) + random.normal(size=(3000, 4))
    assert similarity("cka", x, y) == pytest.approx(biased_cka(x, y), abs=0.005)


def test_cka_ignores_rotation_scale_and_origin():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 40, 8))
    rotation = np.linalg.qr(random.normal(size=(8, 8)))[0]
    assert similarity("cka", x, 7 * x @ rotation + 100) == pytest.approx(1, abs=1e-12)
    assert similarity("cka", x @ rotation - 5, y) == pytest.approx(similarity("cka", x, y), abs=1e-12)


def test_equally_distant_features_have_no_variance_to_align():
    x = np.random.default_rng(0).normal(size=(6, 3))
    assert np.isnan(similarity("cka", np.eye(6) * 0.1, x))


@pytest.mark.parametrize(
    ("name", "module", "size"), [("jensen_shannon", jensen_shannon, "LOGITS"), ("cka", cka, "GRAM")]
)
def test_slices_give_the_same(name, module, size, monkeypatch):
    arrays, _ = pool(module.UNIT.needs)
    whole = similarity_matrix(name, arrays)
    monkeypatch.setattr(module, size, 13)
    np.testing.assert_allclose(similarity_matrix(name, arrays), whole, rtol=0, atol=1e-12)


def test_cka_of_models_that_tell_nothing_apart():
    arrays, _ = pool("feature")
    constant = np.broadcast_to(arrays["m1"][:1], arrays["m1"].shape)
    matrix = similarity_matrix("cka", {"m0": arrays["m0"], "c1": constant, "c2": constant})
    # No variance, so no alignment; and only theirs.
    assert matrix.loc["m0", "m0"] == pytest.approx(1)
    assert matrix.isna().to_numpy().sum() == 8


@pytest.mark.parametrize("name", ["agreement", "error_consistency", "jensen_shannon"])
def test_a_constant_prediction_agrees_with_itself(name):
    arrays, labels = pool(MEASURES[name].needs)
    constant = np.broadcast_to(arrays["m1"][:1], arrays["m1"].shape)
    matrix = similarity_matrix(name, {"m0": arrays["m0"], "c1": constant, "c2": constant}, labels)
    assert matrix.loc["c1", "c2"] == pytest.approx(1)
    assert matrix.notna().all().all()


def interval(name, arrays, labels=None, seed=0):
    """Similarity of the first two models, and its 95 % interval."""
    whole = similarity_matrix(name, arrays, labels)
    low, high = similarity_interval(name, whole, arrays, labels, 0.95, np.random.default_rng(seed))
    return whole.iloc[0, 1], low.iloc[0, 1], high.iloc[0, 1]


@pytest.mark.parametrize("name", ["jensen_shannon", "error_consistency", "cka"])
def test_with_20_images_the_jackknife_leaves_out_each_in_turn(name):
    arrays, labels = pool(MEASURES[name].needs, n=20, models=2)
    x, y = arrays.values()
    without = np.array([similarity(name, *(np.delete(z, i, axis=0) for z in (x, y, labels))) for i in range(20)])
    error = np.sqrt(19 / 20 * np.sum((without - without.mean()) ** 2))
    value, low, high = interval(name, arrays, labels)
    half = t.ppf(0.975, 19) * error / (1 - without.mean())
    assert np.log([1 - low, 1 - high]) == pytest.approx(np.log(1 - value) + np.array([half, -half]))


def drawn(random, n, kind):
    """Two models that share a part of what they see, on images drawn anew."""
    labels = random.integers(CLASSES, size=n)
    shared = random.normal(size=(n, CLASSES))
    logits = [2.5 * np.eye(CLASSES)[labels] + 0.7 * (shared + random.normal(size=(n, CLASSES))) for _ in range(2)]
    return {f"m{place}": z.argmax(1) if kind == "prediction" else z for place, z in enumerate(logits)}, labels


@pytest.mark.parametrize("name", ["agreement", "error_consistency", "jensen_shannon", "cka"])
def test_intervals_cover_the_value_of_all_images(name):
    random = np.random.default_rng(1)
    kind = MEASURES[name].needs
    truth = similarity(name, *(parts := drawn(random, 6000 if name == "cka" else 200_000, kind))[0].values(), parts[1])
    found = [interval(name, *drawn(random, 150, kind), seed) for seed in range(60)]
    covered = np.mean([low <= truth <= high for _, low, high in found])
    # Three standard errors of 60 draws below 0.95; an interval that is never missed would be too wide.
    assert covered >= 0.86
    assert np.mean([high - low for _, low, high in found]) < 6 * np.std([value for value, *_ in found])


def test_a_part_of_the_images_gives_the_spread_of_all(monkeypatch):
    arrays, _ = drawn(np.random.default_rng(0), 800, "probability")
    width = [np.ptp(interval("jensen_shannon", arrays, seed=seed)[1:]) for seed in range(12)]
    monkeypatch.setattr("sat.measures.matrix.MOST_RESAMPLED", 200)
    scaled = [np.ptp(interval("jensen_shannon", arrays, seed=seed)[1:]) for seed in range(12)]
    assert np.mean(scaled) == pytest.approx(np.mean(width), rel=0.2)


def test_where_there_is_no_interval():
    arrays, labels = pool("prediction")
    same = {"a": arrays["m0"], "b": arrays["m0"]}
    # A share has one even where two models never differ.
    assert 0.9 < interval("agreement", same)[1] < interval("agreement", same)[2] == 1
    assert np.isnan(interval("error_consistency", same, labels)[1:]).all()
    right = {"a": labels, "b": labels}
    assert np.isnan(interval("error_consistency", right, labels)).all()
    few, _ = pool("feature", n=4)
    assert np.isnan(interval("cka", few)[1:]).all(), "three images are too few for the measure itself"


def features_of(n, *widths, seed=0, noise=1.0):
    """Features of several models that see the same three things in every image."""
    random = np.random.default_rng(seed)
    common = random.normal(size=(n, 3))
    return [common @ random.normal(size=(3, d)) + noise * random.normal(size=(n, d)) + 2 for d in widths]


def test_rsa_against_scipy():
    x, y = features_of(40, 12, 7)
    expected = spearmanr(pdist(x, "correlation"), pdist(y, "correlation"))[0]
    assert similarity("rsa", x, y) == pytest.approx(expected, abs=1e-12)
    assert similarity("rsa", x, 3 * x + 5) == pytest.approx(1, abs=1e-12)


def test_rsa_of_many_images_takes_some_from_everywhere(monkeypatch):
    x, y = features_of(300, 12, 7)
    whole = similarity("rsa", x, y)
    monkeypatch.setattr(rsa, "MOST", 150)
    kept = np.linspace(0, 299, 150).round().astype(int)
    part = similarity("rsa", x, y)
    assert part == pytest.approx(spearmanr(pdist(x[kept], "correlation"), pdist(y[kept], "correlation"))[0], abs=1e-12)
    assert part == pytest.approx(whole, abs=0.05)


def shape_distance(x, y):
    """Smallest distance of two shapes over rotations, with zeros for missing features."""
    width = max(x.shape[1], y.shape[1])
    x, y = (np.pad(z - z.mean(0), [(0, 0), (0, width - z.shape[1])]) for z in (x, y))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    rotation, _ = orthogonal_procrustes(x, y)
    return np.linalg.norm(x @ rotation - y)


@pytest.mark.parametrize("widths", [(6, 6), (12, 5), (5, 12)])
def test_procrustes_against_scipy(widths):
    x, y = features_of(50, *widths)
    assert similarity("procrustes", x, y) == pytest.approx(1 - shape_distance(x, y) ** 2 / 2, abs=1e-12)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(widths[0], widths[0])))[0]
    assert similarity("procrustes", x, 4 * x @ rotation - 7) == pytest.approx(1, abs=1e-12)


def test_procrustes_of_leading_components(monkeypatch):
    x, y = features_of(200, 30, 20, noise=0.05)
    whole = similarity("procrustes", x, y)
    monkeypatch.setattr(procrustes, "MOST", 3)
    cut = []
    for z in (x, y):
        u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
        cut.append(u[:, :3] * s[:3] / np.linalg.norm(s[:3]))
    expected = np.linalg.norm(cut[0].T @ cut[1], "nuc")
    assert similarity("procrustes", x, y) == pytest.approx(expected, abs=1e-12)
    assert expected == pytest.approx(whole, abs=0.02), "what is cut is nearly nothing"
    # What is cut of features of equal variances is much, and a rotation still changes nothing.
    x = np.random.default_rng(0).normal(size=(200, 30))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(30, 30)))[0]
    assert similarity("procrustes", x, x @ rotation) == pytest.approx(1, abs=1e-9)


def test_mutual_neighbours_against_a_slow_loop(monkeypatch):
    monkeypatch.setattr(mutual_neighbours, "ROWS", 7)
    x, y = features_of(40, 12, 7)

    def near(z, i):
        cosine = [z[i] @ z[j] / np.linalg.norm(z[i]) / np.linalg.norm(z[j]) for j in range(40)]
        return set(sorted((j for j in range(40) if j != i), key=lambda j: -cosine[j])[:10])

    expected = np.mean([len(near(x, i) & near(y, i)) / 10 for i in range(40)])
    assert similarity("mutual_neighbours", x, y) == pytest.approx(expected, abs=1e-12)
    assert 10 / 39 < expected < 1


def test_mutual_neighbours_of_independent_features_are_chance():
    random = np.random.default_rng(0)
    found = [similarity("mutual_neighbours", *random.normal(size=(2, 100, 8))) for _ in range(40)]
    assert np.mean(found) == pytest.approx(10 / 99, abs=0.005)


def test_input_gradients_against_a_slow_loop():
    random = np.random.default_rng(0)
    x, y, z = random.normal(size=(3, 20, 48))
    x[3] = y[5] = z[:] = 0
    cosine = [x[i] @ y[i] / np.linalg.norm(x[i]) / np.linalg.norm(y[i]) for i in range(20) if i not in (3, 5)]
    matrix = similarity_matrix("input_gradients", {"x": x, "y": 100 * y, "z": z})
    assert matrix.loc["x", "y"] == pytest.approx(np.mean(cosine), abs=1e-12)
    assert matrix["z"].isna().all(), "no image has a gradient"
    assert similarity("input_gradients", x, -x) == pytest.approx(-1, abs=1e-12)
    with pytest.raises(ValueError, match="do not fit together"):
        similarity("input_gradients", x, y[:, :40])


@pytest.mark.parametrize("name", ["rsa", "procrustes", "mutual_neighbours"])
def test_features_that_tell_nothing_apart_have_no_geometry(name):
    arrays, _ = pool("feature")
    constant = np.broadcast_to(arrays["m1"][:1], arrays["m1"].shape)
    matrix = similarity_matrix(name, {"m0": arrays["m0"], "c1": constant, "c2": constant})
    assert matrix.loc["m0", "m0"] == pytest.approx(1)
    assert matrix.isna().to_numpy().sum() == 8
