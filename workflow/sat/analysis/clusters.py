"""Spectral clustering of a similarity matrix, and its t-SNE picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE


@dataclass(frozen=True)
class Clustering:
    """Result of `spectral_clusters`."""

    table: pd.DataFrame
    """model, cluster (1 for the largest), in the order of the matrix."""
    features: pd.DataFrame
    """Spectral features, shape (models, k), rows of length 1."""
    inertia: float
    """Of the best k-means start."""
    n_clipped: int
    """Unordered pairs whose SAT below 0 was raised to 0."""


def without_nan(matrix: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Drop as few models as it takes, the one with most NaN first, until none is left.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        Symmetric.

    Returns
    -------
    DataFrame
        Without NaN.
    list of str
        Dropped models.
    """
    dropped: list[str] = []
    while (holes := matrix.isna().sum()).any():
        worst = str(holes.idxmax())
        dropped.append(worst)
        matrix = matrix.drop(index=worst, columns=worst)
    return matrix, dropped


def spectral_clusters(matrix: pd.DataFrame, k: int, starts: int = 300, seed: int = 0) -> Clustering:
    """Cluster models by normalised spectral clustering.

    The affinity is max(SAT, 0) with its measured diagonal. The k leading
    eigenvectors of D^-1/2 A D^-1/2 are scaled to rows of length 1, and k-means
    clusters the rows.

    Parameters
    ----------
    matrix : DataFrame, shape (n, n)
        SAT; symmetric, without NaN.
    k : int
        Number of clusters, at most n.
    starts : int
        k-means starts; the one with the least inertia is kept.
    seed : int
        Of k-means.

    Returns
    -------
    Clustering

    Raises
    ------
    ValueError
        If k exceeds the number of models, or a model is similar to none, itself included.

    References
    ----------
    Ng, Jordan & Weiss (2001). On spectral clustering. NIPS 14.
    """
    sat = matrix.to_numpy(float)
    if k > len(sat):
        raise ValueError(f"{k} clusters of {len(sat)} models")
    affinity = np.maximum(sat, 0.0)
    degree = affinity.sum(axis=1)
    if (degree <= 0).any():
        lonely = ", ".join(matrix.index[degree <= 0])
        raise ValueError(f"no SAT above 0 in the row of {lonely}")
    normalised = affinity / np.sqrt(np.outer(degree, degree))
    _, vectors = np.linalg.eigh(normalised)
    leading = vectors[:, ::-1][:, :k]
    # An eigenvector's sign is arbitrary; fixing it makes files comparable.
    leading = leading * np.where(leading[np.abs(leading).argmax(axis=0), np.arange(k)] < 0, -1.0, 1.0)
    features = leading / np.linalg.norm(leading, axis=1, keepdims=True)
    means = KMeans(k, n_init=starts, random_state=seed).fit(features)
    table = pd.DataFrame({"model": matrix.index, "cluster": _by_size(means.labels_)})
    columns = [f"feature_{i + 1}" for i in range(k)]
    clipped = int(np.triu(sat < 0).sum())
    return Clustering(
        table, pd.DataFrame(features, index=matrix.index, columns=columns), float(means.inertia_), clipped
    )


def _by_size(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number clusters from 1, the largest first, ties by first member."""
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
        Upper bound; (n - 1) / 3 is used where that is less.
    seed : int

    Returns
    -------
    DataFrame or None
        model, x, y. None with fewer than 4 models, for which t-SNE has no meaning.

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
