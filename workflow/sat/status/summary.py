"""The words at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sat.store.tables import read_table
from sat.study.config import Config


def summarise(results: Path, config: Config, inaccurate: Mapping[str, float], n_pairs: int = 5) -> str:
    """Say where the results lie, which models are most alike, and which families were found.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    config : Config
    inaccurate : mapping of str to float
        Accuracy of the models that passed their gate flagged.
    n_pairs : int
        How many of the most similar pairs to print.

    Returns
    -------
    str
        Several lines.
    """
    similar = read_table(results / "similarity/most_similar.csv")
    similar = similar[(similar["model_a"] != similar["model_b"]) & similar["sat"].notna()]
    models = read_table(results / "similarity/models.csv").set_index("model")
    clusters = read_table(results / "analysis/clusters.csv")
    lines = ["", f"Study {config.study}: {len(models)} models.", ""]
    for label, name in (
        ("matrix", "similarity/sat.csv"),
        ("pair table", "similarity/pairs.parquet"),
        ("figures", "figures/"),
        ("report", "report/report.html"),
    ):
        if (results / name).exists():
            lines.append(f"  {label:<11}{results / name}")
    width = (
        max(len(f"{pair.model_a}  {pair.model_b}") for pair in similar.head(n_pairs).itertuples())
        if len(similar)
        else 0
    )
    lines += [
        "",
        f"Most similar pairs (SAT, {config.confidence:.0%} interval; overlapping intervals mean no certain order):",
    ]
    for pair in similar.head(n_pairs).itertuples():
        mark = "" if pair.above_noise else "  not above noise"
        lines.append(
            f"  {f'{pair.model_a}  {pair.model_b}':<{width}}  {pair.sat:.2f}"
            f"  [{pair.sat_low:.2f}, {pair.sat_high:.2f}]{mark}"
        )
    lines += ["", f"Families found (spectral clusters, k = {config.clusters.k} as configured):"]
    for number, members in clusters.groupby("cluster")["model"]:
        lines.append(f"  {number}: {', '.join(members)}")
    warnings = [
        f"{name}: white-box success {models.loc[name, 'whitebox']:.2f} < {config.min_whitebox:g}; "
        "its row and column are too low"
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
            "compare this matrix with none of another attack"
        )
    weak = int((~similar["above_noise"]).sum())
    if weak:
        warnings.append(f"{weak} of {len(similar)} pairs are not above random noise of the same size")
    return "\n".join(lines + (["", "Be careful:", *(f"  {warning}" for warning in warnings)] if warnings else []))
