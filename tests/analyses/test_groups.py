import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat.analyses.groups.contrasts import OTHERS, group_contrasts
from sat.analyses.groups.figure import groups_figure
from sat.analyses.groups.means import group_means, jackknife
from sat.similarity.affinity import contrast, fit_affinity
from sat.statistics.contrasts import overall_contrasts
from sat.statistics.pairs import holm, off_diagonal

REFERENCE = Path(os.environ.get("SAT_REFERENCE", Path(__file__).resolve().parents[3] / "shared/reference"))


def made(sizes=(5, 4, 1), unlabelled=3, effect=0.0, own=0.3, seed=0):
    """Groups a, b, ... whose pairs have `effect` more SAT, and models without a group."""
    random = np.random.default_rng(seed)
    labels = np.array([chr(97 + i) for i, size in enumerate(sizes) for _ in range(size)] + [""] * unlabelled)
    n = len(labels)
    model = random.normal(0, own, n)
    value = 2 + model[:, None] + model[None, :] + random.normal(0, 0.1, (n, n))
    value = np.triu(value + effect * ((labels[:, None] == labels[None, :]) & (labels != "")[:, None]), 1)
    names = [f"m{i:02d}" for i in range(n)]
    return pd.DataFrame(value + value.T + 4 * np.eye(n), names, names), pd.Series(labels, names)


def pairs_of(sat, names):
    values = [sat.loc[a, b] for a, b in combinations(names, 2)]
    return [value for value in values if not np.isnan(value)]


def test_means_are_those_of_a_loop():
    sat, labels = made(effect=0.5)
    sat.iloc[0, 1] = sat.iloc[1, 0] = np.nan
    found = group_means(sat, labels.replace("", np.nan), permutations=99).set_index(["kind", "group"])
    overall = pairs_of(sat, sat.index)
    within = []
    for group in "ab":
        values = pairs_of(sat, labels.index[labels == group])
        within += values
        row = found.loc[("group", group)]
        assert (row["n_models"], row["n_pairs"]) == ((labels == group).sum(), len(values))
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["difference"] == pytest.approx(np.mean(values) - np.mean(overall))
    assert found.loc[("group", "a"), "n_missing"] == 1 and found.loc[("group", "b"), "n_missing"] == 0
    assert found.loc[("within", ""), "mean"] == pytest.approx(np.mean(within))
    assert found.loc[("all", ""), "mean"] == pytest.approx(np.mean(overall))
    assert found.loc[("all", ""), "n_models"] == 13


def test_a_group_of_one_is_listed_without_a_mean():
    found = group_means(*made(), permutations=9).set_index("group").loc["c"]
    assert found["n_models"] == 1 and found["n_pairs"] == 0 and found["note"] == "one model"
    assert found[["mean", "low", "high", "p", "difference"]].isna().all()


def test_p_agrees_with_all_choices_of_models():
    sat, labels = made((4,), 6, effect=0.3)
    centre = np.mean(pairs_of(sat, sat.index))
    every = np.array([abs(np.mean(pairs_of(sat, names)) - centre) for names in combinations(sat.index, 4)])
    observed = abs(np.mean(pairs_of(sat, labels.index[labels == "a"])) - centre)
    exact = np.mean(every >= observed - 1e-9)
    assert 0.01 < exact < 0.9
    assert group_means(sat, labels)["p"][0] == pytest.approx(exact, abs=0.02)


def test_p_of_nothing_is_not_small_more_often_than_it_says():
    p = [group_means(*made(seed=seed), permutations=99, seed=seed)["p"][0] for seed in range(150)]
    assert 0.005 < np.mean(np.array(p) <= 0.1) < 0.18


def logit_of_mean(values):
    share = np.exp(np.mean(values)) / 100
    return np.log(share / (1 - share))


