"""The summary of a study's results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sat.store.tables import read_matrix, read_table
from sat.study.config import Config

if TYPE_CHECKING:
    import pandas as pd


def summarise(results: Path, config: Config, inaccurate: Mapping[str, float], n_pairs: int = 5) -> str:
    """Say where the results lie, which models are most alike, and which clusters were found.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    config : Config
    inaccurate : mapping of str to float
        Accuracy of the models that passed their gate but were flagged.
    n_pairs : int
        Number of most similar pairs to print.

    Returns
    -------
    str
        Several lines.
    """
    matrix = read_matrix(results / "similarity/sat.csv")
    clusters = read_table(results / "analysis/clusters.csv")
    lines = ["", f"Study {config.study}: {len(matrix)} models.", ""]
    for label, name in (
        ("matrix", "similarity/sat.csv"),
        ("pair table", "similarity/pairs.parquet"),
        ("figures", "figures/"),
        ("report", "report/report.html"),
    ):
        if (results / name).exists():
            lines.append(f"  {label:<11}{results / name}")
    if config.matrix:
        similar = _pairs_of(matrix)
        about = "SAT; the matrix comes from a file: no intervals available"
    else:
        similar = read_table(results / "similarity/most_similar.csv")
        similar = similar[(similar["model_a"] != similar["model_b"]) & similar["sat"].notna()]
        about = f"SAT, {config.confidence:.0%} interval; overlapping intervals mean no certain order"
    lines += ["", f"Most similar pairs ({about}):", *_similar(similar.head(n_pairs))]
    lines += ["", f"Clusters (k = {config.clusters.k}, as configured):"]
    for number, members in clusters.groupby("cluster")["model"]:
        lines.append(f"  {number}: {', '.join(members)}")
    warnings = [] if config.matrix else _warnings(results, config, inaccurate, similar)
    return "\n".join(lines + (["", "Be careful:", *(f"  {warning}" for warning in warnings)] if warnings else []))


def _pairs_of(matrix: pd.DataFrame) -> pd.DataFrame:
    """List the pairs of different models of a matrix, the most similar first."""
    import numpy as np
    import pandas as pd

    first, second = np.triu_indices(len(matrix), 1)
    names, values = matrix.index.to_numpy(), matrix.to_numpy(float)[first, second]
    pairs = pd.DataFrame({"model_a": names[first], "model_b": names[second], "sat": values})
    return pairs.dropna().sort_values("sat", ascending=False, kind="stable")


def _similar(pairs: pd.DataFrame) -> list[str]:
    """Make a line for each pair, with its interval and its mark if it has them."""
    labels = [f"{first}  {second}" for first, second in zip(pairs["model_a"], pairs["model_b"], strict=True)]
    width = max(map(len, labels), default=0)
    lines = []
    for label, pair in zip(labels, pairs.to_dict("records"), strict=True):
        interval = f"  [{pair['sat_low']:.2f}, {pair['sat_high']:.2f}]" if "sat_low" in pair else ""
        mark = "" if pair.get("above_noise", True) else "  not above noise"
        lines.append(f"  {label:<{width}}  {pair['sat']:.2f}{interval}{mark}")
    return lines


def _warnings(results: Path, config: Config, inaccurate: Mapping[str, float], similar: pd.DataFrame) -> list[str]:
    """List reasons why a study's numbers may mean less than they seem to."""
    models = read_table(results / "similarity/models.csv").set_index("model")
    warnings = [
        f"{name}: white-box success {models.loc[name, 'whitebox']:.2f} < {config.min_whitebox:g}; "
        "a stronger attack would raise its rates as a source"
        for name in models.index[models["low_whitebox"]]
    ]
    warnings += [
        f"{name}: accuracy {value:.3f} < min_accuracy {config.min_accuracy:g}" for name, value in inaccurate.items()
    ]
    if "off_published" in models:
        warnings += [
            f"{row.Index}: accuracy {100 * row.accuracy:.1f} %, published {row.published_top1:.1f} %; are weights, "
            "classes and preprocessing right?"
            for row in models[models["off_published"]].itertuples()
        ]
    if config.attack.declaration.selection == "first_success":
        warnings.append(
            f"{config.attack.method} keeps the adversarial images of its first success, which may transfer less: "
            "do not compare this matrix with one from another attack"
        )
    weak = int((~similar["above_noise"]).sum())
    if weak:
        warnings.append(f"{weak} of {len(similar)} pairs are not above random noise of the same size")
    return warnings
