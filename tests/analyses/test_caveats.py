import numpy as np
import pandas as pd
import pytest

from sat.analyses.caveats.confounders import caveats


def matrix_of(entry, names):
    square = np.array([[entry(i, j) for j in range(len(names))] for i in range(len(names))], float)
    np.fill_diagonal(square, np.log(100))
    return pd.DataFrame(square, index=names, columns=names)


NAMES = list("abcdefgh")
WHITEBOX = dict(zip(NAMES, np.linspace(0.6, 1.0, 8), strict=True))
ACCURACY = dict(zip(NAMES, [0.9, 0.7, 0.8, 0.75, 0.95, 0.6, 0.85, 0.65], strict=True))


def test_sat_that_follows_attack_strength_warns():
    success = list(WHITEBOX.values())
    table = caveats(matrix_of(lambda i, j: success[i] + success[j], NAMES), WHITEBOX, ACCURACY).set_index("quantity")
    assert table.loc["mean_whitebox", "r"] == pytest.approx(1)
    assert table.loc["mean_whitebox", "n_pairs"] == 28
    assert "white-box success (r = 1.00" in table.loc["mean_whitebox", "warning"]
    assert table.loc["accuracy_difference", "warning"] == ""


def test_a_negative_correlation_warns_as_well():
    share = list(ACCURACY.values())
    table = caveats(matrix_of(lambda i, j: 3 - abs(share[i] - share[j]), NAMES), WHITEBOX, ACCURACY)
    assert table["r"][1] == pytest.approx(-1)
    assert "accuracy (r = -1.00" in table["warning"][1]


def test_against_numpy_and_threshold():
    random = np.random.default_rng(0)
    square = random.normal(size=(8, 8))
    matrix = pd.DataFrame(square + square.T, index=NAMES, columns=NAMES)
    first, second = np.triu_indices(8, 1)
    success = np.array(list(WHITEBOX.values()))
    expected = np.corrcoef(matrix.to_numpy()[first, second], success[first] + success[second])[0, 1]
    assert caveats(matrix, WHITEBOX, ACCURACY)["r"][0] == pytest.approx(expected)
    assert caveats(matrix, WHITEBOX, ACCURACY, abs(expected) - 1e-6)["warning"][0] != ""
    assert caveats(matrix, WHITEBOX, ACCURACY, abs(expected) + 1e-6)["warning"][0] == ""


@pytest.mark.filterwarnings("error")
def test_a_constant_gives_nan_and_no_warning():
    matrix = matrix_of(lambda i, j: i + j, NAMES)
    table = caveats(matrix, dict.fromkeys(NAMES, 0.3 - 0.1), dict.fromkeys(NAMES, 0.8))
    assert table["r"].isna().all() and (table["warning"] == "").all()
    assert caveats(matrix_of(lambda i, j: 2.0, NAMES), WHITEBOX, ACCURACY)["r"].isna().all()


@pytest.mark.filterwarnings("error")
def test_unknown_pairs_and_models_are_left_out():
    matrix = matrix_of(lambda i, j: i + j, NAMES)
    matrix.loc["a", "b"] = matrix.loc["b", "a"] = np.nan
    known = {name: value for name, value in WHITEBOX.items() if name != "h"}
    assert caveats(matrix, known, ACCURACY)["n_pairs"].tolist() == [20, 27]
    two = caveats(matrix.iloc[2:4, 2:4], WHITEBOX, ACCURACY)
    assert two["n_pairs"].tolist() == [1, 1] and two["r"].isna().all()
