import os
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from scipy.stats import kstest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import permutation_importance as sampled_importance

from sat.analyses import components, components_null
from sat.analyses.components import importance as module
from sat.analyses.components.figure import components_figure
from sat.analyses.components.importance import (
    block_means,
    full_fit,
    mean_differences,
    null_fits,
    pair_data,
    permutation_importance,
    r2_table,
    ranking,
    split_fits,
)
from sat.report.style import OF
from sat.similarity.affinity import fit_affinity, log_odds_of_sat
from sat.statistics.pairs import indicators, off_diagonal, orders, pair_sums

REFERENCE = Path(os.environ.get("SAT_REFERENCE", Path(__file__).resolve().parents[3] / "shared/reference"))
needs_release = pytest.mark.skipif(
    not (REFERENCE / "Model_Feature_release.csv").exists(),
    reason=f"what the paper's authors released is not at {REFERENCE}",
)


def made(n=20, effect=None, noise=0.1, own=0.0, seed=0, words=3):
    """A matrix in which sharing a component's value adds `effect` to SAT, and each model adds its own."""
    random = np.random.default_rng(seed)
    names = [f"m{i:03d}" for i in range(n)]
    table = pd.DataFrame(
        {name: random.permutation(np.arange(n) % words) for name in ("shape", "stem", "size", "norm")}, names
    ).astype(str)
    model = random.normal(0, own, n)
    value = 2 + random.normal(0, noise, (n, n)) + model[:, None] + model[None, :]
    for name, size in (effect or {}).items():
        labels = table[name].to_numpy()
        value = value + size * (labels[:, None] == labels[None, :])
    value = np.triu(value, 1)
    value = value + value.T + np.diag(np.full(n, np.log(100)))
    return pd.DataFrame(value, names, names), table


def with_holes(sat, table):
    sat, table = sat.copy(), table.copy()
    for a, b in ((0, 1), (2, 7), (3, 4)):
        sat.iloc[a, b] = sat.iloc[b, a] = np.nan
    table.iloc[5, 0], table.iloc[6, 0], table.iloc[7, 2] = "", np.nan, " "
    return sat, table


def mixed(sat, table):
    order = np.random.default_rng(1).permutation(len(sat))
    return sat.iloc[order, order], table.iloc[np.random.default_rng(2).permutation(len(table)), ::-1]


def slow_difference(sat, labels, value=None):
    """Mean differences by loops over pairs."""
    same, other = [], []
    for a, b in combinations(sat.index, 2):
        pair = [labels[a], labels[b]]
        if np.isnan(sat.loc[a, b]) or any(pd.isna(label) or not label.strip() for label in pair):
            continue
        if pair[0] == pair[1]:
            if value in (None, pair[0]):
                same.append(sat.loc[a, b])
        elif value is None or value in pair:
            other.append(sat.loc[a, b])
    return len(same), len(other), np.mean(same) - np.mean(other)


def test_pair_vectors_are_those_of_a_loop():
    sat, table = with_holes(*made(10))
    data = pair_data(sat, table)
    x = data.differ()
    known = [model for i, model in enumerate(sat.index) if i not in (5, 6, 7)]
    pairs = [(a, b) for a, b in combinations(known, 2) if not np.isnan(sat.loc[a, b])]
    assert data.models == tuple(known) and data.dropped_models == ("m005", "m006", "m007")
    assert (len(pairs), data.n_missing) == (data.n_available, 2)  # the third one had a model that was left out
    for (a, b), row, value in zip(pairs, x, data.value, strict=True):
        assert value == sat.loc[a, b]
        assert row.tolist() == [float(table.loc[a, name] != table.loc[b, name]) for name in data.components]


def test_a_permutation_gives_models_the_rows_of_others():
    sat, table = made(8)
    data, order = pair_data(sat, table), np.random.default_rng(0).permutation(8)
    given = pd.DataFrame(table.to_numpy()[order], table.index, table.columns)
    assert (data.differ(order) == pair_data(sat, given).differ()).all()


