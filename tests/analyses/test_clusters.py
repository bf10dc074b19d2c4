import os
from itertools import combinations
from math import comb, exp
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import fcluster
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score, silhouette_score

from sat.analyses.clusters import spectral as clusters
from sat.analyses.clusters.spectral import (
    choose_k,
    dendrogram_linkage,
    feature_distances,
    membership,
    membership_over_matrices,
    membership_over_starts,
    odds_ratios,
    partition_agreement,
    spectral_clusters,
    tsne_picture,
    without_nan,
)
from sat.similarity.affinity import fit_affinity, log_odds_of_sat

RELEASED = (
    Path(os.environ.get("SAT_REFERENCE", Path(__file__).resolve().parents[3] / "shared/reference")) / "SAT_release.csv"
)


def blocks(sizes=(5, 4, 3), within=3.5, across=1.0, seed=0):
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    matrix = np.where(truth[:, None] == truth, within, across) + random.normal(0, 0.1, (len(truth), len(truth)))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, np.log(100))
    names = [f"m{i:02d}" for i in range(len(truth))]
    return pd.DataFrame(matrix, index=names, columns=names), truth


def test_blocks_are_found_and_numbered_by_size():
    matrix, truth = blocks()
    found = spectral_clusters(matrix, 3, starts=20)
    assert adjusted_rand_score(truth, found.table["cluster"]) == 1
    assert found.table["cluster"].value_counts().to_dict() == {1: 5, 2: 4, 3: 3}
    assert np.allclose(np.linalg.norm(found.features, axis=1), 1)


def test_features_are_eigenvectors_of_the_normalised_affinity():
    matrix, _ = blocks()
    found = spectral_clusters(matrix, 3, starts=5)
    degree = matrix.sum(axis=1)
    normalised = matrix / np.sqrt(np.outer(degree, degree))
    values = np.sort(np.linalg.eigvalsh(normalised))[::-1][:3]
    # Rows were scaled to length 1; scaled back, each column is an eigenvector of its value.
    leading = np.linalg.eigh(normalised)[1][:, ::-1][:, :3]
    unscaled = found.features.to_numpy() * np.linalg.norm(leading, axis=1, keepdims=True)
    assert np.allclose(normalised.to_numpy() @ unscaled, unscaled * values)


def test_agrees_with_scikit_learn_on_clear_blocks():
    matrix, _ = blocks((7, 6, 5, 4), seed=3)
    ours = spectral_clusters(matrix, 4, starts=20).table["cluster"]
    theirs = SpectralClustering(4, affinity="precomputed", n_init=20, random_state=0).fit_predict(matrix)
    assert adjusted_rand_score(theirs, ours) == 1


def test_order_of_models_changes_no_family():
    matrix, _ = blocks()
    order = np.random.default_rng(1).permutation(len(matrix))
    mixed = matrix.iloc[order, order]
    first = spectral_clusters(matrix, 3, starts=20).table.set_index("model")["cluster"]
    second = spectral_clusters(mixed, 3, starts=20).table.set_index("model")["cluster"]
    assert adjusted_rand_score(first, second.loc[first.index]) == 1


def test_more_separate_models_than_clusters():
    """No model transfers to another: three parts, and two clusters to put them in."""
    names = list("abc")
    matrix = pd.DataFrame(np.where(np.eye(3), [4.6, 4.6, 4.4], -4.6), names, names)
    found = spectral_clusters(matrix, 2)
    assert found.table["cluster"].nunique() == 2 and np.isfinite(found.features).all(axis=None)
    assert spectral_clusters(matrix, 3).table["cluster"].nunique() == 3


def test_negative_entries_count_as_zero():
    matrix, _ = blocks()
    matrix.iloc[0, 11] = matrix.iloc[11, 0] = matrix.iloc[1, 10] = matrix.iloc[10, 1] = -2.0
    found = spectral_clusters(matrix, 3, starts=5)
    assert found.n_clipped == 2
    assert np.allclose(found.features, spectral_clusters(matrix.clip(lower=0), 3, starts=5).features)


def test_models_with_nan_are_dropped_as_few_as_possible():
    matrix, _ = blocks()
    for other in ("m01", "m05"):
        matrix.loc["m03", other] = matrix.loc[other, "m03"] = np.nan
    kept, dropped = without_nan(matrix)
    assert dropped == ["m03"]
    assert not kept.isna().any().any() and len(kept) == 11


