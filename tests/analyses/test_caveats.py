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


RATE = dict(zip(NAMES, [0.1, 0.3, 0.2, 0.6, 0.5, 0.4, 0.8, 0.7], strict=True))
FRAGILITY = dict(zip(NAMES, [-0.1, -0.4, 0.4, -0.2, 0.3, -0.3, 0.2, 0.1], strict=True))
NOISE = dict(zip(NAMES, [0.03, 0.02, 0.0, 0.07, 0.01, 0.04, 0.05, 0.06], strict=True))


def table_of(
    sat, affinity=None, rate=RATE, fragility=FRAGILITY, whitebox=WHITEBOX, accuracy=ACCURACY, noise=NOISE, **more
):
    found = caveats(sat, sat if affinity is None else affinity, rate, fragility, whitebox, accuracy, noise, **more)
    return found.set_index(["of", "quantity"])


MEAN, APART = ("sat", "mean_whitebox"), ("sat", "accuracy_difference")
REST, SOURCE = ("affinity", "accuracy_difference"), ("source_rate", "whitebox")
FRAGILE = ("fragility", "noise_rate")
CEILING = ("sat", "at_ceiling")


def test_sat_that_follows_attack_strength_warns():
    success = list(WHITEBOX.values())
    table = table_of(matrix_of(lambda i, j: success[i] + success[j], NAMES))
    assert table.index.tolist() == [MEAN, APART, REST, SOURCE, FRAGILE, CEILING]
    assert table.loc[MEAN, "r"] == pytest.approx(1)
    assert table["n"].tolist() == [28, 28, 28, 8, 8, 28]
    assert table.loc[MEAN, "warning"] == (
        "pairs with more white-box success have a higher SAT (r = 1.00, of ranks 1.00, over 28 pairs)"
    )
    assert table.loc[APART, "warning"] == ""


def test_a_negative_correlation_warns_as_well_and_affinity_is_looked_at():
    share = list(ACCURACY.values())
    opposite = matrix_of(lambda i, j: 3 - abs(share[i] - share[j]), NAMES)
    table = table_of(matrix_of(lambda i, j: i + j, NAMES), opposite)
    assert table.loc[REST, "r"] == pytest.approx(-1)
    assert table.loc[REST, "warning"].startswith("pairs whose accuracies differ more have a lower affinity (r = -1.00")
    assert abs(table.loc[APART, "r"]) < 0.5
    assert table_of(opposite).loc[APART, "r"] == pytest.approx(-1)


def test_strong_sources_that_resist_their_own_attack_warn():
    rate = {name: 1 - success for name, success in WHITEBOX.items()}
    table = table_of(matrix_of(lambda i, j: i + j, NAMES), rate=rate)
    assert table.loc[SOURCE, "r"] == pytest.approx(-1)
    assert table.loc[SOURCE, "warning"] == (
        "models that resist their own attack are the stronger sources (r = -1.00, of ranks -1.00, over 8 models)"
    )
    table = table_of(matrix_of(lambda i, j: i + j, NAMES), rate=WHITEBOX)
    assert table.loc[SOURCE, "warning"].startswith("models that give way to their own attack are the stronger sources")


def test_models_that_err_under_noise_and_are_easily_fooled_warn_also_where_one_model_decides_it():
    rates = [0.31, 0.3, 0.29, 0.28, 0.27, 0.26, 0.25, 0.9]
    table = table_of(
        matrix_of(lambda i, j: i + j, NAMES),
        fragility=dict(zip(NAMES, rates, strict=True)),
        noise=dict(zip(NAMES, [*np.linspace(0, 0.01, 7), 0.4], strict=True)),
    )
    # All ranks but one run the other way: 1 - 6 * sum(d^2) / (n (n^2 - 1)), with seven of them reversed.
    assert table.loc[FRAGILE, "spearman"] == pytest.approx(1 - 6 * 112 / (8 * 63))
    assert table.loc[FRAGILE, "r"] == pytest.approx(np.corrcoef(rates, [*np.linspace(0, 0.01, 7), 0.4])[0, 1])
    assert table.loc[FRAGILE, "warning"].startswith(
        "models that err more under random noise are more easily fooled by others' images (r = 0.9"
    )
    assert table.loc[FRAGILE, "warning"].endswith("of ranks -0.33, over 8 models)")


