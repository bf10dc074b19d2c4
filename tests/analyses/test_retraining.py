"""The luck of trainings: variances whose truth is known, what follows from them, and pools that leave little to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysed import analyse, results_in, vouch
from sat.analyses.retraining.trainings import Trainings, pair_table, summary, variances
from sat.study.study import load_study


def trained(n_nets=8, seeds=3, nets=1.0, model=0.3, pair=0.4, seed=0) -> Trainings:
    """SAT and H: a value of each pair of nets, an effect of each model, and luck of each pair of models."""
    random = np.random.default_rng(seed)
    net = np.repeat(np.arange(n_nets), seeds)
    n = len(net)

    def symmetric(spread, size):
        square = np.triu(random.normal(0, spread, (size, size)))
        return square + np.triu(square, 1).T

    effect = random.normal(0, model, n)
    square = 6 + symmetric(nets, n_nets)[net][:, net] + effect[:, None] + effect + symmetric(pair, n)
    names = [f"n{i:02d}_{k}" for i in range(n_nets) for k in range(seeds)]
    # SAT is rarely below 0, and a model is most like itself.
    np.fill_diagonal(square, 12)
    frame = pd.DataFrame(square, names, names)
    return Trainings(pd.Series([f"n{i:02d}" for i in net], index=names), frame, frame)


def image_intervals(trainings: Trainings, half: float) -> dict[str, pd.DataFrame]:
    names = trainings.nets.index
    a, b = np.triu_indices(len(names), 1)
    value = trainings.sat.to_numpy()[a, b]
    # Names in either order.
    table = pd.DataFrame({"model_a": names[b], "model_b": names[a], "low": value - half, "high": value + half})
    return {"sat": table, "affinity": table}


def test_variances_of_simulated_trainings():
    """nets 1, each of two models .3 squared, each pair .4 squared: .34 of the trainings."""
    found = []
    for seed in range(40):
        simulated = trained(seed=seed)
        draws = list(simulated.draws(30, seed))
        upper = np.triu_indices(8, 1)
        found.append(variances([tuple(simulated.of_pool("sat", pool)[upper] for pool in pools) for pools in draws]))
    assert np.mean([each.trainings for each in found]) == pytest.approx(2 * 0.3**2 + 0.4**2, rel=0.05)
    assert np.mean([each.nets for each in found]) == pytest.approx(1, rel=0.1)


def test_affinity_is_free_of_each_models_own_luck():
    """What is left of the variance of the trainings is that of pairs: n - 3 of n - 1 degrees of freedom."""
    found = {name: [] for name in ("sat", "affinity")}
    upper = np.triu_indices(8, 1)
    for seed in range(12):
        simulated = trained(model=0.8, pair=0.2, seed=seed)
        draws = list(simulated.draws(12, seed))
        for name, each in found.items():
            values = [tuple(simulated.of_pool(name, pool)[upper] for pool in pools) for pools in draws]
            each.append(variances(values).trainings)
    assert np.mean(found["sat"]) == pytest.approx(2 * 0.8**2 + 0.2**2, rel=0.2)
    assert np.mean(found["affinity"]) == pytest.approx(0.2**2 * 5 / 7, rel=0.1)


def test_two_trainings_by_brute_force():
    """With two models of each net, every draw is one pool or another and its complement."""
    simulated = trained(4, 2)
    sat = simulated.sat.to_numpy(copy=True)
    products, squares, correlations, kept, covered = [], [], [], [], []
    for code in range(16):
        first = [2 * net + (code >> net & 1) for net in range(4)]
        second = [2 * net + 1 - (code >> net & 1) for net in range(4)]
        a, b = (sat[np.ix_(pool, pool)].copy() for pool in (first, second))
        x, y = (np.array([square[i, j] for i in range(4) for j in range(i + 1, 4)]) for square in (a, b))
        products.append(np.sum((x - x.mean()) * (y - y.mean())) / 5)
        squares.append(np.mean((x - y) ** 2) / 2)
        correlations.append(spearmanr(x, y).statistic)
        np.fill_diagonal(a, -9)
        np.fill_diagonal(b, -9)
        kept.append(np.mean(a.argmax(1) == b.argmax(1)))
        covered.append(np.mean(np.abs(x - y) <= 0.5))
    row = summary(simulated, image_intervals(simulated, 0.5), 4).set_index("measure").loc["sat"]
    # 100 draws of the 16.
    assert row["sd_trainings"] ** 2 == pytest.approx(np.mean(squares), rel=0.1)
    assert row["sd_nets"] ** 2 == pytest.approx(np.mean(products), rel=0.1)
    assert row["correlation"] == pytest.approx(np.mean(correlations), abs=0.06)
    assert row["nearest_kept"] == pytest.approx(np.mean(kept), abs=0.06)
    assert row["covered"] == pytest.approx(np.mean(covered), abs=0.06)
    assert row["sd_images"] == pytest.approx(0.5 / 1.959964)
    assert row["widening"] == pytest.approx(np.hypot(row["sd_images"], row["sd_trainings"]) / row["sd_images"])
    assert np.isnan(row["rand"]), "as many clusters as nets"
    same = np.repeat(np.arange(4), 2)[:, None] == np.repeat(np.arange(4), 2)
    upper = np.triu(np.ones((8, 8), bool), 1)
    assert row["mean_within"] == pytest.approx(sat[same & upper].mean())
    assert row["mean_across"] == pytest.approx(sat[~same].mean())
    np.fill_diagonal(sat, -9)
    assert row["nearest_is_own"] == np.mean([np.argmax(sat[i]) == i ^ 1 for i in range(8)])


def test_clusters_that_stay_and_clusters_that_are_luck():
    simulated = trained(6, 3, nets=0, model=0, pair=0.01)
    block = np.arange(6)[simulated.nets.str[1:].astype(int)] % 2
    square = 2.0 * (block[:, None] == block) + simulated.sat
    firm = Trainings(simulated.nets, square, square)
    table = summary(firm, image_intervals(firm, 0.1), 2).set_index("measure")
    assert table.loc["sat", "rand"] == 1 and table.loc["sat", "share"] < 0.01
    luck = trained(6, 3, nets=0, model=0, pair=0.5)
    table = summary(luck, image_intervals(luck, 0.1), 2).set_index("measure")
    assert table.loc["sat", "share"] > 0.6 and abs(table.loc["sat", "rand"]) < 0.4
    assert table.loc["sat", "share_low"] <= table.loc["sat", "share"] <= table.loc["sat", "share_high"] <= 1


def test_pools_of_a_draw_share_no_model_and_hold_every_net():
    simulated = trained(5, 3)
    drawn = list(simulated.draws(20, 1))
    for first, second in drawn:
        assert not set(first) & set(second)
        assert [simulated.nets[name] for name in first] == [simulated.nets[name] for name in second] == simulated.names
    assert len({tuple(first) for first, _ in drawn}) > 5


def test_few_nets_and_holes():
    """Three nets have no affinity; a pair without an image is left out; nothing else is lost."""
    few = trained(3, 2)
    table = summary(few, image_intervals(few, 0.1), 2).set_index("measure")
    assert np.isfinite(table.loc["sat", "share"]) and np.isnan(table.loc["affinity", "share"])
    assert np.isnan(table.loc["affinity", ["covered", "nearest_kept", "widening"]].astype(float)).all()
    holes = trained(6, 2)
    sat = holes.sat.copy()
    sat.iloc[0, 5] = sat.iloc[5, 0] = np.nan
    table = summary(Trainings(holes.nets, sat, sat), image_intervals(holes, 0.1), 2).set_index("measure")
    assert np.isfinite(table["share"]).all() and np.isnan(table.loc["sat", "rand"])


def test_the_table_of_pairs_averages_over_trainings():
    simulated = trained(3, 2)
    table = pair_table(simulated).set_index(["net_a", "net_b"])
    assert table["n_pairs"].to_dict() == {
        **{(f"n0{i}", f"n0{j}"): 4 for i, j in ((0, 1), (0, 2), (1, 2))},
        **{(f"n0{i}", f"n0{i}"): 1 for i in range(3)},
    }
    values = simulated.sat.loc[["n00_0", "n00_1"], ["n01_0", "n01_1"]].to_numpy()
    row = table.loc[("n00", "n01")]
    assert (row["sat"], row["sat_lowest"], row["sat_highest"]) == (
        pytest.approx(values.mean()),
        values.min(),
        values.max(),
    )
    assert table["sat"].is_monotonic_decreasing


@pytest.mark.parametrize(("nets", "affinity"), [(5, True), (3, False)])
def test_the_command(tmp_path, nets, affinity):
    results = results_in(tmp_path)
    simulated = trained(nets, 2, nets=0.5)
    names = list(simulated.nets.index)
    n = len(names)
    random = np.random.default_rng(0)
    fooled = random.integers(5, 90, (n, n))
    fooled = np.where(np.eye(n, dtype=bool), 100, fooled)
    rate = (fooled + fooled.T) / 2
    sat = pd.DataFrame(np.log(rate), names, names)
    for folder in ("similarity", "analysis"):
        (results / folder).mkdir()
    sat.rename_axis("model").to_csv(results / "similarity/sat.csv")
    s, t = (side.ravel() for side in np.indices((n, n)))
    pairs = pd.DataFrame({"source": np.array(names)[s], "target": np.array(names)[t], "n_fooled": fooled[s, t]})
    pairs.assign(n_both_correct=100).to_parquet(results / "similarity/pairs.parquet")
    a, b = np.triu_indices(n, 1)
    table = pd.DataFrame({"model_a": np.array(names)[a], "model_b": np.array(names)[b], "sat": sat.to_numpy()[a, b]})
    table.assign(sat_low=table["sat"] - 0.2, sat_high=table["sat"] + 0.2).to_csv(
        results / "similarity/most_similar.csv", index=False
    )
    table.assign(affinity_low=-0.1, affinity_high=0.1).to_csv(results / "analysis/effects_pairs.csv", index=False)
    for path in [*results.glob("similarity/*"), *results.glob("analysis/*")]:
        vouch(path)
    params = {"nets": simulated.nets.to_dict(), "k": 2, "confidence": 0.95, "seed": 0}
    status, _ = analyse(tmp_path, "retraining", params)
    assert status == 0
    found = pd.read_csv(results / "analysis/retraining.csv").set_index("measure")
    assert found["n_nets"].tolist() == [nets, nets] and found["n_models"].tolist() == [n, n]
    # Rates were drawn without regard to nets.
    assert found.loc["sat", "share"] > 0.5
    assert np.isfinite(found.loc["affinity", "share"]) == affinity
    figure = (results / "figures/retraining.svg").read_text()
    assert "SAT of two trainings" in figure and ("affinity of two trainings" in figure) == affinity


def row(model, architecture="test_resnet", **more):
    return {"model": model, "architecture": architecture, "weights": "train", "family": "any", "use": "yes", **more}


def test_models_that_differ_in_their_seed_alone(write_study):
    """A name is a seed; other settings, other architectures and retired models are other nets, or none."""
    rows = [
        row("b", **{"training.epochs": ""}),
        row("a", **{"training.epochs": ""}),
        # The study's own number, written out.
        row("c", **{"training.epochs": "3"}),
        row("longer", **{"training.epochs": "4"}),
        row("retired", use="no", **{"training.epochs": ""}),
        row("v1", "test_vit", **{"training.epochs": "9"}),
        row("v2", "test_vit", **{"training.epochs": "9"}),
        row("alone", "test_byobnet", **{"training.epochs": ""}),
    ]
    study = load_study([write_study(rows)])
    assert study.trained_again == {"a": "a", "b": "a", "c": "a", "v1": "v1", "v2": "v1"}


def test_nets_of_one_function_with_other_arguments_are_other_nets(write_study, tmp_path):
    (tmp_path / "my_nets.py").write_text("def small(num_classes, width=8):\n    raise NotImplementedError\n")
    widths = {"narrow": 16, "narrow_again": 16, "wide": 32, "wide_again": 32, "hundred": 16}
    rows = [
        row(name, "my_nets:small", **{"option.width": str(width), "classes": "100" if name == "hundred" else ""})
        for name, width in widths.items()
    ]
    study = load_study([write_study(rows, code="my_nets.py")])
    alike = {"narrow": "narrow", "narrow_again": "narrow", "wide": "wide", "wide_again": "wide"}
    assert study.trained_again == alike


@pytest.mark.parametrize(("architectures", "wanted"), [(2, False), (3, True)])
def test_wanted_where_three_nets_were_trained_again(write_study, architectures, wanted):
    from sat.study.plan import Plan

    names = ("test_resnet", "test_vit", "test_byobnet")[:architectures]
    rows = [row(f"{name}_{seed}", name) for name in names for seed in range(2)]
    assert ("retraining" in Plan(load_study([write_study(rows)])).analyses) == wanted
