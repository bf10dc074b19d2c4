"""The command on matrices that leave little to cluster: it warns, and writes what there is."""

import numpy as np
import pandas as pd
import pytest

from analysed import analyse, results_in, vouch
from sat.store.artefact import read_sidecar


def cluster(folder, matrix, k=2):
    results = results_in(folder)
    (results / "similarity").mkdir()
    matrix.rename_axis("model").reset_index().to_csv(results / "similarity/sat.csv", index=False)
    vouch(results / "similarity/sat.csv")
    status, _ = analyse(folder, "clusters", {"k": k, "starts": 300, "perplexity": 30.0, "seed": 0})
    return status, results / "analysis"


def square(names, value=2.0):
    return pd.DataFrame(value, index=names, columns=names) + np.eye(len(names))


@pytest.mark.parametrize("k", [2, 3])
def test_models_without_common_images_are_left_out(tmp_path, k):
    matrix = square(list("abc"))
    matrix.loc["a", "b"] = matrix.loc["b", "a"] = matrix.loc["a", "c"] = matrix.loc["c", "a"] = np.nan
    status, folder = cluster(tmp_path, matrix, k)
    assert status == 0
    assert pd.read_csv(folder / "clusters.csv")["model"].tolist() == ["b", "c"]
    assert read_sidecar(folder / "clusters.csv")["facts"]["dropped"] == ["a"]
    assert pd.read_csv(folder / "tsne.csv").empty
    choice = pd.read_csv(folder / "choose_k.csv")
    assert choice.empty and "largest_gap" in choice, "two models leave no number of clusters to choose"
    assert pd.read_csv(folder / "membership.csv")["model"].tolist() == ["b", "c"]


def test_a_model_that_nothing_fools_is_left_out(tmp_path):
    matrix = square(list("abc"))
    matrix.loc["a"] = matrix["a"] = -1.0
    status, folder = cluster(tmp_path, matrix)
    assert status == 0
    assert read_sidecar(folder / "clusters.csv")["facts"]["dropped"] == ["a"]


def test_nothing_left_is_an_error_that_says_so(tmp_path, capsys):
    status, folder = cluster(tmp_path, square(list("ab"), -3.0))
    assert status == 1
    assert "no model is left" in capsys.readouterr().err
    assert not (folder / "clusters.csv").exists()


def test_what_speaks_for_each_number_of_clusters_is_written_beside_those_asked_for(tmp_path):
    """Three planted families and two clusters asked for: the tables say so."""
    names = [f"{family}{i}" for family in "abc" for i in range(3)]
    matrix = square(names, 0.5)
    for family in "abc":
        own = [name for name in names if name[0] == family]
        matrix.loc[own, own] += 3
    status, folder = cluster(tmp_path, matrix, 2)
    assert status == 0
    choice = pd.read_csv(folder / "choose_k.csv").set_index("k")
    assert choice.index.tolist() == list(range(2, 9))
    assert choice.index[choice["largest_gap"]].tolist() == [3]
    assert choice.loc[3, "start_agreement"] == 1
    membership = pd.read_csv(folder / "membership.csv").set_index("model")
    assert membership.index.tolist() == names and membership["n_replicates"].eq(100).all()
    # Models of a family are alike to the last bit but rounding, so they share whatever becomes of them.
    assert membership.groupby(membership.index.str[0])["mates"].nunique().eq(1).all()
    assert membership["mates"].between(0, 1).all()
    for name in ("clusters.csv", "choose_k.csv", "membership.csv"):
        facts = read_sidecar(folder / name)["facts"]
        assert (facts["k"], facts["k_of_largest_gap"], facts["k_of_best_silhouette"]) == (2, [3], [3])