@pytest.mark.parametrize("damage", [lambda *frames: frames, with_holes])
def test_mean_differences_are_those_of_a_loop(damage):
    sat, table = damage(*made(12, {"stem": 0.5}))
    found = mean_differences(sat, table, permutations=9)
    for row in found.by_component.itertuples():
        expected = slow_difference(sat, table[row.component])
        assert (row.n_same, row.n_differ) == expected[:2]
        assert row.difference == pytest.approx(expected[2])
    for row in found.by_value.itertuples():
        expected = slow_difference(sat, table[row.component], row.value)
        assert (row.n_same, row.n_crossing) == expected[:2]
        assert row.difference == pytest.approx(expected[2])
    assert found.n_missing == (0 if damage is not with_holes else 3)


def test_every_permuted_difference_is_that_of_a_loop():
    sat, table = with_holes(*made(14, {"shape": 0.3}))
    order = orders(14, 10, seed=4)
    labels = table["shape"].fillna("")
    words, members = indicators(labels)
    value, present = off_diagonal(sat)
    total, count = pair_sums(value, members, order), pair_sums(present, members, order)
    for number, row in enumerate(order):
        given = pd.Series(labels.to_numpy()[row], labels.index)
        for column, word in enumerate(words):
            n_same, n_other, difference = slow_difference(sat, given, word)
            assert (count[0][number, column], count[1][number, column]) == (n_same, n_other)
            means = total[0][number, column] / n_same - total[1][number, column] / n_other
            assert means == pytest.approx(difference)


def test_p_agrees_with_all_permutations_of_a_small_matrix():
    sat, table = made(6, {"shape": 0.15}, words=2)
    observed = abs(slow_difference(sat, table["shape"])[2])
    every = [abs(slow_difference(sat, pd.Series(np.array(row), sat.index))[2]) for row in permutations(table["shape"])]
    exact = np.mean(np.array(every) >= observed - 1e-9)
    p = mean_differences(sat, table[["shape"]], permutations=9999).by_component["p"].item()
    assert p == pytest.approx(exact, abs=0.02)


def test_p_of_nothing_is_uniform():
    p = []
    for seed in range(150):
        # Models differ, so pairs are far from independent.
        found = mean_differences(*made(15, own=0.5, seed=seed), permutations=99, seed=seed)
        p.append(found.by_component["p"][0])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean(np.array(p) <= 0.05) < 0.11


def test_adjusted_p_holds_for_all_components_at_once():
    least, unadjusted = [], []
    for seed in range(120):
        found = mean_differences(*made(15, own=0.5, seed=seed), permutations=99, seed=seed).by_component
        assert (found["p_adjusted"] >= found["p"] - 0.02).all()
        least.append(found["p_adjusted"].min())
        unadjusted.append(found["p"].min())
    assert np.mean(np.array(least) <= 0.05) < 0.12 < np.mean(np.array(unadjusted) <= 0.05)


def test_adjusted_p_of_one_component_is_its_p():
    sat, table = made(10, {"shape": 0.2})
    row = mean_differences(sat, table[["shape"]], permutations=199).by_component.iloc[0]
    assert row["p_adjusted"] == row["p"]
    sat, table = made(14, {"shape": 1.0})
    table["blank"] = ""
    found = mean_differences(sat, table, permutations=199).by_component.set_index("component")["p_adjusted"]
    assert found["shape"] <= 0.01 and np.isnan(found["blank"])


def test_block_means():
    sat, table = with_holes(*made(10))
    means, counts = block_means(sat, table["shape"])
    for a, b in ((a, b) for a in means for b in means):
        values = [
            sat.loc[i, j]
            for i, j in combinations(sat.index, 2)
            if sorted(map(str, table.loc[[i, j], "shape"])) == sorted((a, b)) and not np.isnan(sat.loc[i, j])
        ]
        assert counts.loc[a, b] == len(values)
        assert means.loc[a, b] == pytest.approx(np.mean(values))


def test_importance_is_the_mean_over_permutations_of_scikit_learn():
    data = pair_data(*made(20, {"stem": 0.5, "size": 0.2}))
    x = data.differ()
    model = module._fit(x, data.value, "default", 0)
    many = sampled_importance(model, x, data.value, n_repeats=300, random_state=0)
    error = many.importances_std / np.sqrt(300)
    assert (np.abs(permutation_importance(model, x, data.value) - many.importances_mean) <= 4 * error).all()