def test_jackknife_is_that_of_a_loop_and_covers_the_truth():
    sat, _ = made((7,), 0)
    sat.iloc[2, 3] = sat.iloc[3, 2] = np.nan
    without = [logit_of_mean(pairs_of(sat, sat.index.drop(name))) for name in sat.index]
    error = np.sqrt(6 / 7 * np.sum((np.array(without) - np.mean(without)) ** 2))
    mean, low, high = jackknife(*off_diagonal(sat))
    assert mean == pytest.approx(np.mean(pairs_of(sat, sat.index)))
    for end, sign in ((low, -1), (high, 1)):
        # Student's t, 6 degrees of freedom.
        assert logit_of_mean([end]) == pytest.approx(logit_of_mean([mean]) + sign * 2.44691 * error, abs=1e-4)
    intervals = [jackknife(*off_diagonal(made((8,), 0, seed=seed)[0])) for seed in range(200)]
    assert 0.9 <= np.mean([low <= 2 <= high for _, low, high in intervals]) <= 0.995


def test_no_interval_exceeds_full_transfer():
    sat, labels = made((3, 3, 3), 0, own=2.0, seed=3)
    # The symmetric interval of some group would end above ln 100 = 4.6.
    plain = []
    for group in "abc":
        names = labels.index[labels == group]
        without = [np.mean(pairs_of(sat, names.drop(name))) for name in names]
        plain.append(np.mean(pairs_of(sat, names)) + 4.3027 * np.sqrt(2 * np.var(without)))
    found = group_means(np.minimum(sat, np.log(100)), labels, permutations=9).set_index("kind")
    assert max(plain) > np.log(100) + 1
    assert (found["high"] <= np.log(100)).all() and (found["low"] <= found["mean"]).all()
    assert (found["mean"] <= found["high"]).all() and found[["low", "high"]].notna().all(axis=None)
    # Where every image transfers, the ends are those of the mean.
    full = group_means(sat * 0 + np.log(100), labels, permutations=9)
    assert full[["low", "mean", "high"]].to_numpy() == pytest.approx(np.log(100), abs=2e-4)
    # Where few images transfer, it is the plain one.
    mean, low, high = jackknife(*off_diagonal(made((7,), 0)[0] - 8))
    assert high - mean == pytest.approx(mean - low, abs=0.005)


def test_one_pair_has_neither_interval_nor_p():
    sat, labels = made((2, 3, 3), 0)
    sat.loc["m05", "m06"] = sat.loc["m06", "m05"] = sat.loc["m05", "m07"] = sat.loc["m07", "m05"] = np.nan
    found = group_means(sat, labels, permutations=9).set_index("group")
    assert found.loc["a", "mean"] == sat.iloc[0, 1]
    assert found.loc["b", ["low", "high", "p"]].notna().all() and found.loc["b", "note"] == ""
    for one in "ac":
        assert found.loc[one, "n_pairs"] == 1 and found.loc[one, ["low", "high", "p"]].isna().all()
        assert found.loc[one, "note"] == "one pair: no interval and no p"


def test_interval_of_all_groups_covers_groups_drawn_at_random():
    """Leaving out single models gives intervals that are too narrow, because groups are a sample too."""
    over_models, over_groups = [], []
    for seed in range(100):
        sat, labels = made((8, 8, 8, 8), 0, own=0.1, seed=seed)
        same = np.equal.outer(labels.to_numpy(), labels.to_numpy())
        shared = dict(zip("abcd", np.random.default_rng([9, seed]).normal(0, 0.4, 4), strict=True))
        sat = sat + labels.map(shared).to_numpy()[:, None] * same
        row = group_means(sat, labels, permutations=9).set_index("kind").loc["within"]
        over_groups.append(row["low"] <= 2 <= row["high"])
        value, present = (part * same for part in off_diagonal(sat))
        _, low, high = jackknife(value, present)
        over_models.append(low <= 2 <= high)
        assert row["low"] <= low and high <= row["high"]
    assert np.mean(over_groups) > 0.9 > 0.82 > np.mean(over_models)


