"""Spectral clustering of SAT or of affinity, how stable it is, and its t-SNE picture.

Spectral clustering needs weights that are not negative. Those of SAT are SAT itself, clipped at 0. So clusters of SAT
depend on the unit inside its logarithm. Those of affinity are its exponentials (`odds_ratios`), in which no unit is
left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import adjusted_rand_score, silhouette_score

from sat.seeds import generator

Floats = NDArray[np.float64]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Clustering:
    """Result of `spectral_clusters`."""

    table: pd.DataFrame
    """Columns model and cluster (1 is the largest), in the order of the matrix."""
    features: pd.DataFrame
    """Spectral features, shape (models, k), rows of length 1."""
    inertia: float
    """Inertia of the best k-means start."""
    n_clipped: int
    """Number of unordered pairs whose weight was below 0 and was raised to 0."""


def odds_ratios(affinity: pd.DataFrame) -> pd.DataFrame:
    """Turn affinity into weights for spectral clustering: its exponential, and 0 for a model with itself.

    The exponential of a difference of log-odds is a ratio of odds: how many times the odds of transfer are what the
    two models' own levels predict. It is positive, so that nothing is clipped, and it grows with affinity.

    Parameters
    ----------
    affinity : DataFrame, shape (n, n)

    Returns
    -------
    DataFrame, shape (n, n)
        NaN where affinity is NaN, except on the diagonal.

    References
    ----------
    Ng, Jordan & Weiss (2001). On spectral clustering. NIPS 14 (whose weights are exponentials with a diagonal of 0).
    """
    weights: pd.DataFrame = np.exp(affinity)
    return weights.mask(np.eye(len(weights), dtype=bool), 0.0)


def without_nan(matrix: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Drop models, the one with the most NaN first, until no NaN is left.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        Symmetric matrix.

    Returns
    -------
    DataFrame
        The matrix of the models that are left, without NaN.
    list of str
        The dropped models.
    """
    dropped: list[str] = []
    while (holes := matrix.isna().sum()).any():
        worst = str(holes.idxmax())
        dropped.append(worst)
        matrix = matrix.drop(index=worst, columns=worst)
    return matrix, dropped


def complete_models(*matrices: pd.DataFrame) -> list[str]:
    """List models, sorted, for which no matrix has NaN off the diagonal.

    Parameters
    ----------
    *matrices : DataFrame, shape (n, n)
        Symmetric. Models that one of them does not have are left out, and then those of `without_nan`.
    """
    models = sorted(set.intersection(*(set(matrix.index) for matrix in matrices)))
    holes = sum(matrix.loc[models, models].isna().to_numpy() for matrix in matrices) * ~np.eye(len(models), dtype=bool)
    kept, _ = without_nan(pd.DataFrame(np.where(holes, np.nan, 0.0), index=models, columns=models))
    return list(kept.index)


def spectral_clusters(matrix: pd.DataFrame, k: int, starts: int = 300, seed: int = 0) -> Clustering:
    """Cluster models by normalised spectral clustering.

    The weights W are max(matrix, 0): SAT with its measured diagonal, or `odds_ratios`. The k leading
    eigenvectors of D^-1/2 W D^-1/2 are scaled to rows of length 1, and k-means
    clusters the rows.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT, or `odds_ratios`: symmetric, without NaN.
    k : int
        Number of clusters, at most n.
    starts : int
        Number of k-means starts; the one with the least inertia is kept.
    seed : int
        Seed of k-means.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If k exceeds the number of models, or a model has no weight above 0, not even with itself.

    References
    ----------
    Ng, Jordan & Weiss (2001). On spectral clustering. NIPS 14.
    """
    _, features = _spectrum(matrix, k)
    means = KMeans(k, n_init=starts, random_state=seed).fit(features)
    table = pd.DataFrame({"model": matrix.index, "cluster": _by_size(means.labels_)})
    columns = [f"feature_{i + 1}" for i in range(k)]
    clipped = int(np.triu(matrix.to_numpy(float) < 0).sum())
    return Clustering(
        table, pd.DataFrame(features, index=matrix.index, columns=columns), float(means.inertia_), clipped
    )


