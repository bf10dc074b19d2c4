"""Time of the analyses of a thousand models, compared with the plain way to the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import numpy as np
import pandas as pd
from sklearn.cluster import SpectralClustering

from harness import Table, interleave, ratio, say
from sat.analyses.clusters.spectral import spectral_clusters
from sat.analyses.components.importance import full_fit, mean_differences, pair_data
from sat.analyses.groups.means import group_means
from sat.statistics.pairs import orders

N, CLUSTERS, PERMUTATIONS, FEW = 1000, 10, 9999, 9
COMPONENTS = {"architecture": 6, "stem": 19, "normalisation": 8, "activation": 9, "hierarchical": 2}


def run(repeats: int) -> Table:
    sat, table = synthetic()
    families = table["architecture"]
    order = orders(N, FEW, 0)
    square = sat.to_numpy()
    off = ~np.eye(N, dtype=bool)

    def loop(columns: pd.DataFrame) -> None:
        """Compute it the plain way: compare the labels of all pairs again for each permutation."""
        for name in columns:
            label = columns[name].to_numpy(object)
            for row in order:
                same = label[row][:, None] == label[row][None, :]
                _ = square[same & off].mean(), square[~same].mean()

    kmeans = SpectralClustering(CLUSTERS, affinity="precomputed", n_init=300, random_state=0)
    contenders: dict[str, tuple[Callable[[], object], Callable[[], object] | None, float]] = {
        "clusters (k = 10, 300 starts)": (
            lambda: spectral_clusters(sat, CLUSTERS, 300, 0),
            lambda: kmeans.fit(np.maximum(square, 0)),
            1.0,
        ),
        f"groups ({PERMUTATIONS:,} permutations)": (
            lambda: group_means(sat, families),
            lambda: loop(families.to_frame()),
            (PERMUTATIONS + 1) / len(order),
        ),
        f"mean differences of {len(COMPONENTS)} components ({PERMUTATIONS:,} permutations)": (
            lambda: mean_differences(sat, table),
            lambda: loop(table),
            (PERMUTATIONS + 1) / len(order),
        ),
        "components: one regression of 50,000 sampled pairs": (
            lambda: full_fit(pair_data(sat, table), "default", 0),
            None,
            1.0,
        ),
    }
    rows = []
    for name, (ours, plain, times) in contenders.items():
        say(name)
        took = interleave({"ours": ours, **({"plain": plain} if plain else {})}, repeats)
        beside = ratio([times * seconds for seconds in took["plain"]], took["ours"]) if plain else ""
        rows.append((name, f"{median(took['ours']):.1f}", beside))
    return Table(
        "analyses",
        f"A made-up matrix of {N:,} models, one thread. Beside each the plain way to the same numbers: scikit-learn's "
        "SpectralClustering, and a loop over permutations that compares the labels of all pairs anew (ten of them, "
        "scaled). Above 1 ours is faster.",
        ("analysis", "seconds", "plain way, times as long"),
        rows,
    )


def synthetic() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A matrix in which some components matter, and their table."""
    random = np.random.default_rng(0)
    names = [f"model{number:04d}" for number in range(N)]
    codes = {name: random.integers(0, size, N) for name, size in COMPONENTS.items()}
    square = 2 + 0.1 * random.standard_normal((N, N))
    for name, weight in (("architecture", 0.4), ("stem", 0.5)):
        square += weight * (codes[name][:, None] == codes[name][None, :])
    square = (square + square.T) / 2
    np.fill_diagonal(square, 4.6)
    table = pd.DataFrame({name: [f"v{code}" for code in code_list] for name, code_list in codes.items()}, names)
    return pd.DataFrame(square, names, names), table
