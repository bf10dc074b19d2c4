import os
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sat.analyses.reference.comparison import compare
from sat.analyses.reference.figure import reference_figure
from sat.similarity.user_matrix import check_matrix

RELEASED = (
    Path(os.environ.get("SAT_REFERENCE", Path(__file__).resolve().parents[3] / "shared/reference")) / "SAT_release.csv"
)


def random_matrix(n, seed=0, prefix="m"):
    square = np.random.default_rng(seed).normal(2.5, 0.5, (n, n))
    names = [f"{prefix}{i}" for i in range(n)]
    return pd.DataFrame(square + square.T, index=names, columns=names)


def above(matrix):
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def noisy(matrix, sd, seed=1):
    error = np.random.default_rng(seed).normal(0, sd, matrix.shape)
    return matrix + error + error.T


def test_statistics_over_joined_pairs():
    ours = random_matrix(8)
    theirs = noisy(ours, 0.2) - 0.3
    order = np.random.default_rng(0).permutation(8)
    # The reference in another order, under other names, and with a model more.
    renamed = theirs.rename(index=lambda name: f"old_{name}", columns=lambda name: f"old_{name}").iloc[order, order]
    renamed["extra"] = 1.0
    renamed.loc["extra"] = 1.0
    found = compare(ours, renamed, {name: f"old_{name}" for name in ours})
    assert found.table["of"].tolist() == ["sat", "affinity"]
    row = found.table.iloc[0]
    assert (row["group"], row["rule"], row["n_models"], row["n_pairs"]) == ("all", "both", 8, 28)
    assert row["pearson"] == pytest.approx(pearsonr(above(ours), above(theirs)).statistic)
    assert row["spearman"] == pytest.approx(spearmanr(above(ours), above(theirs)).statistic)
    assert row["mean_offset"] == pytest.approx((above(ours) - above(theirs)).mean())
    assert row["mantel_p"] == 0.001
    assert found.unmatched == []
    worst = found.pairs.iloc[0]
    assert abs(worst["difference"]) == np.abs(above(ours) - above(theirs)).max()
    assert worst["difference"] == ours.loc[worst["model_a"], worst["model_b"]] - worst["reference"]


def test_unmatched_models_are_listed_and_shared_names_refused():
    ours, theirs = random_matrix(5), random_matrix(4)
    found = compare(ours, theirs)
    assert found.unmatched == ["m4"] and found.table["n_pairs"][0] == 6
    with pytest.raises(ValueError, match="m0, m4 all have the name m0"):
        compare(ours, theirs, {"m4": "m0"})
    nothing = compare(ours, random_matrix(3, prefix="x"))
    assert nothing.pairs.empty and nothing.table["n_pairs"][0] == 0 and len(nothing.unmatched) == 5


def test_groups_hold_the_pairs_they_say():
    ours = random_matrix(9)
    theirs = ours.copy()
    strange = ["m0", "m1", "m2"]
    # Only the strange models' rows are off.
    theirs.loc[strange] += 1
    theirs[strange] += 1
    table = compare(ours, theirs, groups={"strange": strange, "others": set(ours) - set(strange), "none": ()}).table
    assert (table["of"] == "sat").sum() == 7
    rows = table[table["of"] == "sat"].set_index(["group", "rule"])
    assert rows["n_pairs"].to_dict() == {
        ("all", "both"): 36, ("strange", "both"): 3, ("strange", "any"): 21,
        ("others", "both"): 15, ("others", "any"): 33, ("none", "both"): 0, ("none", "any"): 0,
    }  # fmt: skip
    assert rows.loc[("strange", "both"), "mean_offset"] == pytest.approx(-2)
    assert rows.loc[("strange", "any"), "mean_offset"] == pytest.approx(-(3 * 2 + 18) / 21)
    assert rows.loc[("others", "both"), "mean_offset"] == pytest.approx(0)
    assert rows.loc[("none", "any"), ["pearson", "mantel_p", "mean_offset"]].isna().all()


