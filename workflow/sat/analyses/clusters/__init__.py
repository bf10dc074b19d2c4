"""Spectral clusters of models by SAT and by affinity, how stable they are, and their t-SNE picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sat.analyses.clusters.charts import CHARTS
from sat.errors import SatError
from sat.logs import log
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    import pandas as pd

    from sat.stages.given import Given
    from sat.study.plan import Plan
    from sat.study.study import Study


UNITS = {"sat_per_mille": 10, "sat_per_10000": 100}
"""Other units inside the logarithm of SAT, and how many make one per cent. The unit decides which pairs are clipped."""


class Clusters(Section):
    """Spectral clustering of the matrix."""

    k: Annotated[int, Field(ge=2)] = 10
    """Number of clusters. Where it is not written and the study has fewer than 10 models, it is half of their number,
    and at least 2."""
    starts: Annotated[int, Field(ge=300)] = 300
    """Number of k-means starts; the one with the least inertia is kept."""


class Tsne(Section):
    """The t-SNE picture of the spectral features."""

    perplexity: Annotated[float, Field(gt=0)] = 30.0
    """Largest perplexity. Where (models - 1) / 3 is smaller, that is used."""


class Settings(Section):
    """Keys of the config file."""

    clusters: Clusters = Clusters()
    tsne: Tsne = Tsne()


def _params(plan: Plan) -> dict[str, Any]:
    config = plan.config
    return {
        "families": {name: plan.study.model[name].family for name in plan.study.used},
        "k": config.clusters.k,
        "starts": config.clusters.starts,
        "perplexity": config.tsne.perplexity,
        "seed": config.seed,
    }


def _fault(study: Study) -> str:
    k, count = study.config.clusters.k, len(study.used)
    right = f"2 to {count}" if count > 2 else "2"
    return f"key 'clusters.k': {count} models cannot form {k} clusters; write {right}" if k > count else ""


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "affinity": "similarity/affinity.csv"},
    tables={
        "clusters": Shown("Clusters", "clusters"),
        "spectral_features": None,
        "tsne": None,
        "choose_k": Shown("Clusters", "how many clusters the data support"),
        "membership": Shown("Clusters", "cluster stability over random starts"),
        "clusters_agreement": Shown("Clusters", "how far they depend on the measure and its unit"),
    },
    charts=CHARTS,
    settings=Settings,
    params=_params,
    fault=_fault,
    estimates=True,
)


def run(given: Given, *, families: dict[str, str], k: int, starts: int, perplexity: float, seed: int) -> Answer:
    """Cluster the models whose SAT has no NaN, by SAT and by affinity.

    Parameters
    ----------
    given : Given
    families : dict of str to str
        Family of every model, which the clusters are compared with.
    k : int
        Number of clusters.
    starts : int
        Number of k-means starts.
    perplexity : float
        Largest perplexity of t-SNE.
    seed : int

    Returns
    -------
    Answer

    Raises
    ------
    SatError
        If no model is left.
    """
    import numpy as np
    import pandas as pd

    from sat.analyses.clusters.spectral import (
        choose_k,
        membership_over_starts,
        partition_agreement,
        spectral_clusters,
        tsne_picture,
        without_nan,
    )
    from sat.store.tables import stacked

    matrix, dropped = without_nan(given["sat"])
    for model in dropped:
        log.warning("%s: has no image in common with some other model, and is left out", model)
    for model in (lonely := matrix.index[(matrix <= 0).all(axis=1)]):
        log.warning("%s: has no SAT above 0, not even with itself, and is left out", model)
    matrix, dropped = matrix.drop(index=lonely, columns=lonely), [*dropped, *lonely]
    if matrix.empty:
        raise SatError(f"{given.path('sat')}: no model is left to be clustered; see the warnings in the log.")
    if k > len(matrix):
        log.warning("%d clusters instead of %d, because no more models are left", len(matrix), k)
        k = len(matrix)

    weights = {"sat": matrix}
    if (ratios := _ratios(given["affinity"], list(matrix.index))) is None:
        log.warning("no clusters of affinity: there is too little of it; similarity/affinity.csv.json may say why")
    else:
        weights["affinity"] = ratios
    found, choices, members, facts = {}, {}, {}, {}
    for of, values in weights.items():
        found[of] = spectral_clusters(values, min(k, len(values)), starts, seed)
        choice = choices[of] = choose_k(values, seed=seed)
        members[of] = membership_over_starts(values, found[of], seed=seed)
        best = choice["silhouette"] == choice["silhouette"].max()
        facts[of] = {
            "inertia": found[of].inertia,
            "k": min(k, len(values)),
            "k_of_largest_gap": choice["k"][choice["largest_gap"]].tolist(),
            "k_of_best_silhouette": choice["k"][best].tolist(),
        }
        log.info(
            "%s: %d clusters, inertia %.4f; the largest gap is at %s, the best silhouette at %s",
            of,
            *(facts[of][key] for key in ("k", "inertia", "k_of_largest_gap", "k_of_best_silhouette")),
        )
    if choices["sat"].empty:
        log.warning("the numbers of clusters are not compared: that needs 3 models, and there are %d", len(matrix))
    if found["sat"].n_clipped:
        log.warning("%d pairs have SAT below 0 and count as 0", found["sat"].n_clipped)
    picture = tsne_picture(found["sat"].features, perplexity, seed)
    if picture is None:
        log.warning("t-SNE is skipped: it needs 4 models, and there are %d", len(matrix))
        picture = pd.DataFrame(columns=["model", "x", "y"])

    partitions = {of: one.table.set_index("model")["cluster"] for of, one in found.items()}
    clusters = found["sat"].table.copy()
    clusters["cluster_affinity"] = clusters["model"].map(partitions.get("affinity", {})).astype("Int64")
    for unit, many in UNITS.items():
        again = spectral_clusters(matrix + np.log(many), k, starts, seed).table
        partitions[unit] = again.set_index("model")["cluster"]
    partitions["family"] = pd.Series({model: families[model] or None for model in matrix.index})
    tables = {
        "clusters": clusters,
        "spectral_features": found["sat"].features.rename_axis("model").reset_index(),
        "tsne": picture,
        "choose_k": stacked(choices),
        "membership": stacked(members),
        "clusters_agreement": partition_agreement(partitions),
    }
    own = {"dropped": dropped, "n_clipped": found["sat"].n_clipped, "affinity": facts.get("affinity")}
    return Answer(tables, facts=own | facts["sat"])


def _ratios(affinity: pd.DataFrame, models: list[str]) -> pd.DataFrame | None:
    """Weights of the models whose affinities have no NaN; None if these are fewer than 4."""
    from sat.analyses.clusters.spectral import odds_ratios, without_nan
    from sat.similarity.affinity import LEAST

    kept, dropped = without_nan(odds_ratios(affinity.loc[models, models]))
    if len(kept) < LEAST:
        return None
    for model in dropped:
        log.warning("%s: has no affinity to some other model, and no cluster of affinity", model)
    return kept