def test_pairs_that_differ_in_the_same_components_are_fitted_as_one():
    data = pair_data(*made(20, {"stem": 0.5, "size": 0.2}, own=0.2))
    x = data.differ()
    for preset in module.PRESETS:
        model = module._fit(x, data.value, preset, 0)
        plain = GradientBoostingRegressor(**module.PRESETS[preset], random_state=model.random_state).fit(x, data.value)
        assert model.predict(x) == pytest.approx(plain.predict(x), abs=1e-9)


def test_the_component_that_matters_comes_first_and_the_others_are_within_the_null():
    data = pair_data(*made(24, {"stem": 0.6}, noise=0.3))
    r2, importance = full_fit(data)
    splits, null = split_fits(data, range(8)), null_fits(data, range(39))
    table = ranking(data, importance, splits, null)
    assert table["component"][0] == "stem" and table["rank"].tolist() == [1, 2, 3, 4]
    assert table["p_adjusted"][0] == 1 / 40 and (table["p_adjusted"][1:] > 0.05).all()
    assert (table.loc[0, ["rank_best", "rank_worst"]] == 1).all() and not table["tied"][0] and table["tied"][1:].all()
    assert table["held_out_low"][0] > table["held_out_high"][1:].max()
    rates = r2_table(data, r2, splits, null).set_index("kind")["r2"]
    assert rates["in_sample"] > rates["pairs"] > 0.3 and rates["both_new"] > 0.3 > rates["null"]


def test_adjusted_p_finds_something_in_nothing_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setitem(module.PRESETS, "default", {"n_estimators": 15})
    hits = 0
    for seed in range(50):
        data = pair_data(*made(10, own=0.3, seed=seed))
        _, importance = full_fit(data)
        null = null_fits(data, range(9), seed=seed)
        hits += ranking(data, importance, split_fits(data, ()), null)["p_adjusted"].min() <= 0.1
    assert hits <= 11  # of 50 with 10 %; more happen less than once in a hundred times


def test_only_new_models_show_what_was_memorised():
    # SAT is the models' own, and each component marks one model: other pairs of a model tell, new models cannot.
    sat, _ = made(20, own=0.5)
    marks = pd.DataFrame(np.where(np.eye(20, dtype=bool), "yes", "no"), sat.index, [f"c{i}" for i in range(20)])
    r2 = split_fits(pair_data(sat, marks), range(10)).groupby("kind")["r2"].mean()
    assert r2["in_sample"] > r2["pairs"] > 0.5 > r2["one_new"]
    assert r2["both_new"] <= 0


def test_splits_hold_out_models_and_keep_the_number_of_pairs():
    data = pair_data(*made(20))
    splits = split_fits(data, range(3)).set_index(["split", "kind"])["n_pairs"].unstack()
    # 6 of 20 models are new.
    assert (splits["in_sample"] == 14 * 13 / 2).all() and (splits["both_new"] == 6 * 5 / 2).all()
    assert (splits["one_new"] == 14 * 6).all() and (splits["pairs"] == 190 - 91).all()


def test_order_of_models_and_components_changes_nothing_and_ranges_may_be_computed_apart():
    sat, table = made(14, {"stem": 0.3})
    first, second = pair_data(sat, table), pair_data(*mixed(sat, table))
    assert full_fit(first)[0] == full_fit(second)[0]
    pd.testing.assert_series_equal(full_fit(first)[1], full_fit(second)[1])
    for function in (split_fits, null_fits):
        apart = pd.concat([function(second, part) for part in ([2], range(2))])
        whole = function(first, range(3))
        by = [name for name in ("split", "kind", "permutation") if name in whole]
        pd.testing.assert_frame_equal(
            whole.sort_values(by, ignore_index=True), apart.sort_values(by, ignore_index=True)
        )
        assert not whole.equals(function(first, range(3), seed=1))
    found, again = (mean_differences(*frames, permutations=99) for frames in ((sat, table), mixed(sat, table)))
    pd.testing.assert_frame_equal(
        found.by_value, again.by_value.sort_values(["component", "value"]).pipe(_as, found.by_value)
    )
    pd.testing.assert_frame_equal(found.by_component, again.by_component.pipe(_as, found.by_component))