def test_degenerate_input_says_what_is_wrong():
    matrix, _ = blocks((1, 1))
    with pytest.raises(ValueError, match="3 clusters of 2 models"):
        spectral_clusters(matrix, 3)
    with pytest.raises(ValueError, match="m00"):
        spectral_clusters(matrix * 0, 2)
    assert tsne_picture(matrix, 30) is None


def test_tsne_keeps_clear_blocks_apart():
    matrix, truth = blocks((6, 6, 6))
    picture = tsne_picture(spectral_clusters(matrix, 3, starts=5).features, 30)
    points = picture[["x", "y"]].to_numpy()
    distance = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(len(points), np.inf))
    assert (truth[distance.argmin(axis=1)] == truth).all()


def test_planted_clusters_are_chosen_by_all_criteria():
    matrix, _ = blocks((6, 5, 5, 4), within=4.0, across=0.5)
    table = choose_k(matrix, starts=20).set_index("k")
    assert table.index.tolist() == list(range(2, 20))
    assert table.index[table["largest_gap"]].tolist() == [4]
    assert table["silhouette"].idxmax() == 4
    assert table.loc[4, "start_agreement"] == pytest.approx(table["start_agreement"].max())
    assert table.loc[4, "smallest"] == 4
    degree = matrix.sum(axis=1)
    values = np.linalg.eigvalsh(matrix / np.sqrt(np.outer(degree, degree)))[::-1]
    assert np.allclose(table["eigengap"], values[1:-1] - values[2:])
    found = spectral_clusters(matrix, 4, starts=20)
    assert table.loc[4, "silhouette"] == pytest.approx(silhouette_score(found.features, found.table["cluster"]))
    assert table.loc[4, "inertia"] == pytest.approx(found.inertia)
    assert choose_k(matrix, starts=20).set_index("k").equals(table)


def test_rand_index_against_scikit_learn():
    labels = np.random.default_rng(0).integers(0, 3, (5, 12)).astype(np.int32)
    labels[3], labels[4] = 0, np.arange(12)
    expected = [adjusted_rand_score(labels[i], labels[j]) for i in range(5) for j in range(i)]
    assert clusters._mean_rand_index(labels) == pytest.approx(np.mean(expected))
    assert clusters._mean_rand_index(labels[[3, 3]]) == clusters._mean_rand_index(labels[[4, 4]]) == 1
    assert np.isnan(clusters._mean_rand_index(labels[:1]))


def test_agreement_of_partitions_against_counting_pairs():
    """Hubert and Arabie's formula, with pairs counted one by one, over the models that both partitions have."""
    random = np.random.default_rng(3)
    names = [f"m{i}" for i in range(11)]
    one = pd.Series(random.integers(0, 3, 11), names)
    other = pd.Series([f"family {i}" for i in random.integers(0, 3, 11)], names)
    other["m4"] = None
    table = partition_agreement({"one": one, "other": other, "part": one[names[:2]], "nothing": one[[]]})
    together = [
        (one[a] == one[b], other[a] == other[b]) for a, b in combinations([name for name in names if name != "m4"], 2)
    ]
    both, first, second = (sum(map(rule, together)) for rule in (all, lambda pair: pair[0], lambda pair: pair[1]))
    chance = first * second / comb(10, 2)
    expected = (both - chance) / ((first + second) / 2 - chance)
    rows = table.set_index(["first", "second"])
    assert rows.loc[("one", "other"), "adjusted_rand"] == pytest.approx(expected) and abs(expected) < 1
    assert rows.loc[("one", "other"), "n_models"] == 10
    assert rows.loc[("one", "part"), "adjusted_rand"] == 1, "the same where both are known"
    assert np.isnan(rows.loc[("one", "nothing"), "adjusted_rand"]) and len(table) == 6


def test_clusters_of_affinity_find_families_among_models_of_different_fragility():
    """Each family has fragile and robust models. Clusters of SAT follow fragility, those of affinity the family."""
    random = np.random.default_rng(0)
    index = {"sat": [], "affinity": []}
    for _ in range(6):
        family = np.repeat([0, 1, 2], 4)
        effect = random.normal(0, 1, 12)
        noise = random.normal(0, 0.2, (12, 12))
        half = -4 + effect[:, None] + effect + 1.2 * (family[:, None] == family) + (noise + noise.T) / 2
        sat = np.log(100 / (1 + np.exp(-half)))
        np.fill_diagonal(sat, np.log(100))
        weights = {"sat": pd.DataFrame(sat), "affinity": odds_ratios(fit_affinity(pd.DataFrame(half)).matrix)}
        for of, matrix in weights.items():
            found = spectral_clusters(matrix, 3, starts=30)
            assert of == "sat" or found.n_clipped == 0
            index[of].append(adjusted_rand_score(family, found.table["cluster"]))
    assert min(index["affinity"]) > 0.7 and np.mean(index["affinity"]) > 0.9, index
    assert np.mean(index["sat"]) < 0.6, index


