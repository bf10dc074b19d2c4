"""The summary of a study's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sat.status.accuracies import near_chance
from sat.store.artefact import read_sidecar
from sat.store.tables import read_matrix, read_table
from sat.study.attack import AttackSettings
from sat.study.config import Config
from sat.text import columns, wrapped
from sat.units.analysis import SIMILARITIES

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
    lines = ["", *wrapped(f"Study {config.study}: {len(matrix)} models."), ""]
    for label, name in (
        ("matrix", "similarity/sat.csv"),
        ("pair table", "similarity/pairs.parquet"),
        ("figures", "figures/"),
        ("page", "report/atlas.html"),
        ("report", "report/report.html"),
    ):
        if (results / name).exists():
            lines.append(f"  {label:<11}{results / name}")
    if config.matrix:
        similar = _pairs_of(matrix)
        about = "SAT; the matrix comes from a file: no intervals available"
    else:
        similar = read_table(results / "similarity/most_similar.csv")
        similar = similar[similar["sat"].notna()]
        about = f"SAT, {config.confidence:.0%} interval; overlapping intervals mean no certain order"
    clusters, firmness = _clusters(results / "analysis")
    warnings = [] if config.matrix else _warnings(results, config, inaccurate, similar)
    lines += ["", "How far to trust this:"]
    lines += [
        line for text in [*firmness, *warnings, *_caveats(results, warnings)] for line in wrapped(text, "  - ", "    ")
    ]
    if (estimates := results / "similarity/estimated.csv").exists():
        estimated, said = _estimated(read_table(estimates), read_table(results / "similarity/landmarks.csv"))
        lines += [line for text in said for line in wrapped(text, "  - ", "    ")]
        clusters = [*estimated, *clusters]
        about += "; measured pairs only"
    lines += ["", *wrapped(f"Most similar pairs ({about}):"), *_similar(similar.head(n_pairs)), *clusters]
    return "\n".join(lines)


def _caveats(results: Path, said: Sequence[str]) -> list[str]:
    """What SAT may measure instead, as the analysis of caveats says it, without what the warnings already say."""
    if not (path := results / "analysis/caveats.csv").exists():
        return []
    warnings = read_table(path)["warning"].dropna()
    return [warning for warning in map(str, warnings) if not any(line.startswith(warning) for line in said)]


def _pairs_of(matrix: pd.DataFrame) -> pd.DataFrame:
    """List the pairs of different models of a matrix, the most similar first."""
    import numpy as np
    import pandas as pd

    first, second = np.triu_indices(len(matrix), 1)
    names, values = matrix.index.to_numpy(), matrix.to_numpy(float)[first, second]
    pairs = pd.DataFrame({"model_a": names[first], "model_b": names[second], "sat": values})
    return pairs.dropna().sort_values("sat", ascending=False, kind="stable")


def _estimated(pairs: pd.DataFrame, errors: pd.DataFrame) -> tuple[list[str], list[str]]:
    """List the estimated pairs with the highest SAT, and say how far to trust them all."""
    half, n_models = ((pairs["sat_high"] - pairs["sat_low"]) / 2).max(), len(errors)
    said = [
        f"estimated, not measured: {len(pairs):,} of {n_models * (n_models - 1) // 2:,} pairs, from "
        f"{int(errors['landmark'].sum())} landmarks; SAT within {half:.2f} of the estimate"
    ]
    if unlike := errors["model"][errors["unlike"]].tolist():
        said.append(f"estimates may be worse for models unlike all landmarks: {', '.join(unlike)}")
    return ["", "Estimated pairs with the highest SAT:", *_similar(pairs.head(3))], said


def _similar(pairs: pd.DataFrame) -> list[str]:
    """Make a line for each pair, with its interval and its mark if it has them."""
    rows = []
    for pair in pairs.to_dict("records"):
        interval = f"[{pair['sat_low']:.2f}, {pair['sat_high']:.2f}]" if "sat_low" in pair else ""
        mark = "" if pair.get("above_noise", True) else "not above noise"
        rows.append((pair["model_a"], pair["model_b"], f"{pair['sat']:.2f}", interval, mark))
    return columns(rows, names=(0, 1), right=(2,)) if rows else []


def _clusters(analysis: Path) -> tuple[list[str], list[str]]:
    """Print the clusters of SAT and of affinity, with what the study's own tables say of each.

    Returns
    -------
    lines : list of str
    firmness : list of str
        A sentence about each of the two clusterings.
    """
    import pandas as pd

    from sat.report.wording import STEADY, support

    clusters = read_table(analysis / "clusters.csv")
    choice = read_table(analysis / "choose_k.csv")
    draws = {"starts": read_table(analysis / "membership.csv")}
    # A study that starts from a matrix has no images to draw again.
    if (path := analysis / "stability_membership.csv").exists():
        draws["images"] = read_table(path)
    agreement = read_table(analysis / "clusters_agreement.csv").set_index(["first", "second"])["adjusted_rand"]
    lines, firmness = [], []
    for (of, name), column in zip(SIMILARITIES.items(), ("cluster", "cluster_affinity"), strict=True):
        table = clusters[["model", column]].dropna().astype({column: int})
        if table.empty:
            lines += ["", f"Clusters of {name}: none (fewer than 4 models have affinities)"]
            continue
        k = int(table[column].max())
        mates = pd.DataFrame({key: one[one["of"] == of].set_index("model")["mates"] for key, one in draws.items()})
        settled = mates.min(axis=1) >= STEADY
        head, supported = support(choice[choice["of"] == of].set_index("k"), k, bool(settled.all()))
        lines += ["", *wrapped(f"Clusters of {name} (k = {k}, as configured; {head}):")]
        for number, members in table.groupby(column)["model"]:
            firm = [model for model in members if settled[model]]
            # A cluster of which one member alone is settled holds no two that stay together.
            firm = firm if len(firm) > 1 or len(members) == 1 else []
            unsure = [model for model in members if model not in firm]
            parts = [", ".join(firm)] * bool(firm) + [f"(unsure: {', '.join(unsure)})"] * bool(unsure)
            lines += wrapped(f"{number}: {' '.join(parts)}", "  ", "     ")
        lines += wrapped(supported, "  ", "    ")
        if not settled.all():
            again = " and ".join(f"{share.min():.0%} to {share.max():.0%} over {key}" for key, share in mates.items())
            lines += wrapped(
                f"Unsure: on average, fewer than {STEADY:.0%} of the model's cluster mates stay with it. Over all "
                f"models, this share is {again}.",
                "  ",
                "    ",
            )
        count = "" if settled.all() else f"; the place of {int((~settled).sum())} of {len(settled)} models is unsure"
        firmness.append(f"clusters of {name} are {head.replace(': ', ' (')}{count})" if ": " in head else head)
    over = " and over images" if "images" in draws else ""
    firmness.append(
        f"firm means: over random starts{over}, not over other trainings or other pools of models; start agreement is "
        "the mean adjusted Rand index of two random starts (1: identical clusters)"
    )
    unit = agreement["sat", "sat_per_mille"]
    lines += [
        "",
        *wrapped(f"SAT's clusters against those with SAT in per mille: adjusted Rand {unit:.2f} (1: the same)"),
    ]
    if ("sat", "affinity") in agreement.index:
        lines += wrapped(f"SAT's clusters against affinity's: adjusted Rand {agreement['sat', 'affinity']:.2f}")
    return lines, firmness


def smaller_eps(attack: AttackSettings) -> str:
    """Half of an attack's eps, as a config file says it.

    Parameters
    ----------
    attack : AttackSettings

    Returns
    -------
    str
    """
    eps, norm = attack.eps_levels, attack.declaration.norm
    if norm == "linf":
        return f"attack.eps: {eps // 2}/255" if eps > 1 else "attack.eps is at the least grey level already"
    if norm == "patch":
        return f"attack.eps: {eps // 2}" if eps > 1 else "attack.eps is one pixel already"
    return f"attack.eps: {eps / 510:g}"


def _warnings(results: Path, config: Config, inaccurate: Mapping[str, float], similar: pd.DataFrame) -> list[str]:
    """List reasons why a study's numbers may mean less than they seem to."""
    from sat.report.wording import cautions

    models = read_table(results / "similarity/models.csv").set_index("model")
    ceiling = ""
    if (path := results / "analysis/caveats.csv").exists():
        caveats = read_table(path).set_index("quantity")["warning"]
        if isinstance(strong := caveats.get("at_ceiling"), str):
            ceiling = f"{strong}: {smaller_eps(config.attack)}"
    clean = ((str(name), read_sidecar(results / f"clean/{name}.h5")["facts"]) for name in models.index)
    return near_chance(results, clean, config.confidence) + cautions(
        models,
        similar,
        inaccurate,
        min_whitebox=config.min_whitebox,
        min_accuracy=config.min_accuracy,
        confidence=config.confidence,
        method=config.attack.method,
        first_success=config.attack.declaration.selection == "first_success",
        ceiling=ceiling,
    )