def _as(frame, like):
    """Rows in the order of another frame: that of the table's columns."""
    keys = ["component", "value"] if "value" in like else ["component"]
    return (
        frame.set_index(keys)
        .loc[pd.MultiIndex.from_frame(like[keys]) if len(keys) > 1 else like[keys[0]]]
        .reset_index()
    )


def test_more_pairs_than_allowed_are_sampled():
    sat, table = made(20)
    data = pair_data(sat, table, max_pairs=50, seed=1)
    assert len(data.value) == 50 and data.n_available == 190
    assert (pair_data(*mixed(sat, table), max_pairs=50, seed=1).value == data.value).all()
    assert not np.array_equal(pair_data(sat, table, max_pairs=50, seed=2).value, data.value)
    assert np.isfinite(split_fits(data, range(2)).loc[lambda rows: rows["kind"] == "both_new", "r2"]).any()


def test_constant_equal_and_unknown_components_are_said_to_be_so():
    sat, table = made(12, {"stem": 0.5})
    table = table.assign(one="yes", each=table.index, twin="t" + table["stem"], blank=np.nan)
    data = pair_data(sat, table)
    _, importance = full_fit(data)
    found = ranking(data, importance, split_fits(data, range(3)), null_fits(data, range(5))).set_index("component")
    assert found.loc["one", "note"] == "constant: the same in all pairs"
    assert found.loc["each", "note"] == "constant: different in all pairs"
    assert found.loc["twin", "note"] == "differs in the same pairs as stem"
    assert (found.loc[["one", "each"], "importance"] == 0).all() and (found.loc[["one", "each"], "p"] == 1).all()
    assert found.loc[["one", "each"], "p_adjusted"].isna().all(), "no permutation changes them"
    assert found.loc["blank", "note"] == "unknown for every model" and np.isnan(found.loc["blank", "importance"])
    means = mean_differences(sat, table, permutations=9).by_component.set_index("component")
    assert means.loc[["one", "each", "blank"], "note"].tolist() == [
        "no pair differs",
        "no pair is the same",
        "unknown for every model",
    ]
    assert means.loc[["one", "each", "blank"], ["difference", "p"]].isna().all(axis=None)


def test_too_little_says_what_is_missing():
    sat, table = made(5)
    data = pair_data(sat, table)
    r2, importance = full_fit(data)
    splits, null = split_fits(data), null_fits(data, range(3))
    rates = r2_table(data, r2, splits, null).set_index("kind")
    assert rates.loc["both_new", "note"] == "5 models; a split by models needs 6"
    assert np.isnan(rates.loc["both_new", "r2"]) and np.isfinite(rates.loc["in_sample", "r2"])
    assert ranking(data, importance, splits, null)["tied"].all()

    two = sat.iloc[:2, :2]
    with pytest.raises(ValueError, match="2 of 2 models have all 4 components, and the regression needs 3"):
        pair_data(two, table)
    assert mean_differences(two, table, permutations=9).by_component["difference"].isna().all()
    with pytest.raises(ValueError, match="1 models; a pair needs two"):
        mean_differences(sat.iloc[:1, :1], table)
    with pytest.raises(ValueError, match="shape is unknown for 3"):
        pair_data(sat, table.assign(shape=["a", "b", "", None, " "]))
    with pytest.raises(ValueError, match="no component is known"):
        pair_data(sat, table.assign(**dict.fromkeys(table, "")))
    with pytest.raises(ValueError, match="0 pairs"):
        pair_data(sat * np.nan, table)
    with pytest.raises(ValueError, match="no row of labels for m003"):
        pair_data(sat, table.drop(index="m003"))
    with pytest.raises(ValueError, match="not symmetric"):
        pair_data(sat + np.triu(np.ones((5, 5)), 1), table)
    with pytest.raises(ValueError, match="same models"):
        mean_differences(sat.iloc[:, :4], table)


def test_sat_that_does_not_vary_has_no_r2():
    sat, table = made(8)
    data = pair_data(sat * 0 + 1, table)
    r2, importance = full_fit(data)
    splits, null = split_fits(data, range(2)), null_fits(data, range(2))
    assert np.isnan(r2) and importance.isna().all()
    assert ranking(data, importance, splits, null)[["importance", "p", "p_adjusted"]].isna().all(axis=None)
    assert r2_table(data, r2, splits, null)["note"].str.contains("do not vary").all()


