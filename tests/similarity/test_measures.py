"""One contract for all measures, then each against an independent reference."""

import h5py
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from sklearn.metrics import cohen_kappa_score

from sat.similarity import measures
from sat.similarity.measures import MEASURES, measure

CLASSES = 7


def pool(needs, n=60, models=4, seed=0):
    """Models that are more alike the nearer they are in order, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(CLASSES, size=n)
    logits = np.cumsum(random.normal(size=(models, n, CLASSES)), axis=0) + 2 * np.eye(CLASSES)[labels]
    if needs == "prediction":
        arrays = logits.argmax(2).astype(np.int16)
    elif needs == "probability":
        arrays = logits.astype(np.float16)
    else:
        arrays = [row @ random.normal(size=(CLASSES, 5 + place)) for place, row in enumerate(logits)]
    return {f"m{place}": array for place, array in enumerate(arrays)}, labels


@pytest.fixture(params=sorted(MEASURES))
def each(request):
    return MEASURES[request.param]


def test_symmetric_and_greatest_for_itself(each):
    arrays, labels = pool(each.needs)
    matrix = each.matrix(arrays, labels).to_numpy()
    assert np.array_equal(matrix, matrix.T)
    assert np.diag(matrix) == pytest.approx(1, abs=1e-12)
    assert (matrix[~np.eye(4, dtype=bool)] < 1).all() and (matrix >= -1).all()
    for a in arrays:
        assert each(arrays[a], arrays[a], labels) == pytest.approx(1, abs=1e-12)


def test_the_matrix_is_that_of_the_pairs_in_any_order_of_models(each):
    arrays, labels = pool(each.needs)
    matrix = each.matrix(arrays, labels)
    mixed = each.matrix({name: arrays[name] for name in ("m2", "m0", "m3", "m1")}, labels)
    np.testing.assert_allclose(mixed.loc[matrix.index, matrix.columns], matrix, rtol=0, atol=1e-12)
    for a in arrays:
        for b in arrays:
            assert each(arrays[a], arrays[b], labels) == pytest.approx(matrix.loc[a, b], abs=1e-12)


def test_the_order_of_images_does_not_matter(each):
    arrays, labels = pool(each.needs)
    order = np.random.default_rng(5).permutation(len(labels))
    mixed = {name: array[order] for name, array in arrays.items()}
    np.testing.assert_allclose(each.matrix(mixed, labels[order]), each.matrix(arrays, labels), atol=1e-10)


def test_slices_and_open_files_give_the_same(each, tmp_path, monkeypatch):
    arrays, labels = pool(each.needs)
    whole = each.matrix(arrays, labels)
    monkeypatch.setattr(measures, "_LOGITS", 11 * CLASSES)
    monkeypatch.setattr(measures, "_GRAM", 13)
    np.testing.assert_allclose(each.matrix(arrays, labels), whole, rtol=0, atol=1e-12)
    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        stored = {name: file.create_dataset(name, data=array) for name, array in arrays.items()}
        np.testing.assert_allclose(each.matrix(stored, labels), whole, rtol=0, atol=1e-12)


def test_what_is_not_finite_spoils_its_own_row_only(each):
    if each.needs == "prediction":
        pytest.skip("whole numbers are finite")
    arrays, labels = pool(each.needs)
    whole = each.matrix(arrays, labels)
    arrays["m1"] = arrays["m1"].copy()
    arrays["m1"][3, 2] = np.nan
    matrix = each.matrix(arrays, labels)
    assert matrix["m1"].isna().all()
    others = ["m0", "m2", "m3"]
    np.testing.assert_allclose(matrix.loc[others, others], whole.loc[others, others], rtol=0, atol=1e-12)


def test_models_that_tell_nothing_apart(each):
    arrays, labels = pool(each.needs)
    constant = {name: np.broadcast_to(array[:1], array.shape) for name, array in arrays.items()}
    matrix = each.matrix({"m0": arrays["m0"], "c1": constant["m1"], "c2": constant["m1"]}, labels)
    if each.name == "cka":
        # No variance, so no alignment; and only theirs.
        assert matrix.loc["m0", "m0"] == pytest.approx(1)
        assert matrix.isna().to_numpy().sum() == 8
    else:
        # A constant prediction is still right on some images and agrees with itself.
        assert matrix.loc["c1", "c2"] == pytest.approx(1)
        assert matrix.notna().all().all()


def test_too_few_images_models_or_labels_are_said(each):
    arrays, labels = pool(each.needs, n=each.least - 1)
    with pytest.raises(ValueError, match=f"{each.name} needs at least {each.least} images"):
        each.matrix(arrays, labels)
    arrays, labels = pool(each.needs, n=each.least)
    each.matrix(arrays, labels)
    with pytest.raises(ValueError, match="two models or more, not 1"):
        each.matrix({"m0": arrays["m0"]}, labels)
    arrays, labels = pool(each.needs)
    with pytest.raises(ValueError, match="do not fit together"):
        each(arrays["m0"], arrays["m1"][:-1], labels)
    if each.labelled:
        with pytest.raises(ValueError, match="60 images' labels"):
            each.matrix(arrays)


def test_logits_have_the_same_classes():
    with pytest.raises(ValueError, match="do not fit together"):
        measure("jensen_shannon")(np.zeros((5, 3)), np.zeros((5, 4)))


def test_an_unknown_name_is_told_the_names():
    assert measure("cka").needs == "feature"
    with pytest.raises(ValueError, match="'CKA'; there are agreement, cka, error_consistency, jensen_shannon"):
        measure("CKA")


def test_agreement_is_counted():
    assert measure("agreement")(np.array([1, 2, 3, 0]), np.array([1, 2, 0, 3])) == 0.5


def test_error_consistency_against_scikit_learn():
    arrays, labels = pool("prediction", n=200)
    matrix = measure("error_consistency").matrix(arrays, labels)
    for a in arrays:
        for b in arrays:
            expected = cohen_kappa_score(arrays[a] == labels, arrays[b] == labels)
            assert matrix.loc[a, b] == pytest.approx(expected, abs=1e-12)


def test_error_consistency_without_room_above_chance_is_nan():
    labels = np.arange(CLASSES)
    kappa = measure("error_consistency")
    assert np.isnan(kappa(labels, labels, labels))
    assert np.isnan(kappa(labels + 1, labels + 2, labels))
    # Always right against always wrong: chance expects no agreement, and there is none.
    assert kappa(labels, labels + 1, labels) == 0


def test_independent_errors_have_no_consistency():
    random = np.random.default_rng(0)
    labels = np.zeros(200_000, int)
    a, b = (random.random((2, len(labels))) > np.array([[0.9], [0.6]])).astype(int)
    assert measure("error_consistency")(a, b, labels) == pytest.approx(0, abs=0.01)


def test_jensen_shannon_against_scipy():
    arrays, _ = pool("probability")
    matrix = measure("jensen_shannon").matrix(arrays)
    for a in arrays:
        for b in arrays:
            p, q = (softmax(arrays[name].astype(float), axis=1) for name in (a, b))
            assert matrix.loc[a, b] == pytest.approx(1 - np.mean(jensenshannon(p, q, axis=1, base=2) ** 2), abs=1e-12)


def test_jensen_shannon_ends_and_extreme_logits():
    sure = np.array([[65504, -65504, 0], [-65504, 65504, 0]], np.float16)
    assert measure("jensen_shannon")(sure, sure[::-1]) == 0
    assert measure("jensen_shannon")(sure, sure) == 1
    # Infinite halves would be lost in half precision; the sums are made in double precision.
    many = np.tile(np.array([[0, 10, -10]], np.float16), (50_000, 1))
    assert measure("jensen_shannon")(many, many) == 1


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
    monkeypatch.setattr(measures, "_GRAM", 6)
    random = np.random.default_rng(n)
    x = random.normal(size=(n, 12)) + 3
    y = x[:, :5] + random.normal(size=(n, 5))
    expected = slow_hsic(x, y) / np.sqrt(slow_hsic(x, x) * slow_hsic(y, y))
    assert measure("cka")(x, y) == pytest.approx(expected, abs=1e-10)


def biased_cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def test_independent_features_are_not_alike_even_where_they_are_more_than_the_images():
    found, biased = [], []
    for seed in range(20):
        x, y = np.random.default_rng(seed).normal(size=(2, 50, 400))
        found.append(measure("cka")(x, y))
        biased.append(biased_cka(x, y))
    assert np.mean(found) == pytest.approx(0, abs=0.02)
    assert min(biased) > 0.8


def test_both_estimators_meet_where_images_are_many():
    random = np.random.default_rng(0)
    x = random.normal(size=(3000, 6))
    y = x @ random.normal(size=(6, 4)) + random.normal(size=(3000, 4))
    assert measure("cka")(x, y) == pytest.approx(biased_cka(x, y), abs=0.005)


def test_cka_ignores_rotation_scale_and_origin():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 40, 8))
    rotation = np.linalg.qr(random.normal(size=(8, 8)))[0]
    assert measure("cka")(x, 7 * x @ rotation + 100) == pytest.approx(1, abs=1e-12)
    assert measure("cka")(x @ rotation - 5, y) == pytest.approx(measure("cka")(x, y), abs=1e-12)


def test_equally_distant_features_have_no_variance_to_align():
    x = np.random.default_rng(0).normal(size=(6, 3))
    assert np.isnan(measure("cka")(np.eye(6) * 0.1, x))