def test_odds_ratios_are_positive_and_keep_what_is_missing():
    affinity = pd.DataFrame([[np.nan, -2.0, 0.5], [-2.0, np.nan, np.nan], [0.5, np.nan, np.nan]], index=list("abc"))
    affinity.columns = affinity.index
    found = odds_ratios(affinity)
    assert found.loc["a", "b"] == pytest.approx(exp(-2)) and found.loc["a", "c"] == pytest.approx(exp(0.5))
    assert np.isnan(found.loc["b", "c"]) and np.diag(found).tolist() == [0, 0, 0]


def test_choosing_among_few_models():
    matrix, _ = blocks((2, 1))
    assert choose_k(matrix)["k"].tolist() == [2]
    two = choose_k(matrix.iloc[:2, :2])
    assert two.empty and two.columns.tolist() == choose_k(matrix).columns.tolist()
    assert choose_k(blocks((9, 9, 9))[0], starts=3)["k"].max() == 20
    assert choose_k(matrix, [1, 2, 3, 7])["k"].tolist() == [2]
    matrix.iloc[0, 1] = matrix.iloc[1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN in the rows of m00, m01"):
        choose_k(matrix)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_models_that_are_all_alike_form_one_cluster():
    names = list("abcd")
    alike = pd.DataFrame(3.0, index=names, columns=names)
    found = spectral_clusters(alike, 1, starts=2)
    assert found.table["cluster"].tolist() == [1, 1, 1, 1]
    assert (membership_over_starts(alike, found, 3)[["mates", "overlap"]] == 1).all(axis=None)
    assert not choose_k(alike, starts=2)["largest_gap"].any()


def test_membership_against_a_loop():
    random = np.random.default_rng(0)
    models = [f"m{i}" for i in range(9)]
    table = pd.DataFrame({"model": models, "cluster": [1, 1, 1, 1, 2, 2, 2, 3, 3]})
    replicates = [pd.Series(random.integers(0, 3, 9), index=models) for _ in range(6)]
    replicates[0] = replicates[0].drop("m1")
    found = membership(table, replicates).set_index("model")
    own = table.set_index("model")["cluster"]
    for model in models:
        mates, overlap = [], []
        for labels in replicates:
            if model not in labels:
                continue
            before = {m for m in labels.index if own[m] == own[model]}
            after = {m for m in labels.index if labels[m] == labels[model]}
            mates.append((len(before & after) - 1) / (len(before) - 1))
            overlap.append(len(before & after) / len(before | after))
        assert found.loc[model, "n_replicates"] == len(mates)
        assert found.loc[model, "mates"] == pytest.approx(np.mean(mates))
        assert found.loc[model, "overlap"] == pytest.approx(np.mean(overlap))


def test_membership_of_a_lone_model_and_without_replicates():
    table = pd.DataFrame({"model": ["a", "b", "c"], "cluster": [1, 1, 2]})
    again = [pd.Series([0, 0, 5], index=list("abc")), pd.Series([4, 0, 0], index=list("abc"))]
    found = membership(table, again)
    assert found["n_mates"].tolist() == [1, 1, 0]
    assert found["mates"].tolist() == [0.5, 0.5, 0.5]
    assert membership(table, [])[["mates", "overlap"]].isna().all(axis=None)


def test_a_model_between_two_families_is_the_unsure_one():
    matrix, _ = blocks((5, 5), within=3.5, across=1.5)
    between = np.r_[np.full(10, 2.5), np.log(100)]
    matrix.loc["between"], matrix["between"] = between[:10], between
    random = np.random.default_rng(0)

    def again():
        error = np.triu(random.normal(0, 0.1, matrix.shape))
        return matrix + error + error.T

    found = spectral_clusters(matrix, 2, starts=20)
    stable = membership_over_matrices((again() for _ in range(30)), found.table, 2, starts=5).set_index("model")
    assert stable["mates"].idxmin() == "between"
    assert stable.loc["between", "mates"] < 0.9
    over_starts = membership_over_starts(matrix, found, 10)
    assert over_starts["mates"].idxmin() == 10 and (over_starts["n_replicates"] == 10).all()
    assert over_starts.equals(membership_over_starts(matrix, found, 10))


def test_replicates_with_nan_count_for_the_models_that_are_left():
    matrix, _ = blocks()
    found = spectral_clusters(matrix, 3, starts=5)
    holes = matrix.copy()
    holes.loc["m03"] = holes["m03"] = np.nan
    lonely = matrix.copy()
    lonely.loc["m04"] = lonely["m04"] = -1.0
    replicates = [matrix, holes, lonely, matrix.iloc[:2, :2]]
    table = membership_over_matrices(replicates, found.table, 3, starts=5).set_index("model")
    assert table["n_replicates"].drop(["m03", "m04"]).eq(3).all()
    assert table.loc[["m03", "m04"], "n_replicates"].tolist() == [2, 2]
    assert np.allclose(table["mates"], 1) and np.allclose(table["overlap"], 1)


def test_feature_distances_are_ordered_by_cluster():
    matrix, _ = blocks((3, 5, 4))
    found = spectral_clusters(matrix, 3, starts=5)
    distance = feature_distances(found.features, found.table)
    number = found.table.set_index("model")["cluster"]
    assert number[distance.index].is_monotonic_increasing
    assert distance.index.equals(distance.columns) and np.allclose(distance, distance.T)
    a, b = found.features.loc["m00"], found.features.loc["m11"]
    assert distance.loc["m00", "m11"] == pytest.approx(np.linalg.norm(a - b))
    assert (np.diag(distance) == 0).all() and distance.max(axis=None) <= 2


def test_dendrogram_joins_families_first():
    matrix, truth = blocks((5, 4, 3))
    matrix.iloc[0, 11] = matrix.iloc[11, 0] = -2.0
    tree = dendrogram_linkage(matrix)
    assert tree.shape == (11, 4)
    assert adjusted_rand_score(truth, fcluster(tree, 3, "maxclust")) == 1
    off = matrix.to_numpy()[np.triu_indices(12, 1)]
    assert tree[0, 2] == pytest.approx(np.log(100) - off.max())
    # The last join of two models only is their distance; of one, there is none.
    assert dendrogram_linkage(matrix.iloc[[0, 11], [0, 11]])[0, 2] == pytest.approx(np.log(100) + 2)
    assert dendrogram_linkage(matrix.iloc[:1, :1]).shape == (0, 4)
    matrix.iloc[0, 1] = np.nan
    with pytest.raises(ValueError, match="m00"):
        dendrogram_linkage(matrix)


@pytest.mark.skipif(not RELEASED.exists(), reason=f"the matrix that the paper's authors released is not at {RELEASED}")
def test_nothing_in_the_released_matrix_speaks_for_ten_clusters():
    table = choose_k(pd.read_csv(RELEASED, index_col=0), starts=30).set_index("k")
    assert table.index.tolist() == list(range(2, 21))
    assert table.index[table["largest_gap"]].tolist() == [2]
    assert table.loc[10, "eigengap"] < 0.05 * table["eigengap"].max()
    assert table["silhouette"].idxmax() == 2
    assert table.loc[10, "start_agreement"] < 0.8


@pytest.mark.skipif(not RELEASED.exists(), reason=f"the matrix that the paper's authors released is not at {RELEASED}")
def test_released_matrix():
    matrix = pd.read_csv(RELEASED, index_col=0)
    found = spectral_clusters(matrix, 10)
    assert found.inertia <= 16.00
    same = found.table["cluster"].to_numpy()[:, None] == found.table["cluster"].to_numpy()
    off = ~np.eye(len(matrix), dtype=bool)
    assert matrix.to_numpy()[same & off].mean() == pytest.approx(3.14, abs=0.02)
    assert matrix.to_numpy()[~same].mean() == pytest.approx(2.61, abs=0.02)


@pytest.mark.skipif(not RELEASED.exists(), reason=f"the matrix that the paper's authors released is not at {RELEASED}")
def test_the_released_clusters_do_not_depend_on_the_unit_and_affinity_finds_others():
    matrix = pd.read_csv(RELEASED, index_col=0)
    affinity = odds_ratios(fit_affinity(log_odds_of_sat(matrix)).matrix)
    views = {"sat": matrix, "per mille": matrix + np.log(10), "affinity": affinity}
    tables = {of: spectral_clusters(view, 10).table.set_index("model")["cluster"] for of, view in views.items()}
    found = partition_agreement(tables).set_index(["first", "second"])["adjusted_rand"]
    assert found["sat", "per mille"] > 0.9
    assert 0.5 < found["sat", "affinity"] < 0.9