def test_mantel_against_all_permutations():
    ours = random_matrix(5)
    theirs = noisy(ours, 0.6)
    measured = np.corrcoef(above(ours), above(theirs))[0, 1]
    every = [np.corrcoef(above(ours), above(theirs.iloc[list(p), list(p)]))[0, 1] for p in permutations(range(5))]
    exact = np.mean(np.array(every) >= measured - 1e-12)
    assert compare(ours, theirs, permutations=4000).table["mantel_p"][0] == pytest.approx(exact, abs=0.03)


def test_mantel_of_unrelated_matrices_is_uniform():
    few = {"few": ["m0", "m1", "m2"]}
    found = [compare(random_matrix(8, i), random_matrix(8, i + 1000), groups=few, permutations=99) for i in range(60)]
    p = [each.table.set_index(["of", "group", "rule"])["mantel_p"] for each in found]
    for rows in product(("sat", "affinity"), (("all", "both"), ("few", "any"))):
        rows = (rows[0], *rows[1])
        values = np.array([table[rows] for table in p])
        assert 0.35 < values.mean() < 0.65 and (values <= 0.1).mean() < 0.25
    # Three models have six orders: no p below a sixth.
    assert min(table["sat", "few", "both"] for table in p) > 0.1


def test_the_same_seed_gives_the_same_p():
    ours, theirs = random_matrix(6), random_matrix(6, 5)
    assert compare(ours, theirs).table.equals(compare(ours, theirs).table)


def test_missing_and_constant_pairs():
    ours, theirs = random_matrix(6), random_matrix(6, 5)
    ours.loc["m0", "m1"] = ours.loc["m1", "m0"] = np.nan
    found = compare(ours, theirs)
    assert found.table["n_pairs"][0] == len(found.pairs) == 14
    assert np.isfinite(found.table["mantel_p"][0])
    flat = compare(ours, theirs * 0 + 2).table.iloc[0]
    assert flat[["pearson", "spearman", "mantel_p"]].isna().all() and np.isfinite(flat["mean_offset"])
    two = compare(ours.iloc[2:4, 2:4], theirs).table.iloc[0]
    assert two["n_pairs"] == 1 and np.isnan(two["pearson"]) and np.isnan(two["sd_offset"])


def test_a_sound_matrix_has_no_messages():
    assert check_matrix(random_matrix(4), ["m0", "m1", "m2", "m3", "m4"]) == []


def test_messages_name_the_cells():
    matrix = random_matrix(4)
    matrix.loc["m0", "m1"] += 2e-6
    matrix.loc["m2", "m2"] = np.nan
    matrix.loc["m1", "m3"] = np.nan
    messages = check_matrix(matrix, ["m0", "m1", "m2"])
    assert len(messages) == 4
    assert messages[0] == "not in the table of components: m3"
    assert messages[1] == "no value on the diagonal: [m2, m2]"
    assert messages[2] == "NaN: [m1, m3]"
    assert messages[3].startswith("not symmetric: [m0, m1] is ")
    near = random_matrix(4)
    near.loc["m0", "m1"] += 5e-7
    assert check_matrix(near) == []


def test_names_that_do_not_fit():
    matrix = random_matrix(4)
    assert check_matrix(matrix.iloc[:, :3]) == ["not square: 4 rows, 3 columns", "only among the rows: m3"]
    renamed = matrix.rename(columns={"m1": "other"})
    assert check_matrix(renamed) == ["only among the rows: m1", "only among the columns: other"]
    assert check_matrix(matrix.iloc[:, [1, 0, 2, 3]]) == ["rows and columns are in different orders"]
    twice = matrix.rename(index={"m1": "m0"}, columns={"m1": "m0"})
    assert check_matrix(twice) == [
        "more than one of the rows is named m0", "more than one of the columns is named m0",
    ]  # fmt: skip


def test_words_and_infinities_and_at_most_ten():
    matrix = random_matrix(5).astype(object)
    matrix.loc["m0", "m1"] = "high"
    matrix.loc["m3", "m4"] = matrix.loc["m4", "m3"] = np.inf
    messages = check_matrix(matrix)
    assert messages[0] == "not a number: [m0, m1] is 'high'"
    assert messages[1] == "infinite: [m3, m4]; [m4, m3]"
    many = check_matrix(random_matrix(5) * np.nan)
    assert many[1].endswith("and 10 more") and many[1].count("[") == 10


