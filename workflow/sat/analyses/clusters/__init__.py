"""Spectral clusters of models, how stable they are, and their t-SNE picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sat.errors import SatError
from sat.logs import log
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from sat.stages.given import Given
    from sat.study.plan import Plan
    from sat.study.study import Study


class Clusters(Section):
    """Spectral clustering of the matrix."""

    k: Annotated[int, Field(ge=2)] = 10
    """Number of clusters."""
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
        "k": config.clusters.k,
        "starts": config.clusters.starts,
        "perplexity": config.tsne.perplexity,
        "seed": config.seed,
    }


def _fault(study: Study) -> str:
    k, count = study.config.clusters.k, len(study.used)
    return f"key 'clusters.k': {count} models cannot form {k} clusters; write 2 to {count}" if k > count else ""


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv"},
    tables={
        "clusters": Shown("Clusters", "clusters"),
        "spectral_features": None,
        "tsne": None,
        "choose_k": Shown("Clusters", "how many clusters the data support"),
        "membership": Shown("Clusters", "cluster stability over random starts"),
    },
    settings=Settings,
    params=_params,
    fault=_fault,
)


def run(given: Given, *, k: int, starts: int, perplexity: float, seed: int) -> Answer:
    """Cluster the models whose SAT has no NaN.

    Parameters
    ----------
    given : Given
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
    import pandas as pd

    from sat.analyses.clusters.spectral import (
        choose_k,
        membership_over_starts,
        spectral_clusters,
        tsne_picture,
        without_nan,
    )

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
    found = spectral_clusters(matrix, k, starts, seed)
    if found.n_clipped:
        log.warning("%d pairs have SAT below 0 and count as 0", found.n_clipped)
    picture = tsne_picture(found.features, perplexity, seed)
    if picture is None:
        log.warning("t-SNE is skipped: it needs 4 models, and there are %d", len(matrix))
        picture = pd.DataFrame(columns=["model", "x", "y"])
    choice = choose_k(matrix, seed=seed)
    if choice.empty:
        log.warning("the numbers of clusters are not compared: that needs 3 models, and there are %d", len(matrix))
    facts = {
        "dropped": dropped,
        "n_clipped": found.n_clipped,
        "inertia": found.inertia,
        "k": k,
        "k_of_largest_gap": choice["k"][choice["largest_gap"]].tolist(),
        "k_of_best_silhouette": choice["k"][choice["silhouette"] == choice["silhouette"].max()].tolist(),
    }
    log.info(
        "%d clusters, inertia %.4f; the largest gap is at %s, the best silhouette at %s",
        k,
        found.inertia,
        facts["k_of_largest_gap"],
        facts["k_of_best_silhouette"],
    )
    tables = {
        "clusters": found.table,
        "spectral_features": found.features.rename_axis("model").reset_index(),
        "tsne": picture,
        "choose_k": choice,
        "membership": membership_over_starts(matrix, found, seed=seed),
    }
    return Answer(tables, facts=facts)
