"""The command on matrices that leave little to cluster: it warns, and writes what there is."""

import numpy as np
import pandas as pd
import pytest

from analysed import analyse, results_in, vouch
from sat.similarity.affinity import fit_affinity
from sat.store.artefact import read_sidecar


def cluster(folder, matrix, k=2, affinity=None):
    results = results_in(folder)
    (results / "similarity").mkdir()
    affinity = fit_affinity(matrix).matrix if affinity is None else affinity
    for name, square in (("sat", matrix), ("affinity", affinity)):
        square.rename_axis("model").reset_index().to_csv(results / f"similarity/{name}.csv", index=False)
        vouch(results / f"similarity/{name}.csv")
    families = {name: name[0] for name in matrix.index}
    params = {"families": families, "k": k, "starts": 300, "perplexity": 30.0, "seed": 0}
    status, _ = analyse(folder, "clusters", params)
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
    choice = pd.read_csv(folder / "choose_k.csv")
    choice = choice[choice["of"] == "sat"].set_index("k")
    assert choice.index.tolist() == list(range(2, 9))
    assert choice.index[choice["largest_gap"]].tolist() == [3]
    assert choice.loc[3, "start_agreement"] == 1
    membership = pd.read_csv(folder / "membership.csv")
    assert membership.groupby("of")["model"].apply(list).to_dict() == {"affinity": names, "sat": names}
    membership = membership[membership["of"] == "sat"].set_index("model")
    assert membership.index.tolist() == names and membership["n_replicates"].eq(100).all()
    # Models of a family are alike to the last bit but rounding, so they share whatever becomes of them.
    assert membership.groupby(membership.index.str[0])["mates"].nunique().eq(1).all()
    assert membership["mates"].between(0, 1).all()
    for name in ("clusters.csv", "choose_k.csv", "membership.csv"):
        facts = read_sidecar(folder / name)["facts"]
        assert (facts["k"], facts["k_of_largest_gap"], facts["k_of_best_silhouette"]) == (2, [3], [3])


def planted(shift=0.0):
    """Three families of three, with negative SAT across two of them."""
    names = [f"{family}{i}" for family in "abc" for i in range(3)]
    random = np.random.default_rng(1)
    noise = random.normal(0, 0.1, (9, 9))
    matrix = pd.DataFrame(shift + (noise + noise.T) / 2, index=names, columns=names)
    for family in "abc":
        own = [name for name in names if name[0] == family]
        matrix.loc[own, own] += 3
    return matrix


def test_clusters_of_sat_and_of_affinity_stand_side_by_side_and_are_compared(tmp_path):
    status, folder = cluster(tmp_path, planted(), 3)
    assert status == 0
    clusters = pd.read_csv(folder / "clusters.csv")
    assert clusters.columns.tolist() == ["model", "cluster", "cluster_affinity"]
    assert clusters["cluster"].tolist() == clusters["cluster_affinity"].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    agreement = pd.read_csv(folder / "clusters_agreement.csv").set_index(["first", "second"])
    assert set(agreement.index.get_level_values(0)) == {"sat", "affinity", "sat_per_mille", "sat_per_10000"}
    assert agreement["adjusted_rand"].eq(1).all() and agreement["n_models"].eq(9).all()
    facts = read_sidecar(folder / "clusters.csv")["facts"]
    assert facts["affinity"]["k_of_best_silhouette"] == facts["k_of_best_silhouette"] == [3]


def test_another_unit_that_changes_what_is_clipped_shows_in_the_agreement(tmp_path):
    """Far below 1 %, all weights across pairs are 0 in per cent: nine models that have only themselves."""
    matrix = planted(-4.0) + 4.5 * np.eye(9)
    status, folder = cluster(tmp_path, matrix, 3)
    assert status == 0
    agreement = pd.read_csv(folder / "clusters_agreement.csv").set_index(["first", "second"])["adjusted_rand"]
    assert agreement["sat_per_mille", "family"] == 1 and agreement["affinity", "family"] == 1
    assert agreement["sat", "sat_per_mille"] == agreement["sat", "family"] < 0.9


def test_three_models_have_no_clusters_of_affinity(tmp_path, caplog):
    status, folder = cluster(tmp_path, square(list("abc")))
    assert status == 0 and "no clusters of affinity" in caplog.text
    assert pd.read_csv(folder / "clusters.csv")["cluster_affinity"].isna().all()
    assert set(pd.read_csv(folder / "membership.csv")["of"]) == {"sat"}
    assert read_sidecar(folder / "clusters.csv")["facts"]["affinity"] is None


def test_a_model_without_affinity_keeps_its_cluster_of_sat(tmp_path, caplog):
    matrix = planted()
    affinity = fit_affinity(matrix).matrix
    affinity.loc["a0", ["b0", "b1"]] = affinity.loc[["b0", "b1"], "a0"] = np.nan
    status, folder = cluster(tmp_path, matrix, 3, affinity)
    assert status == 0 and "a0: has no affinity to some other model" in caplog.text
    clusters = pd.read_csv(folder / "clusters.csv").set_index("model")
    assert clusters.index[clusters["cluster_affinity"].isna()].tolist() == ["a0"] and clusters["cluster"].notna().all()
