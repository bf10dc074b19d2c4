"""One contract for all measures: a file that declares one is tested here without being named."""

import h5py
import numpy as np
import pytest

from pools import pool
from sat.measures.matrix import similarity, similarity_interval, similarity_matrix
from sat.units import declarations, names

MEASURES = declarations("measures")


@pytest.fixture(params=names("measures"))
def each(request):
    return request.param


def test_symmetric_and_greatest_for_itself(each):
    arrays, labels = pool(MEASURES[each].needs)
    matrix = similarity_matrix(each, arrays, labels).to_numpy()
    assert np.array_equal(matrix, matrix.T)
    assert np.diag(matrix) == pytest.approx(1, abs=1e-12)
    assert (matrix[~np.eye(4, dtype=bool)] < 1).all() and (matrix >= -1).all()
    for a in arrays:
        assert similarity(each, arrays[a], arrays[a], labels) == pytest.approx(1, abs=1e-12)


def test_the_matrix_is_that_of_the_pairs_in_any_order_of_models(each):
    arrays, labels = pool(MEASURES[each].needs)
    matrix = similarity_matrix(each, arrays, labels)
    mixed = similarity_matrix(each, {name: arrays[name] for name in ("m2", "m0", "m3", "m1")}, labels)
    np.testing.assert_allclose(mixed.loc[matrix.index, matrix.columns], matrix, rtol=0, atol=1e-12)
    for a in arrays:
        for b in arrays:
            assert similarity(each, arrays[a], arrays[b], labels) == pytest.approx(matrix.loc[a, b], abs=1e-12)


def test_the_order_of_images_does_not_matter(each):
    arrays, labels = pool(MEASURES[each].needs)
    order = np.random.default_rng(5).permutation(len(labels))
    mixed = {name: array[order] for name, array in arrays.items()}
    np.testing.assert_allclose(
        similarity_matrix(each, mixed, labels[order]), similarity_matrix(each, arrays, labels), atol=1e-10
    )


def test_open_files_give_the_same(each, tmp_path):
    arrays, labels = pool(MEASURES[each].needs)
    whole = similarity_matrix(each, arrays, labels)
    with h5py.File(tmp_path / "arrays.h5", "w") as file:
        stored = {name: file.create_dataset(name, data=array) for name, array in arrays.items()}
        np.testing.assert_array_equal(similarity_matrix(each, stored, labels), whole)


def test_what_is_not_finite_spoils_its_own_row_only(each):
    if MEASURES[each].needs == "prediction":
        pytest.skip("whole numbers are finite")
    arrays, labels = pool(MEASURES[each].needs)
    whole = similarity_matrix(each, arrays, labels)
    arrays["m1"] = arrays["m1"].copy()
    arrays["m1"][3, 2] = np.nan
    matrix = similarity_matrix(each, arrays, labels)
    assert matrix["m1"].isna().all()
    others = ["m0", "m2", "m3"]
    np.testing.assert_allclose(matrix.loc[others, others], whole.loc[others, others], rtol=0, atol=1e-12)


def test_models_that_tell_nothing_apart(each):
    arrays, labels = pool(MEASURES[each].needs)
    constant = np.broadcast_to(arrays["m1"][:1], arrays["m1"].shape)
    matrix = similarity_matrix(each, {"m0": arrays["m0"], "c1": constant, "c2": constant}, labels)
    assert matrix.loc["m0", "m0"] == pytest.approx(1)
    # The two are equal, or the measure has no meaning for a model that tells no image from another.
    assert np.isnan(matrix.loc["c1", "c2"]) or matrix.loc["c1", "c2"] == pytest.approx(1)
    assert matrix["c1"].isna().sum() in (0, 3)


def test_intervals_hold_the_value(each):
    arrays, labels = pool(MEASURES[each].needs)
    matrix = similarity_matrix(each, arrays, labels)
    low, high = similarity_interval(each, matrix, arrays, labels, 0.95, np.random.default_rng(0))
    different = ~np.eye(len(matrix), dtype=bool)
    if MEASURES[each].interval == "none":
        assert low.isna().all(axis=None) and high.isna().all(axis=None)
        return
    for end in (low, high):
        assert np.array_equal(end, end.T, equal_nan=True)
    assert ((low < matrix) & (matrix < high) & (high <= 1)).to_numpy()[different].all()


def test_the_figure_has_a_title(each):
    assert MEASURES[each].title


def test_too_few_images_models_or_labels_are_said(each):
    arrays, labels = pool(MEASURES[each].needs, n=MEASURES[each].least - 1)
    with pytest.raises(ValueError, match=f"{each} needs at least {MEASURES[each].least} images"):
        similarity_matrix(each, arrays, labels)
    arrays, labels = pool(MEASURES[each].needs, n=MEASURES[each].least)
    similarity_matrix(each, arrays, labels)
    with pytest.raises(ValueError, match="two models or more, not 1"):
        similarity_matrix(each, {"m0": arrays["m0"]}, labels)
    arrays, labels = pool(MEASURES[each].needs)
    with pytest.raises(ValueError, match="do not fit together"):
        similarity(each, arrays["m0"], arrays["m1"][:-1], labels)
    if MEASURES[each].labelled:
        with pytest.raises(ValueError, match="60 images' labels"):
            similarity_matrix(each, arrays)
