import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from sat.analyses.ablation.agreement import ablation_pairs, ablation_table, clusters
from sat.analyses.ablation.figure import ablation_figure
from sat.report.style import paper, save

NAMES = [f"net{number}" for number in range(8)]
UPPER = np.triu_indices(8, 1)


def matrix(seed, like=None, weight=0.0):
    square = np.random.default_rng(seed).normal(size=(8, 8))
    square = (square + square.T) / 2
    return pd.DataFrame(square if like is None else weight * square + like.to_numpy(), NAMES, NAMES)


def centred(square):
    """A matrix that may be negative, without a diagonal, as affinity is."""
    values = square.to_numpy() - square.to_numpy()[UPPER].mean()
    np.fill_diagonal(values, np.nan)
    return pd.DataFrame(values, NAMES, NAMES)


@pytest.fixture(scope="module")
def found():
    study = matrix(0)
    matrices = {"(study)": study, "shifted": study + 0.5, "noisy": matrix(1, study, 0.5), "other": matrix(2)}
    matrices = {"sat": matrices, "affinity": {name: centred(one) for name, one in matrices.items()}}
    low = pd.DataFrame({"model": NAMES, "whitebox": [0.5, 1.0] * 4, "low_whitebox": [True, False] * 4})
    high = low.assign(whitebox=1.0, low_whitebox=False)
    models = dict.fromkeys(matrices["sat"], high) | {"other": low}
    pairs = ablation_pairs(matrices, 3)
    return matrices, ablation_table(matrices, models, pairs), pairs


@pytest.mark.parametrize("of", ["sat", "affinity"])
def test_against_scipy(found, of):
    matrices, table, pairs = found
    rows = table[table["of"] == of].set_index("variant")
    study = matrices[of]["(study)"].to_numpy()[UPPER]
    for name in ("shifted", "noisy", "other"):
        ours = matrices[of][name].to_numpy()[UPPER]
        assert rows.loc[name, "pearson"] == pytest.approx(pearsonr(ours, study)[0])
        assert rows.loc[name, "spearman"] == pytest.approx(spearmanr(ours, study)[0])
        if of == "sat":
            assert rows.loc[name, "mean_offset"] == pytest.approx((ours - study).mean())
            assert rows.loc[name, "mean_sat"] == pytest.approx(ours.mean())
    assert rows["n_pairs"].tolist() == [28] * 4
    if of == "affinity":
        assert rows[["mean_offset", "mean_sat"]].isna().all(axis=None), "its mean is 0 by construction"
    between = pairs[pairs["of"] == of].set_index(["variant_a", "variant_b"])["spearman"]
    assert len(between) == 6
    noisy, other = (matrices[of][name].to_numpy()[UPPER] for name in ("noisy", "other"))
    assert between["noisy", "other"] == pytest.approx(spearmanr(noisy, other)[0])


def test_the_study_is_not_compared_with_itself(found):
    _, table, _ = found
    for _, rows in table.groupby("of"):
        assert rows["variant"].tolist() == ["(study)", "shifted", "noisy", "other"]
        assert rows.iloc[0][["pearson", "spearman", "mantel_p", "mean_offset", "rand"]].isna().all()
        assert rows["mean_whitebox"].tolist() == [1, 1, 1, 0.75] and rows["n_low_whitebox"].tolist() == [0, 0, 0, 4]
        assert rows["mantel_p"].iloc[1] == 0.001, "a shift changes no order"


def blocks(order):
    """A matrix with three clusters: models that `order` puts into the same one share a similarity of 3."""
    square = np.where(np.equal.outer(order, order), 3.0, 0.5)
    return pd.DataFrame(square, NAMES, NAMES)


def test_clusters_are_compared_by_the_adjusted_rand_index():
    first, second = [0, 0, 0, 1, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1, 2, 2]
    sat = {"(study)": blocks(first), "same": 2 * blocks(first), "moved": blocks(second)}
    matrices = {"sat": sat, "affinity": {name: centred(one) for name, one in sat.items()}}
    models = dict.fromkeys(sat, pd.DataFrame({"whitebox": [1.0] * 8, "low_whitebox": [False] * 8}))
    pairs = ablation_pairs(matrices, 3)
    table = ablation_table(matrices, models, pairs, permutations=9).set_index(["of", "variant"])["rand"]
    pairs = pairs.set_index(["of", "variant_a", "variant_b"])["rand"]
    # Hubert & Arabie (1985), of the pairs of models that share a cluster in one, the other, or both.
    together = [np.equal.outer(order, order)[UPPER] for order in (first, second)]
    both, a, b = (together[0] & together[1]).sum(), together[0].sum(), together[1].sum()
    expected = (both - a * b / 28) / ((a + b) / 2 - a * b / 28)
    for of in ("sat", "affinity"):
        assert table[of, "same"] == 1 and table[of, "moved"] == pytest.approx(expected)
        assert pairs[of, "same", "moved"] == pytest.approx(expected)


def test_models_without_similarity_are_left_out_of_clusters():
    square = blocks([0, 0, 0, 1, 1, 1, 2, 2])
    square.iloc[0, :] = square.iloc[:, 0] = np.nan
    assert clusters(square, "sat", 3).index.tolist() == NAMES[1:]
    nothing = pd.DataFrame(np.nan, NAMES[:3], NAMES[:3])
    assert clusters(nothing, "affinity", 2).empty, "three models have no affinity"
    models = dict.fromkeys(("(study)", "b"), pd.DataFrame({"whitebox": [1.0] * 3, "low_whitebox": [False] * 3}))
    both = {"sat": dict.fromkeys(models, square.iloc[1:4, 1:4]), "affinity": dict.fromkeys(models, nothing)}
    table = ablation_table(both, models, ablation_pairs(both, 2), permutations=9).set_index(["of", "variant"])
    assert np.isnan(table.loc[("affinity", "b"), "rand"]) and table.loc[("sat", "b"), "rand"] == 1
    assert table.loc[("affinity", "b"), "n_pairs"] == 0


def test_the_figure_names_every_variant(found, tmp_path):
    _, table, pairs = found
    save(ablation_figure(table, pairs), tmp_path / "a.svg")
    text = [element.text for element in ElementTree.parse(tmp_path / "a.svg").iter() if element.tag.endswith("text")]
    assert all(text.count(name) == 2 for name in table["variant"])
    few = table.assign(spearman=np.nan), pairs.assign(spearman=np.nan)
    save(ablation_figure(*few), tmp_path / "b.svg")


@pytest.mark.parametrize("width", ["one", "two"])
def test_rows_of_many_variants_keep_their_distance_and_colours_a_scale(width, tmp_path):
    names = ["(study)", *(f"variant_{number}" for number in range(30))]
    table = pd.DataFrame({"variant": names, "of": "sat", "spearman": 0.5, "rand": 0.5, "mean_whitebox": 0.9})
    pairs = pd.DataFrame(itertools.combinations(names, 2), columns=["variant_a", "variant_b"])
    with paper(width):
        figure = ablation_figure(table.assign(n_low_whitebox=0), pairs.assign(of="sat", spearman=0.5))
        figure.canvas.draw()
    texts = [label for axes in figure.axes for label in axes.get_yticklabels() if label.get_text() in names]
    labels = [label.get_window_extent() for label in texts]
    assert len(labels) == len(names) * (2 if width == "one" else 1)
    for first, second in itertools.pairwise(labels):
        assert not first.overlaps(second)
    assert any(axes.get_ylabel() == "rank correlation" for axes in figure.axes), "cells are too small for numbers"
    save(figure, tmp_path / "a.svg")