def test_against_numpy_and_threshold():
    random = np.random.default_rng(0)
    square = random.normal(size=(8, 8))
    matrix = pd.DataFrame(square + square.T, index=NAMES, columns=NAMES)
    first, second = np.triu_indices(8, 1)
    success = np.array(list(WHITEBOX.values()))
    expected = np.corrcoef(matrix.to_numpy()[first, second], success[first] + success[second])[0, 1]
    assert table_of(matrix).loc[MEAN, "r"] == pytest.approx(expected)
    expected_source = np.corrcoef(success, list(RATE.values()))[0, 1]
    assert table_of(matrix).loc[SOURCE, "r"] == pytest.approx(expected_source)
    # The order of the models in affinity does not matter.
    assert table_of(matrix, matrix.iloc[::-1, ::-1]).loc[REST, "r"] == table_of(matrix).loc[APART, "r"]
    assert table_of(matrix, threshold=abs(expected) - 1e-6).loc[MEAN, "warning"] != ""
    assert table_of(matrix, threshold=abs(expected) + 1e-6).loc[MEAN, "warning"] == ""


@pytest.mark.filterwarnings("error")
def test_a_constant_gives_nan_and_no_warning():
    matrix = matrix_of(lambda i, j: i + j, NAMES)
    table = table_of(
        matrix,
        whitebox=dict.fromkeys(NAMES, 0.3 - 0.1),
        accuracy=dict.fromkeys(NAMES, 0.8),
        noise=dict.fromkeys(NAMES, 0.0),
    )
    assert table["r"].isna().all() and (table.drop(index=[CEILING])["warning"] == "").all()
    assert table_of(matrix_of(lambda i, j: 2.0, NAMES))["r"].isna().tolist() == [True, True, True, False, False, True]


@pytest.mark.filterwarnings("error")
def test_unknown_pairs_and_models_are_left_out():
    matrix = matrix_of(lambda i, j: i + j, NAMES)
    affinity = matrix * np.nan
    matrix.loc["a", "b"] = matrix.loc["b", "a"] = np.nan
    known = {name: value for name, value in WHITEBOX.items() if name != "h"}
    table = table_of(matrix, affinity, whitebox=known)
    assert table["n"].tolist() == [20, 27, 0, 7, 8, 27] and np.isnan(table.loc[REST, "r"])
    two = table_of(matrix.iloc[2:4, 2:4], affinity)
    assert two["n"].tolist() == [1, 1, 0, 2, 2, 1] and two["r"].isna().all()


def test_an_attack_that_is_too_strong_to_tell_models_apart_warns():
    random = np.random.default_rng(0)
    rates = random.uniform(0.91, 0.95, (8, 8))
    rates = (rates + rates.T) / 2
    strong = table_of(matrix_of(lambda i, j: np.log(100 * rates[i, j]), NAMES)).loc[CEILING]
    assert strong["share"] == 1 and "28 of 28 pairs transfer on more than 90 %" in strong["warning"]
    # Half of the pairs below: no warning.
    rates[:5, :] *= 0.5
    rates[:, :5] = rates[:5, :].T
    mixed = table_of(matrix_of(lambda i, j: np.log(100 * rates[i, j]), NAMES)).loc[CEILING]
    assert mixed["share"] == 3 / 28 and mixed["warning"] == ""


def test_few_pairs_give_no_warning():
    names = NAMES[:3]
    success = list(WHITEBOX.values())
    table = table_of(matrix_of(lambda i, j: success[i] + success[j], names))
    assert table.loc[MEAN, "r"] == pytest.approx(1) and table.loc[MEAN, "n"] == 3
    assert (table["warning"] == "").all()