def _spectrum(matrix: pd.DataFrame, k: int) -> tuple[Floats, Floats]:
    """Return all eigenvalues of the normalised weights, the largest first, and the spectral features, (n, k)."""
    values = matrix.to_numpy(float)
    if k > len(values):
        raise ValueError(f"{k} clusters of {len(values)} models")
    _refuse_nan(matrix)
    weights = np.maximum(values, 0.0)
    degree = weights.sum(axis=1)
    if (degree <= 0).any():
        lonely = ", ".join(matrix.index[degree <= 0])
        raise ValueError(f"no weight above 0 in the row of {lonely}")
    normalised = weights / np.sqrt(np.outer(degree, degree))
    values, vectors = np.linalg.eigh(normalised)
    leading = vectors[:, ::-1][:, :k]
    # An eigenvector's sign is arbitrary; fixing it makes files comparable.
    leading = leading * np.where(leading[np.abs(leading).argmax(axis=0), np.arange(k)] < 0, -1.0, 1.0)
    length = np.linalg.norm(leading, axis=1, keepdims=True)
    # If there are more separate parts than clusters, a part may get no direction. It then stays at the origin.
    return values[::-1], np.divide(leading, length, out=np.zeros_like(leading), where=length > 1e-12)


def _refuse_nan(matrix: pd.DataFrame) -> None:
    holes = matrix.index[matrix.isna().any(axis=1)]
    if len(holes):
        raise ValueError(f"NaN in the rows of {', '.join(map(str, holes[:10]))}; see without_nan")