def rest_of_rate(matrix):
    """Residuals of the log-odds of the mean rate after a regression on which models a pair has, by the textbook."""
    pairs = list(combinations(range(len(matrix)), 2))
    rate = np.exp([matrix.iloc[pair] for pair in pairs]) / 100
    design = np.array([[model in pair for model in range(len(matrix))] for pair in pairs], float)
    odds = np.log(rate / (1 - rate))
    return odds - design @ np.linalg.solve(design.T @ design, design.T @ odds)


def sat_matrix(n, seed):
    return random_matrix(n, seed) - 3.0


def test_affinity_is_fitted_anew_to_the_models_that_both_have():
    ours, theirs = sat_matrix(8, 0), sat_matrix(7, 1)
    found = compare(ours, theirs)
    common = list(theirs.index)
    one, two = rest_of_rate(ours.loc[common, common]), rest_of_rate(theirs)
    row = found.table.set_index("of").loc["affinity"]
    assert (row["n_models"], row["n_pairs"]) == (7, 21)
    assert row["pearson"] == pytest.approx(pearsonr(one, two).statistic)
    assert row["spearman"] == pytest.approx(spearmanr(one, two).statistic)
    pairs = found.pairs.sort_values(["model_a", "model_b"])
    assert pairs["study_affinity"].to_numpy() == pytest.approx(one)
    assert pairs["reference_affinity"].to_numpy() == pytest.approx(two)
    # A pair without SAT on one side is left out of both fits.
    theirs.loc["m0", "m1"] = theirs.loc["m1", "m0"] = np.nan
    holed = ours.copy()
    holed.loc["m0", "m1"] = holed.loc["m1", "m0"] = np.nan
    rows = [compare(matrix, theirs).table.iloc[1] for matrix in (ours, holed)]
    assert rows[0]["n_pairs"] == 20 and rows[0].equals(rows[1])


def test_levels_that_agree_do_not_make_affinities_agree():
    level = np.random.default_rng(3).normal(0, 0.5, 12)
    ours, theirs = (random_matrix(12, seed) * 0.2 + level[:, None] + level for seed in (4, 5))
    table = compare(ours, theirs).table.set_index("of")
    assert table.loc["sat", "pearson"] > 0.9 and table.loc["sat", "mantel_p"] < 0.01
    assert abs(table.loc["affinity", "pearson"]) < 0.4 and table.loc["affinity", "mantel_p"] > 0.02


def test_three_models_in_common_have_no_affinity():
    found = compare(sat_matrix(5, 0), sat_matrix(3, 1))
    assert found.no_affinity == "3 models: affinity needs 4 or more"
    assert found.table["n_pairs"].tolist() == [3, 0] and found.pairs["study_affinity"].isna().all()
    figure = reference_figure(found.pairs, found.table, "settings not known")
    assert [axes.get_xlabel() for axes in figure.axes] == ["SAT of the reference"]
    both = compare(sat_matrix(5, 0), sat_matrix(5, 1))
    figure = reference_figure(both.pairs, both.table, "settings not known")
    assert [axes.get_xlabel() for axes in figure.axes] == ["SAT of the reference", "affinity of the reference"]


@pytest.mark.skipif(not RELEASED.exists(), reason=f"the matrix that the paper's authors released is not at {RELEASED}")
def test_released_matrix():
    released = pd.read_csv(RELEASED, index_col=0)
    assert check_matrix(released, list(released.index)) == []
    assert above(released).mean() == pytest.approx(2.6649, abs=1e-4)
    assert above(released).std() == pytest.approx(0.3275, abs=1e-4)
    itself = compare(released, released, permutations=99).table.iloc[0]
    assert itself["pearson"] == pytest.approx(1) and itself["n_pairs"] == 2346
    assert itself["mantel_p"] == 0.01 and itself["mean_offset"] == 0
