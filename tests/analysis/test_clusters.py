import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from sat.analysis.clusters import spectral_clusters, tsne_picture, without_nan

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


@pytest.mark.skipif(not RELEASED.exists(), reason=f"the matrix that the paper's authors released is not at {RELEASED}")
def test_released_matrix():
    matrix = pd.read_csv(RELEASED, index_col=0)
    found = spectral_clusters(matrix, 10)
    assert found.inertia <= 16.00
    same = found.table["cluster"].to_numpy()[:, None] == found.table["cluster"].to_numpy()
    off = ~np.eye(len(matrix), dtype=bool)
    assert matrix.to_numpy()[same & off].mean() == pytest.approx(3.14, abs=0.02)
    assert matrix.to_numpy()[~same].mean() == pytest.approx(2.61, abs=0.02)