def _by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number clusters from 1, the largest first; equal sizes are ordered by their first member."""
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = names[np.lexsort((first, -sizes))]
    rank = {label: number for number, label in enumerate(order, start=1)}
    return np.array([rank[label] for label in labels], np.int64)


def tsne_picture(features: pd.DataFrame, perplexity: float, seed: int = 0) -> pd.DataFrame | None:
    """Lay the spectral features out in two dimensions.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
    perplexity : float
        Largest perplexity. Where (n - 1) / 3 is smaller, that is used.
    seed : int

    Returns
    -------
    DataFrame or None
        Columns model, x and y. None with fewer than 4 models, for which t-SNE has no meaning.

    References
    ----------
    van der Maaten & Hinton (2008). JMLR 9, 2579-2605.
    """
    n = len(features)
    if n < 4:
        return None
    bound = min(perplexity, (n - 1) / 3)
    picture = TSNE(perplexity=bound, init="random", random_state=seed).fit_transform(features.to_numpy(np.float32))
    return pd.DataFrame({"model": features.index, "x": picture[:, 0], "y": picture[:, 1]})


def choose_k(matrix: pd.DataFrame, ks: Iterable[int] | None = None, starts: int = 100, seed: int = 0) -> pd.DataFrame:
    """Compare numbers of clusters by how well the data support each.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT, or `odds_ratios`: symmetric, without NaN.
    ks : iterable of int, optional
        Numbers of clusters; 2 to min(20, n - 1) by default. Numbers outside
        2 to n - 1 are left out: one cluster has no silhouette, and n clusters
        say nothing.
    starts : int
        Number of single k-means starts for each number of clusters.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        One row per number of clusters; no row with fewer than 3 models. Columns: k;
        eigengap (the k-th eigenvalue of the normalised weights minus the
        next one); largest_gap (whether it is the largest of this table);
        silhouette (mean over models, of the best start, in the spectral
        features; -1 to 1; NaN where k-means finds one cluster); inertia (of the
        best start); best_starts (share of starts whose inertia is within 0.1 %
        of the best); start_agreement (mean adjusted Rand index between the
        starts: 1 where every start finds the same clusters); smallest (number
        of models in the smallest cluster).

    References
    ----------
    von Luxburg (2007). A tutorial on spectral clustering. Stat. Comput. 17(4), 395-416 (section 8.3).
    Rousseeuw (1987). Silhouettes. J. Comput. Appl. Math. 20, 53-65.
    Hubert & Arabie (1985). Comparing partitions. J. Classif. 2, 193-218.
    """
    n = len(matrix)
    wanted = sorted({k for k in (range(2, 21) if ks is None else ks) if 2 <= k < n})
    rows = []
    for k in wanted:
        values, features = _spectrum(matrix, k)
        labels, inertia = _single_starts(features, k, starts, seed)
        best = labels[inertia.argmin()]
        sizes = np.unique(best, return_counts=True)[1]
        rows.append(
            {
                "k": k,
                "eigengap": values[k - 1] - values[k],
                "silhouette": silhouette_score(features, best) if len(sizes) > 1 else np.nan,
                "inertia": inertia.min(),
                # The absolute term matters with as many clusters as distinct models: inertia is then 0 up to rounding.
                "best_starts": (inertia <= inertia.min() * 1.001 + 1e-9).mean(),
                "start_agreement": _mean_rand_index(labels),
                "smallest": sizes.min(),
            }
        )
    columns = ["k", "eigengap", "silhouette", "inertia", "best_starts", "start_agreement", "smallest"]
    table = pd.DataFrame(rows, columns=columns)
    # Where all eigenvalues are equal, the largest gap is a rounding error.
    largest = (table["eigengap"] == table["eigengap"].max()) & (table["eigengap"] > 1e-9)
    table.insert(2, "largest_gap", largest)
    return table


def _single_starts(features: Floats, k: int, starts: int, seed: int) -> tuple[NDArray[np.int32], Floats]:
    """Run k-means from each start alone; return the labels, (starts, n), and the inertias, (starts,)."""
    seeds = generator("k-means starts", seed, k).integers(2**31, size=starts)
    found = [KMeans(k, n_init=1, random_state=int(one)).fit(features) for one in seeds]
    return np.array([means.labels_ for means in found]), np.array([means.inertia_ for means in found])


def _together(labels: Labels) -> NDArray[np.bool_]:
    """Whether two models share a cluster, shape (n, n)."""
    return np.asarray(labels[:, None] == labels)


def _mean_rand_index(labels: NDArray[np.int32]) -> float:
    """Mean adjusted Rand index between all pairs of rows; NaN with a single row.

    A matrix product counts the pairs of models that share a cluster for all pairs of
    rows at once. This takes a millisecond where scikit-learn's function takes a second.
    """
    if len(labels) < 2:
        return float("nan")
    above = np.triu_indices(labels.shape[1], 1)
    together = np.array([_together(row)[above] for row in labels], float)
    common = together @ together.T
    size = np.diag(common)
    expected = np.outer(size, size) / len(above[0])
    most = (size[:, None] + size) / 2
    # Two trivial partitions (one cluster, or one cluster per model) are equal, and need no correction for chance.
    trivial = most == expected
    index = np.where(trivial, 1.0, (common - expected) / np.where(trivial, 1.0, most - expected))
    return float(index[np.triu_indices(len(labels), 1)].mean())


def membership_over_starts(matrix: pd.DataFrame, found: Clustering, starts: int = 100, seed: int = 0) -> pd.DataFrame:
    """Measure how stable each model's cluster is over random starts of k-means.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        The matrix that `found` was made from.
    found : Clustering
    starts : int
        Number of single k-means starts.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        See `membership`.
    """
    k = found.features.shape[1]
    labels, _ = _single_starts(found.features.to_numpy(), k, starts, seed)
    return membership(found.table, [pd.Series(row, index=matrix.index) for row in labels])


def membership_over_matrices(
    replicates: Iterable[pd.DataFrame], clusters: pd.DataFrame, k: int, starts: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Measure how stable each model's cluster is when the matrix is measured on other images.

    Parameters
    ----------
    replicates : iterable of DataFrame, shape (n, n)
        Matrices such as those of `sat.similarity.resampling.bootstrap`: SAT, or the `odds_ratios` of affinity.
        A model that has NaN, or no value above 0, in a replicate is left out of that
        replicate. A replicate with fewer models than clusters is left out.
    clusters : DataFrame
        Columns model and cluster, for the measured matrix.
    k : int
        Number of clusters that the measured matrix was clustered into.
    starts : int
        Number of k-means starts for each replicate.
    seed : int
        Seed of the study.

    Returns
    -------
    DataFrame
        See `membership`.
    """
    labels = []
    for replicate in replicates:
        matrix, _ = without_nan(replicate)
        lonely = matrix.index[(matrix <= 0).all(axis=1)]
        matrix = matrix.drop(index=lonely, columns=lonely)
        if len(matrix) >= k:
            labels.append(spectral_clusters(matrix, k, starts, seed).table.set_index("model")["cluster"])
    return membership(clusters, labels)


