"""Both directions of pairs: against counting by hand, and on pools that leave little to compare."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, pearsonr, spearmanr

from analysed import analyse, results_in, vouch
from sat.analyses.directions.rates import pool_table, two_way_table
from sat.similarity.similarity import pair_table, unordered_pairs


def tables(n=6, images=300, seed=0, right=0.9, rate=None):
    random = np.random.default_rng(seed)
    names = [f"m{i}" for i in range(n)]
    rate = random.uniform(0, 0.3, (n, n)) if rate is None else rate
    correct = {name: random.random(images) < right for name in names}
    fooled = {(s, t): random.random(images) < rate[i, j] for i, s in enumerate(names) for j, t in enumerate(names)}
    noise = {name: random.random(images) < 0.05 for name in names}
    pairs = pair_table(correct, fooled, noise, 0.01)
    return (correct, fooled, noise), pairs, unordered_pairs(pairs, 0.01).query("model_a != model_b")


def test_each_direction_against_counting():
    (correct, fooled, noise), pairs, both = tables()
    table = two_way_table(pairs, both)
    assert len(table) == 15 and (table["model_a"] < table["model_b"]).all()
    p = []
    for row in table.itertuples():
        counts = []
        for s, t, way in ((row.model_a, row.model_b, "ab"), (row.model_b, row.model_a, "ba")):
            used = correct[s] & correct[t]
            hit = fooled[s, t][used]
            assert getattr(row, f"rate_{way}") == pytest.approx(hit.mean())
            assert getattr(row, f"noise_rate_{way}") == pytest.approx(noise[t][used].mean())
            interval = binomtest(int(hit.sum()), len(hit)).proportion_ci(method="wilson")
            assert getattr(row, f"rate_low_{way}") == pytest.approx(interval.low)
            assert getattr(row, f"rate_high_{way}") == pytest.approx(interval.high)
            over, under = (hit & ~noise[t][used]).sum(), (~hit & noise[t][used]).sum()
            expected = binomtest(int(over), int(over + under), alternative="greater").pvalue if over + under else 1
            assert getattr(row, f"noise_p_{way}") == pytest.approx(expected)
            p.append((expected, getattr(row, f"noise_p_holm_{way}")))
            counts.append((hit.sum() + 0.5) / (len(hit) + 1))
        assert row.ratio == pytest.approx(max(counts) / min(counts))
    # Holm, step by step, over all 30 directions.
    largest = 0.0
    for place, (raw, adjusted) in enumerate(sorted(p)):
        largest = max(largest, raw * (30 - place))
        assert adjusted == pytest.approx(min(largest, 1))
    assert table["ratio"].is_monotonic_decreasing


def test_the_pool_against_counting():
    _, pairs, both = tables(8, 400, 1)
    table = two_way_table(pairs, both)
    found = pool_table(pairs, table).set_index("quantity")["value"]
    rate = pairs.pivot(index="source", columns="target", values="rate").to_numpy()
    first, second = np.triu_indices(8, 1)
    forth, back = rate[first, second], rate[second, first]
    sat = np.log(np.maximum(100 * (forth + back) / 2, 0.01))
    assert found["ratio_above_5"] == sum(max(a, b) > 5 * min(a, b) for a, b in zip(forth, back, strict=True)) > 0
    assert found["spearman_larger"] == pytest.approx(spearmanr(sat, np.maximum(forth, back)).statistic)
    assert found["spearman_smaller"] == pytest.approx(spearmanr(sat, np.minimum(forth, back)).statistic)
    off = ~np.eye(8, dtype=bool)
    square = pairs.assign(odds=np.log((pairs["n_fooled"] + 0.5) / (pairs["n_both_correct"] - pairs["n_fooled"] + 0.5)))
    odds = square.pivot(index="source", columns="target", values="odds").to_numpy()
    assert found["correlation_of_directions"] == pytest.approx(pearsonr(odds[off], odds.T[off]).statistic)
    # Both effects taken out by indicator variables, one of each a source or a target.
    s, t = np.nonzero(off)
    design = np.column_stack([np.eye(8)[s], np.eye(8)[t]])
    rest = np.zeros((8, 8))
    rest[s, t] = odds[s, t] - design @ np.linalg.lstsq(design, odds[s, t], rcond=None)[0]
    assert found["correlation_of_rests"] == pytest.approx(pearsonr(rest[off], rest.T[off]).statistic)
    ordered = pairs[pairs["source"] != pairs["target"]]
    one = both["above_noise"] & (both["directions_above"] == 1)
    assert found["above_noise"] == both["above_noise"].sum() and found["above_noise_in_one_direction"] == one.sum()
    assert found["directions_above_noise"] == ordered["above_noise"].sum() >= found["directions_above_noise_holm"]
    assert found["above_noise_holm"] == (both["noise_p_holm"] <= 0.025).sum()


def test_likeness_shows_once_effects_are_taken_out():
    """Strong sources that are robust targets: directions disagree until both effects are known."""
    random = np.random.default_rng(2)
    level = np.linspace(-1.5, 1.5, 10)
    like = random.normal(0, 0.5, (10, 10))
    odds = -2 + level[:, None] - level + (like + like.T) / np.sqrt(2)
    _, pairs, both = tables(10, 3000, 2, rate=1 / (1 + np.exp(-odds)))
    found = pool_table(pairs, two_way_table(pairs, both)).set_index("quantity")["value"]
    assert found["correlation_of_directions"] < -0.3 and found["correlation_of_rests"] > 0.8


def lay_out(folder, pairs, both):
    results = results_in(folder)
    (results / "similarity").mkdir()
    pairs.to_parquet(results / "similarity/pairs.parquet", index=False)
    both.to_csv(results / "similarity/most_similar.csv", index=False)
    for name in ("pairs.parquet", "most_similar.csv"):
        vouch(results / "similarity" / name)
    return results


@pytest.mark.parametrize("n", [2, 3, 12, 30])
def test_the_analysis(tmp_path, n):
    results = lay_out(tmp_path, *tables(n)[1:])
    assert analyse(tmp_path, "directions", {"confidence": 0.95})[0] == 0
    assert len(pd.read_csv(results / "analysis/directions.csv")) == n * (n - 1) // 2
    pool = pd.read_csv(results / "analysis/directions_pool.csv").set_index("quantity")
    assert pool["value"].notna().all() and ("correlation_of_rests" in pool.index) == (n > 2)
    text = (results / "figures/directions.svg").read_text()
    assert all(f">m{i}<" in text for i in range(n)) and f"of {n * (n - 1)} directions" in text
    below = n * (n - 1) - int(pool.loc["directions_above_noise_holm", "value"])
    assert f"not above random noise: {below} of" in text
    corners = "".join(re.findall(r'<g id="PolyCollection_\d+">(.*?)\n   </g>', text, re.DOTALL))
    # Many corners become one image.
    assert corners.count("<path ") == (below if below <= 200 else 0), "a corner for each of them"


def test_no_common_image_and_no_transfer_are_no_failure(tmp_path):
    for place, (right, rate) in enumerate(((0.0, None), (1.0, np.zeros((4, 4))))):
        folder = tmp_path / str(place)
        results = lay_out(folder, *tables(4, 50, right=right, rate=rate)[1:])
        assert analyse(folder, "directions", {"confidence": 0.95})[0] == 0
        table = pd.read_csv(results / "analysis/directions.csv")
        assert table["ratio"].isna().all() if right == 0 else table["ratio"].eq(1).all()
        assert (results / "figures/directions.svg").exists()
