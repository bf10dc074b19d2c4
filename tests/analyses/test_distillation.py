"""Gains from teachers, and how similarity predicts them, against scipy and against worlds where the truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, permutation_test, rankdata, spearmanr, ttest_rel

from sat.analyses.distillation.gains import choose, direction, gain_by_similarity, relation_to, teacher_gains


def world(n=12, seeds=4, slope=1.0, noise=1.0, seed=0):
    """Teachers whose gain goes with SAT, and students of one seed that share their luck."""
    random = np.random.default_rng(seed)
    names = [f"t{place:02d}" for place in range(n)]
    sat = pd.Series(random.normal(2, 1, n), names)
    luck = random.normal(0, 0.02, seeds)
    alone = pd.Series(0.8 + luck)
    gain = 0.01 * (slope * (sat - 2) + noise * random.normal(size=n))
    accuracy = pd.DataFrame(0.8 + luck + gain.to_numpy()[:, None] + 0.002 * random.normal(size=(n, seeds)), index=names)
    teacher = pd.Series(random.uniform(0.7, 0.9, n), names)
    relation = pd.Series(["same" if place % 3 == 0 else "other" for place in range(n)], names)
    return accuracy, alone, sat, teacher, relation


def relate(parts, **options):
    accuracy, alone, sat, teacher, relation = parts
    gains = accuracy.sub(alone, axis="columns")
    return gain_by_similarity(gains, {"sat": sat}, teacher, relation, **options).set_index("group").drop(columns="of")


def test_affinity_is_correlated_by_itself_and_lacks_nothing_of_sat():
    accuracy, alone, sat, teacher, relation = world(noise=0.7)
    affinity = pd.Series(np.random.default_rng(4).normal(size=len(sat)), sat.index)
    affinity["t05"] = np.nan
    gains = accuracy.sub(alone, axis="columns")
    found = gain_by_similarity(gains, {"sat": sat, "affinity": affinity}, teacher, relation, permutations=9, draws=9)
    assert found[["of", "group"]].to_numpy().tolist() == [
        [of, group] for of in ("sat", "affinity") for group in ("all", "same", "other")
    ]
    rows, gain = found.set_index(["of", "group"]), gains.mean(axis=1)
    known = affinity.notna()
    assert rows.loc[("affinity", "all"), "spearman"] == pytest.approx(spearmanr(affinity[known], gain[known])[0])
    assert rows.loc[("affinity", "all"), "n_teachers"] == 11 and rows.loc[("sat", "all"), "n_teachers"] == 12
    assert rows.loc[("sat", "all"), "spearman"] == pytest.approx(spearmanr(sat, gain)[0])
    # A study without affinity goes on with SAT.
    found = gain_by_similarity(
        gains, {"sat": sat, "affinity": affinity * np.nan}, teacher, relation, permutations=9, draws=9
    ).set_index(["of", "group"])
    assert (found.loc["affinity", "n_teachers"] == 0).all() and found.loc["affinity", "spearman"].isna().all()
    assert found.loc[("sat", "all"), "spearman"] == rows.loc[("sat", "all"), "spearman"]


def test_gains_are_paired_by_seed_as_scipy_has_it():
    accuracy, alone, *_ = world()
    table = teacher_gains(accuracy, alone, 0.9).set_index("teacher")
    for name in accuracy.index:
        found = ttest_rel(accuracy.loc[name], alone)
        low, high = found.confidence_interval(0.9)
        row = table.loc[name]
        assert (row["gain_low"], row["gain_high"]) == pytest.approx((low, high))
        assert row["gain"] == pytest.approx((accuracy.loc[name] - alone).mean())
        assert row["accuracy"] == pytest.approx(accuracy.loc[name].mean())
    # The luck of a seed is ten times the noise of a student, and drops out.
    assert (table["gain_high"] - table["gain_low"]).max() < 0.02
    assert table["gain"].is_monotonic_decreasing
    best = table.iloc[0]
    overlap = [row.gain_high >= best["gain_low"] for row in table.itertuples()]
    assert table["ties_with_best"].tolist() == overlap and overlap[0] and not all(overlap)


def test_one_seed_tells_nothing_of_chance():
    accuracy, alone, *rest = world(seeds=1)
    table = teacher_gains(accuracy, alone)
    assert table["gain"].notna().all() and table[["gain_low", "gain_high", "ties_with_best"]].isna().all().all()
    # Teachers can be drawn all the same.
    assert relate((accuracy, alone, *rest), permutations=19, draws=99).loc["all", "spearman_low"] < 1


def test_correlations_are_those_of_scipy():
    parts = accuracy, alone, sat, teacher, relation = world(noise=0.7)
    found = relate(parts, permutations=1999, draws=99)
    gain = accuracy.sub(alone, axis="columns").mean(axis=1)
    for group in ("all", "same", "other"):
        inside = (relation == group) | (group == "all")
        row = found.loc[group]
        assert row["n_teachers"] == inside.sum()
        assert row["spearman"] == pytest.approx(spearmanr(sat[inside], gain[inside])[0])
        assert row["pearson"] == pytest.approx(pearsonr(sat[inside], gain[inside])[0])
        exact = permutation_test(
            (sat[inside],),
            lambda x, y=gain[inside]: spearmanr(x, y)[0],
            permutation_type="pairings",
            n_resamples=2000,
            random_state=0,
        )
        assert row["p"] == pytest.approx(exact.pvalue, abs=0.03)
    # Partial: residuals of ranks after least squares on the rank of the teacher's accuracy.
    design = np.column_stack([np.ones(len(sat)), rankdata(teacher)])
    left = [rankdata(v) - design @ np.linalg.lstsq(design, rankdata(v), rcond=None)[0] for v in (sat, gain)]
    assert found.loc["all", "partial_spearman"] == pytest.approx(np.corrcoef(*left)[0, 1])


def test_what_accuracy_explains_is_not_ascribed_to_sat():
    accuracy, alone, _, _, relation = world(n=40, slope=0, noise=0, seeds=3)
    random = np.random.default_rng(1)
    teacher = pd.Series(random.uniform(0.7, 0.9, 40), accuracy.index)
    # SAT follows the teacher's accuracy, and so does the gain, each with its own noise.
    sat = 20 * teacher + random.normal(0, 0.4, 40)
    accuracy = accuracy.add(0.3 * teacher + random.normal(0, 0.005, 40), axis="index")
    row = relate((accuracy, alone, sat, teacher, relation), permutations=499, draws=0).loc["all"]
    assert row["spearman"] > 0.8 and row["p"] < 0.01
    assert abs(row["partial_spearman"]) < 0.4 and row["partial_p"] > 0.02


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_intervals_hold_the_truth_about_as_often_as_they_say(slope):
    truth = spearmanr(
        *(np.random.default_rng(9).multivariate_normal([0, 0], [[1, slope], [slope, slope**2 + 1]], 200_000).T)
    )[0]
    held = []
    for seed in range(80):
        row = relate(world(n=25, slope=slope, seed=seed), permutations=0, draws=149).loc["all"]
        held.append(row["spearman_low"] <= truth <= row["spearman_high"])
    # 95 % is promised; a percentile bootstrap of 25 falls a little short.
    assert np.mean(held) > 0.86


def test_neither_the_order_of_teachers_nor_of_groups_matters():
    parts = accuracy, alone, sat, teacher, relation = world(n=7)
    mixed = list(np.random.default_rng(0).permutation(accuracy.index))
    other = accuracy.loc[mixed], alone, sat[mixed], teacher[mixed], relation[mixed]
    pd.testing.assert_frame_equal(relate(parts, permutations=99, draws=99), relate(other, permutations=99, draws=99))


@pytest.mark.parametrize("what", ["two teachers", "constant SAT", "constant gain", "no SAT", "four teachers"])
def test_too_little_is_nan_and_no_error(what):
    accuracy, alone, sat, teacher, relation = world(n={"two teachers": 2, "four teachers": 4}.get(what, 8), seeds=2)
    if what == "constant SAT":
        sat[:] = 1.5
    if what == "no SAT":
        sat[:] = np.nan
    if what == "constant gain":
        accuracy = pd.DataFrame({seed: alone[seed] + 0.01 for seed in alone.index}, index=accuracy.index)
    row = relate((accuracy, alone, sat, teacher, relation), permutations=19, draws=49).loc["all"]
    if what == "four teachers":
        assert np.isfinite(row["spearman"]) and np.isnan(row["spearman_low"])
    else:
        assert row.drop("n_teachers").isna().all()
    assert row["n_teachers"] == (0 if what == "no SAT" else len(sat))


def test_teachers_without_sat_are_left_out():
    accuracy, alone, sat, teacher, relation = world(n=9)
    sat["t03"] = np.nan
    row = relate((accuracy, alone, sat, teacher, relation), permutations=0, draws=0).loc["all"]
    gain = accuracy.sub(alone, axis="columns").mean(axis=1)
    assert row["n_teachers"] == 8
    assert row["spearman"] == pytest.approx(spearmanr(sat.drop("t03"), gain.drop("t03"))[0])


def test_relation_of_base_architectures():
    kinds = {"s": "Transformer", "a": "Transformer", "b": "CNN", "c": ""}
    assert relation_to("s", kinds, ["a", "b", "c", "d"]) == ["same", "other", "unknown", "unknown"]
    assert relation_to("c", kinds, ["a", "c"]) == ["unknown", "unknown"]


CANDIDATES = pd.DataFrame(
    {
        "relation": ["same", "other", "other", "other"],
        "sat": [3.0, 1.0, 1.3, 2.0],
        "affinity": [0.1, 0.4, -0.5, -0.45],
        "accuracy": [0.90, 0.80, 0.85, 0.84],
    },
    index=["a", "b", "c", "d"],
)
CANDIDATES = CANDIDATES.assign(
    sat_low=CANDIDATES["sat"] - 0.2,
    sat_high=CANDIDATES["sat"] + 0.2,
    affinity_low=CANDIDATES["affinity"] - 0.1,
    affinity_high=CANDIDATES["affinity"] + 0.1,
    accuracy_low=CANDIDATES["accuracy"] - 0.02,
    accuracy_high=CANDIDATES["accuracy"] + 0.02,
)


@pytest.mark.parametrize(
    ("why", "among", "teacher", "ties"),
    [
        ("low_sat", "all", "b", ("c",)),
        ("high_sat", "all", "a", ()),
        ("low_affinity", "all", "c", ("d",)),
        ("high_affinity", "all", "b", ()),
        ("high_affinity", "same", "a", ()),
        ("high_sat", "other", "d", ()),
        ("accurate", "other", "c", ("d",)),
        ("accurate", "all", "a", ()),
    ],
)
def test_a_choice_and_what_it_is_not_told_from(why, among, teacher, ties):
    choice = choose(CANDIDATES, why, among)
    assert (choice.teacher, choice.ties) == (teacher, ties)


def test_nobody_to_choose():
    assert choose(CANDIDATES[CANDIDATES["relation"] == "other"], "low_sat", "same") is None
    assert choose(CANDIDATES.assign(sat=np.nan), "low_sat", "all") is None


@pytest.mark.parametrize(
    ("affinity", "sat", "expected"),
    [
        ((0.1, 0.9), (-0.9, -0.1), "high_affinity"),
        ((-0.9, -0.1), (0.1, 0.9), "low_affinity"),
        ((-0.1, 0.9), (0.1, 0.9), "high_sat"),
        ((np.nan, np.nan), (-0.9, -0.1), "low_sat"),
        ((-0.1, 0.9), (-0.9, 0.1), None),
        ((np.nan, np.nan), (np.nan, np.nan), None),
    ],
)
def test_a_direction_is_one_only_where_the_interval_says_so_and_affinity_comes_first(affinity, sat, expected):
    # Another group says nothing of all teachers.
    ends = [sat, (0.5, 0.9), affinity, (0.5, 0.9)]
    related = pd.DataFrame({"of": ["sat", "sat", "affinity", "affinity"], "group": ["all", "same"] * 2})
    related[["spearman_low", "spearman_high"]] = ends
    assert direction(related) == expected
    assert direction(None) is None