def membership(table: pd.DataFrame, replicates: Sequence[pd.Series]) -> pd.DataFrame:
    """Measure how often each model stays with its cluster mates in replicates of a clustering.

    Parameters
    ----------
    table : DataFrame
        Columns model and cluster: the clustering whose stability is measured.
    replicates : sequence of Series of int
        Each gives a cluster number for each model, by the model's name. The numbers
        of different replicates need not correspond. A model may be missing in some.

    Returns
    -------
    DataFrame
        Columns: model; cluster; n_mates; n_replicates (number of replicates that
        contain the model); mates (mean share of its cluster mates that are in its
        cluster again; for a model alone in its cluster, the share of replicates in
        which it is alone again); overlap (mean of |both| / |either|, where the two
        sets are the model's cluster in the table and in the replicate, the model
        included; it also falls when other models join). NaN where the model is in
        no replicate.
    """
    models = table["model"].to_numpy()
    own = _together(table["cluster"].to_numpy())
    n_mates = own.sum(axis=1) - 1
    mates, overlap, known = (np.zeros(len(models)) for _ in range(3))
    for replicate in replicates:
        labels = replicate.reindex(models).to_numpy(float)
        here = ~np.isnan(labels)
        # NaN equals nothing, so a missing model shares no cluster, and does not count as a mate that has left.
        there = _together(labels)
        expected = own & here
        common, left = (own & there).sum(axis=1), expected.sum(axis=1)
        either = np.maximum(left + there.sum(axis=1) - common, 1)
        alone = there.sum(axis=1) == 1
        mates += np.where(here, np.where(left > 1, (common - 1) / np.maximum(left - 1, 1), alone), 0)
        overlap += np.where(here, common / either, 0)
        known += here
    n = np.where(known > 0, known, np.nan)
    columns = {"model": models, "cluster": table["cluster"].to_numpy(), "n_mates": n_mates}
    return pd.DataFrame(columns | {"n_replicates": known.astype(int), "mates": mates / n, "overlap": overlap / n})


def partition_agreement(partitions: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Compare partitions of the models by the adjusted Rand index.

    Parameters
    ----------
    partitions : mapping of str to Series
        A label for each model, by the model's name. Each pair is compared over the models that both have.

    Returns
    -------
    DataFrame
        One row per pair of partitions: first, second, n_models, adjusted_rand (1: the same partition, about 0: no more
        alike than by chance; NaN with fewer than 2 models).

    References
    ----------
    Hubert & Arabie (1985). Comparing partitions. J. Classif. 2, 193-218.
    """
    rows = []
    for (first, one), (second, other) in combinations(partitions.items(), 2):
        both = pd.concat([one, other], axis=1, join="inner", keys=["one", "other"]).dropna()
        index = adjusted_rand_score(both["one"], both["other"]) if len(both) > 1 else float("nan")
        rows.append((first, second, len(both), index))
    return pd.DataFrame(rows, columns=["first", "second", "n_models", "adjusted_rand"])


def feature_distances(features: pd.DataFrame, clusters: pd.DataFrame) -> pd.DataFrame:
    """Euclidean distances between spectral features, models in the order of their clusters.

    Parameters
    ----------
    features : DataFrame, shape (n, k)
        Spectral features, by model.
    clusters : DataFrame
        Columns model and cluster.

    Returns
    -------
    DataFrame, shape (n, n)
        Distances from 0 to 2, since features have length 1. Within a cluster,
        models keep the order of the table of clusters.
    """
    order = clusters.sort_values("cluster", kind="stable")["model"].tolist()
    points = features.loc[order].to_numpy()
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    return pd.DataFrame(distance, index=order, columns=order)


def dendrogram_linkage(matrix: pd.DataFrame, most: float = np.log(100)) -> Floats:
    """Average linkage of the distance ln 100 - SAT, or of another largest value less a similarity.

    The distance of SAT is 0 where every adversarial image transfers, and grows by
    ln 2 with every halving of the transfer rate. The height of a node is the mean
    over the pairs of models that it joins. No entry is clipped: SAT below 0 is a
    distance above ln 100. The distance is not a metric, and average linkage does
    not need one.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT, or affinity: symmetric, without NaN. The diagonal is not used.
    most : float
        The largest similarity that there may be.

    Returns
    -------
    float array, shape (n - 1, 4)
        The linkage in the form of `scipy.cluster.hierarchy.linkage`; empty with one model.

    References
    ----------
    Sokal & Michener (1958). Univ. Kansas Sci. Bull. 38, 1409-1438.
    """
    _refuse_nan(matrix)
    if len(matrix) < 2:
        return np.empty((0, 4))
    distance = most - matrix.to_numpy(float)
    np.fill_diagonal(distance, 0)
    # Rounding may leave a similarity a little above the largest.
    return np.asarray(linkage(squareform(np.maximum(distance, 0), checks=False), "average"))