def test_a_thousand_models():
    sat, table = made(1000, {"stem": 0.1})
    found = mean_differences(sat, table, permutations=19).by_component.set_index("component")
    assert found["difference"].round(2).to_dict() == {"shape": 0.0, "stem": 0.1, "size": 0.0, "norm": 0.0}
    assert found.loc["stem", "p"] == 1 / 20
    assert len(pair_data(sat, table).value) == 50_000


class Inputs(dict):
    """Tables by name, and the reason why there is no affinity."""

    def __init__(self, sat):
        affinity = fit_affinity(log_odds_of_sat(sat))
        super().__init__(sat=sat, affinity=affinity.matrix)
        self.reason = affinity.reason

    def facts(self, name, *names):
        return {"no_affinity": self.reason}


def answered(sat, table, permutations=3):
    given = Inputs(sat)
    settings = {"preset": "default", "seed": 0, "components": table.to_dict("index")}
    given["null"] = components_null.run(given, permutations=permutations, **settings).tables["components_null"]
    return components.run(given, splits=2, confidence=0.95, **settings)


def test_three_models_go_on_with_sat_and_say_why_there_is_no_affinity():
    sat, table = made(3, words=2)
    found = answered(sat, table)
    assert found.facts["no_affinity"] == "3 models: affinity needs 4 or more"
    assert "affinity" in found.facts["reasons"] and "sat" not in found.facts["reasons"]
    assert set(found.tables["components"]["of"]) == {"sat"}
    differences = found.tables["components_differences"].set_index("of")["difference"]
    assert differences["sat"].notna().any() and differences["affinity"].isna().all()
    assert found.tables["components_contrasts"]["half_contrast"].isna().all()
    two = answered(*(frame.iloc[:2, :2] if frame is sat else frame.iloc[:2] for frame in (sat, table)))
    assert len(two.tables["components"]) == 0 and set(two.facts["reasons"]) == {"sat", "affinity"}


def test_sat_and_affinity_stand_side_by_side_where_fragile_models_seem_unlike():
    """The models of one stem are hard to fool, and alike no more than others: an effect in SAT, and none beyond it."""
    sat, table = made(16, noise=0.05, words=2)
    hard = (table["stem"] == "1").to_numpy(float)
    odds = sat - 4 - 1.5 * (hard[:, None] + hard[None, :])
    sat = np.log(100 / (1 + np.exp(-odds)))
    found = answered(sat, table)
    values = found.tables["components_values"].set_index(["component", "value"])["difference"]
    assert values[("stem", "0")] > 1 and values[("stem", "1")] < -1
    contrast = found.tables["components_contrasts"].set_index("component").loc["stem"]
    assert abs(contrast["half_contrast"]) < 0.1 and contrast["p"] > 0.05
    left, middle, right = components_figure(found.tables, found.facts["reasons"]).axes
    # Two bars a component; contrasts have two points and two lines each, and one line at 0.
    assert len(left.patches) == len(middle.patches) == 8 and len(right.lines) == 4 * 4 + 1
    assert {bar.get_edgecolor() for bar in middle.patches} == {to_rgba(colour) for colour in OF.values()}


@needs_release
def test_released_matrix():
    sat = pd.read_csv(REFERENCE / "SAT_release.csv", index_col=0)
    table = pd.read_csv(REFERENCE / "Model_Feature_release.csv", index_col=0)
    means = mean_differences(sat, table, permutations=199).by_component.set_index("component")
    assert means.loc["Stem layer", "difference"] == pytest.approx(0.479, abs=5e-4)
    assert means.loc["Base architecture", "difference"] == pytest.approx(0.342, abs=5e-4)
    assert (means.loc[["Stem layer", "Base architecture"], "p"] == 1 / 200).all()
    data = pair_data(sat, table)
    r2, importance = full_fit(data)
    assert importance.nlargest(2).index.tolist() == ["Base architecture", "Stem layer"]
    splits = split_fits(data, range(10)).groupby("kind")["r2"].mean()
    assert r2 > splits["pairs"] > splits["one_new"] > splits["both_new"] > 0.2