def test_another_matrix_stands_beside():
    sat, labels = made()
    other = sat.iloc[:6, :6] - 1
    other.iloc[0, 1] = other.iloc[1, 0] = np.nan
    found = group_means(sat, labels, permutations=9, compare=other).set_index("kind")
    assert found.loc["compare", "mean"] == pytest.approx(np.mean(pairs_of(other, other.index)))
    assert found.loc["compare", ["n_models", "n_pairs", "n_missing"]].tolist() == [6, 14, 1]
    assert found.loc["all", "minus_compare"] == pytest.approx(found.loc["all", "mean"] - found.loc["compare", "mean"])
    assert "minus_compare" not in group_means(sat, labels, permutations=9)


def test_order_of_models_changes_nothing():
    sat, labels = made(effect=0.2)
    order = np.random.default_rng(1).permutation(len(sat))
    mixed = group_means(sat.iloc[order, order], labels.iloc[order[::-1]], permutations=99)
    pd.testing.assert_frame_equal(group_means(sat, labels, permutations=99), mixed)


def test_degenerate_input():
    sat, labels = made((2,), 1)
    nobody = group_means(sat, labels * 0, permutations=9)
    assert nobody["kind"].tolist() == ["within", "all"] and nobody["note"].tolist() == ["no pair", ""]
    nothing = group_means(sat * np.nan, labels, permutations=9)
    assert nothing["note"].tolist() == ["no pair has a SAT"] * 3 and nothing[["mean", "p"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="1 models"):
        group_means(sat.iloc[:1, :1], labels)


@pytest.mark.skipif(
    not (REFERENCE / "SAT_release.csv").exists(), reason=f"what the paper's authors released is not at {REFERENCE}"
)
def test_released_matrix():
    sat = pd.read_csv(REFERENCE / "SAT_release.csv", index_col=0)
    table = pd.read_csv(REFERENCE / "Model_Feature_release.csv", index_col=0)
    found = group_means(sat, table["Base architecture"], permutations=199).set_index(["kind", "group"])
    assert found.loc[("all", ""), "mean"] == pytest.approx(2.665, abs=1e-3)
    assert found.loc[("within", ""), "mean"] == pytest.approx(2.883, abs=1e-3)
    assert found.loc[("group", "NAS (TFM)"), "note"] == "one model"


def affinities(family, likeness, seed=0, sd=0.25, level=0.0):
    """Affinity of models of two levels: likeness within a family, noise of pairs, effects of models."""
    random = np.random.default_rng(seed)
    n = len(family)
    noise = np.triu(random.normal(0, sd, (n, n)), 1)
    effect = random.normal(0, 0.5, n) + level * (np.asarray(family) == family[0])
    half = likeness * np.equal.outer(family, family) + noise + noise.T + effect[:, None] + effect[None, :]
    names = [f"m{i:02d}" for i in range(n)]
    return fit_affinity(pd.DataFrame(half, names, names)), pd.DataFrame(half, names, names), pd.Series(family, names)


def test_contrasts_are_those_of_the_log_odds_and_of_all_permutations():
    found, half, labels = affinities(list("aaabbbb"), 0.5)
    row = group_contrasts(found.matrix, labels, permutations=20000, seed=1).iloc[0]
    names = list(labels.index)
    assert row["contrast"] == pytest.approx(contrast(half, names[:3], names[3:])), "effects cancel"
    # All 35 splits of seven models into three and four.
    every = []
    for first in combinations(names, 3):
        every.append(contrast(half, list(first), [name for name in names if name not in first]))
    exact = np.mean(np.abs(every) >= abs(row["contrast"]) - 1e-9)
    assert len(every) == 35 and row["p"] == pytest.approx(exact, abs=0.01)
    assert row["low"] < row["contrast"] < row["high"]


def test_a_merely_fragile_group_has_no_contrast():
    """Its mean SAT, in contrast, is significant in most of the simulations."""
    by_contrast, by_mean = [], []
    for seed in range(60):
        found, half, labels = affinities([0] * 5 + [1] * 15, 0.0, seed, level=0.8)
        by_contrast.append(group_contrasts(found.matrix, labels, permutations=199, seed=seed)["p"].iloc[0] <= 0.05)
        means = group_means(np.log(100 / (1 + np.exp(-(half - 3)))), labels, permutations=199, seed=seed)
        by_mean.append(means.set_index(["kind", "group"]).loc[("group", "0"), "p"] <= 0.05)
    assert np.mean(by_contrast) < 0.15 and np.mean(by_mean) > 0.7


def test_every_group_against_each_other_and_against_all_others():
    found, _, labels = affinities([*"aaabbbbccdd", ""], 0.5)
    labels.iloc[-1] = np.nan
    table = group_contrasts(found.matrix, labels, permutations=99)
    assert len(table) == 6 + 4 and (table["second"] == OTHERS).sum() == 4
    assert table.set_index(["first", "second"]).loc[("a", OTHERS), "n_second"] == 8, "the model without a group is out"
    small = table[(table["n_first"] < 3) | (table["n_second"] < 3)]
    assert len(small) and small[["low", "high"]].isna().all(axis=None)
    two = group_contrasts(found.matrix.iloc[:7, :7], labels.iloc[:7], permutations=99)
    assert len(two) == 1, "of two groups alone, all others are the other one"


def test_a_group_of_one_model_and_a_missing_pair_have_no_contrast():
    found, _, labels = affinities(list("aabbbc"), 0.5)
    table = group_contrasts(found.matrix, labels, permutations=99).set_index(["first", "second"])
    assert np.isnan(table.loc[("a", "c"), "contrast"]) and "one model" in table.loc[("a", "c"), "note"]
    holes = found.matrix.copy()
    holes.iloc[0, 3] = holes.iloc[3, 0] = np.nan
    table = group_contrasts(holes, labels, permutations=99).set_index(["first", "second"])
    assert np.isnan(table.loc[("a", "b"), "contrast"]) and "no affinity" in table.loc[("a", "b"), "note"]


def test_holm_by_the_book():
    # Holm's own step-down procedure, a hypothesis at a time.
    p = np.array([0.01, 0.04, 0.03, np.nan, 0.005])
    adjusted = holm(p)
    assert adjusted[[4, 0, 2, 1]] == pytest.approx([0.02, 0.03, 0.06, 0.06])
    assert np.isnan(adjusted[3])


def test_figure_has_a_hollow_dot_for_one_pair_and_an_arrow_for_a_wide_interval():
    sat, labels = made((2, 6, 3), 0, effect=1.0)
    sat.loc["m08", "m09"] = sat.loc["m09", "m08"] = -4.0
    affinity = fit_affinity(sat).matrix
    table = group_means(sat, labels, permutations=99).assign(column="family")
    against = group_contrasts(affinity, labels, permutations=99).assign(column="family")
    overall = overall_contrasts(affinity, labels.to_frame("family"), permutations=9).rename_axis("column").reset_index()
    figure = groups_figure(table, against, overall)
    left, right = figure.axes
    names = [text.get_text().split()[0] for text in left.get_yticklabels()]
    dots = [line for line in left.lines if line.get_marker() == "o"]
    filled = {name: dot.get_markerfacecolor() != "white" for name, dot in zip(names, dots, strict=True)}
    assert not filled["a"] and filled["b"]
    assert table.set_index("group").loc["c", "low"] < left.get_xlim()[0], "the axis is cut"
    assert any(line.get_marker() == "<" for line in left.lines)
    contrasts = [line for line in right.lines if line.get_marker() == "o"]
    assert len(contrasts) == 4 and all(figure.axes[0].spines[side].get_visible() is False for side in ("top", "right"))
    few = group_contrasts(affinity * np.nan, labels, permutations=9).assign(column="family")
    none = overall_contrasts(affinity * np.nan, labels.to_frame("family"), permutations=9)
    empty = groups_figure(table, few, none.rename_axis("column").reset_index())
    assert "no affinity" in empty.axes[1].texts[0].get_text()
