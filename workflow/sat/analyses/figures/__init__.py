"""The figures of the matrix and its clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sat.analyses.figures.charts import CHARTS
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given
    from sat.study.plan import Plan


def _params(plan: Plan) -> dict[str, Any]:
    params: dict[str, Any] = {"columns": plan.study.columns, "confidence": plan.config.confidence}
    if plan.config.matrix:
        params["families"] = {row.model: row.family for row in plan.study.models}
    return params


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "affinity": "similarity/affinity.csv",
        "affinity_pairs": "analysis/effects_pairs.csv",
        "clusters": "analysis/clusters.csv",
        "features": "analysis/spectral_features.csv",
        "tsne": "analysis/tsne.csv",
        "most_similar": "similarity/most_similar.csv",
        "models": "similarity/models.csv",
        "estimated": "similarity/estimated.csv",
    },
    # A study that starts from a matrix has no intervals and no accuracies. A study with landmarks has no effects of
    # pairs, and only such a study has estimated pairs.
    optional=frozenset({"most_similar", "models", "affinity_pairs", "estimated"}),
    figures={
        "clustermap": Shown("Similarity", "SAT matrix"),
        "affinitymap": Shown("Similarity", "affinity matrix"),
        "tsne": Shown("Clusters", "t-SNE of spectral features"),
        "tsne_components": Shown("Clusters", "t-SNE by component"),
        "distances": Shown("Clusters", "distances of spectral features"),
        "dendrogram": Shown("Clusters", "dendrogram"),
    },
    charts=CHARTS,
    drawn_from=frozenset(
        {"sat", "affinity", "affinity_pairs", "clusters", "features", "tsne", "most_similar", "models", "estimated"}
    ),
    params=_params,
    estimates=True,
)


def run(given: Given, **params: Any) -> Answer:
    """Make no table: all that the figures show is in the inputs."""
    return Answer()


def draw(
    given: Given,
    answer: Answer,
    *,
    columns: dict[str, dict[str, str]],
    confidence: float,
    families: dict[str, str] | None = None,
) -> dict[str, Figure]:
    """Draw the figures.

    Parameters
    ----------
    given : Given
    answer : Answer
        Empty.
    columns : dict of str to dict
        Components and groupings of the models, by column.
    confidence : float
        Level of the intervals.
    families : dict of str to str, optional
        Family of every model. Needed only if there is no table of models.

    Returns
    -------
    dict of str to Figure
    """
    from sat.analyses.figures.drawing import affinity_map, cluster_map, dendrogram_figure, distances_figure
    from sat.analyses.figures.pictures import tsne_components_figure, tsne_figure

    matrix, clusters, tsne = given["sat"], given["clusters"], given["tsne"]
    features = given["features"].set_index("model").rename_axis(None)
    most_similar, models, estimated = (given.get(name) for name in ("most_similar", "models", "estimated"))
    if models is not None:
        models = models.set_index("model")
        families = models["family"].to_dict()
    assert families, "named by the table of models, or else by the step"
    return {
        "clustermap": cluster_map(matrix, families, models, most_similar, confidence, estimated),
        "affinitymap": affinity_map(given["affinity"], families, given.get("affinity_pairs"), confidence, estimated),
        "tsne": tsne_figure(tsne, clusters, families),
        "tsne_components": tsne_components_figure(tsne, columns),
        "distances": distances_figure(features, clusters),
        "dendrogram": dendrogram_figure(matrix, families, models),
    }
