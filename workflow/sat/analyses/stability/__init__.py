"""How much of SAT and of affinity depends on the choice of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sat.analyses.stability.charts import CHARTS
from sat.errors import SatError
from sat.logs import log, progress
from sat.study.section import Section, Share
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.similarity.resampling import Replicates
    from sat.stages.given import Given
    from sat.study.plan import Plan

CLUSTERED = 100
"""Largest number of replicates that are clustered. Each needs k-means, and more would make shares only a little
finer."""
REPEATS = 50
"""Number of pairs of disjoint samples for each number of images."""


class Resampling(Section):
    """How much the results depend on the choice of images."""

    replicates: Annotated[int, Field(ge=20)] = 200
    """Number of bootstrap samples of the attack images. Each is drawn with replacement, jointly for all models."""
    correlation: Share = 0.95
    """Target for the mean rank correlation of two matrices from different images. `sat grow` says whether all attack
    images reach it. The figure of the stability also says from which number on 95 % of the draws reach it."""


class Settings(Section):
    """Keys of the config file."""

    resampling: Resampling = Resampling()


def _params(plan: Plan) -> dict[str, Any]:
    config = plan.config
    return {
        "models": {name: plan.study.model[name].family for name in plan.study.used},
        "replicates": config.resampling.replicates,
        "correlation": config.resampling.correlation,
        "eps_s": config.eps_s,
        "confidence": config.confidence,
        "seed": config.seed,
        "k": config.clusters.k,
    }


UNIT = Analysis(
    inputs={
        "sat": "similarity/sat.csv",
        "clusters": "analysis/clusters.csv",
        "images": "images/attack.h5",
        "clean": "clean/{model}.h5",
        "tiles": "tiles/{target}/{source}.h5",
    },
    tables={
        "stability": Shown("Stability", "SAT and affinity on other images"),
        "stability_curve": Shown("Stability", "how many images it takes"),
        "stability_membership": Shown("Stability", "cluster stability over images"),
    },
    figures={"stability": Shown("Stability", "how many images it takes")},
    charts=CHARTS,
    settings=Settings,
    params=_params,
    mem_mb=4000,
    minutes=60,
)


def run(
    given: Given,
    *,
    models: dict[str, str],
    replicates: int,
    correlation: float,
    eps_s: float,
    confidence: float,
    seed: int,
    k: int,
) -> Answer:
    """Resample the images, and compare the matrices.

    Parameters
    ----------
    given : Given
    models : dict of str to str
        Family of every model.
    replicates : int
        Number of bootstrap samples of the images.
    correlation : float
        Target for the rank correlation of two matrices from different images.
    eps_s : float
        Floor within the logarithm, in per cent.
    confidence : float
        Level of the intervals.
    seed : int
    k : int
        Number of clusters.

    Returns
    -------
    Answer

    Raises
    ------
    SatError
        If the matrix does not agree with the tiles.
    """
    from functools import partial

    import numpy as np

    from sat.similarity.predictions import predictions_of
    from sat.similarity.resampling import (
        Measure,
        bootstrap,
        curve_sizes,
        enough_images,
        stability_curve,
        weighted_affinity,
        weighted_sat,
    )
    from sat.store.tables import stacked

    names = sorted(models)
    matrix, clusters = given["sat"].loc[names, names], given["clusters"]
    scores = predictions_of(given).scores(names)
    images = scores.both.shape[1]
    measures: dict[str, Measure] = {"sat": partial(weighted_sat, eps_s=eps_s), "affinity": weighted_affinity}

    drawn = {of: bootstrap(scores, measure, replicates, seed) for of, measure in measures.items()}
    sat = drawn["sat"]
    if not np.allclose(sat.measured, matrix.to_numpy(float)[sat.first, sat.second], equal_nan=True):
        raise SatError(
            f"{given.path('sat')}: does not agree with the tiles; 'sat verify --full' finds the file that differs."
        )
    if holes := int(np.isnan(sat.measured).sum()):
        log.warning("%d pairs have no image in common, and are left out", holes)
    if np.isnan(drawn["affinity"].measured).all():
        log.warning("no stability of affinity: there is none; similarity/affinity.csv.json says why")
        del drawn["affinity"]

    stability, curves, membership, enough = {}, {}, {}, {}
    for of, again in drawn.items():
        statistics = _statistics(again, models, confidence)
        # The mean affinity of a pool is 0 on any images.
        stability[of] = statistics[(of == "sat") | (statistics["statistic"] != "mean")]
        curve = stability_curve(scores, curve_sizes(images), measures[of], REPEATS, seed)
        known = curves[of] = curve[curve["n"] > 0]
        if known.empty:
            log.warning(
                "no stability curve: a rank correlation needs 3 pairs of two models that differ, and images for two "
                "samples; there are %d models and %d images",
                len(names),
                images,
            )
        elif len(known) < len(curve):
            log.warning("%s: no rank correlation with %s images", of, curve["images"][curve["n"] == 0].tolist())
        enough[of] = enough_images(known, correlation)
        if len(known):
            log.info("images for a rank correlation of %g: %s: %s", correlation, of, enough[of] or "more than half")

        membership[of] = _membership(of, again, clusters, min(replicates, CLUSTERED), k, seed)

    curve = stacked(curves)
    return Answer(
        {"stability": stacked(stability), "stability_curve": curve, "stability_membership": stacked(membership)},
        {
            "n_images": images,
            "replicates": replicates,
            "clustered": min(replicates, CLUSTERED),
            "pairs_without_common_images": holes,
            "correlation": correlation,
            "images_for_correlation": enough["sat"],
            "images_for_correlation_of_affinity": enough.get("affinity"),
        },
    )


def draw(given: Given, answer: Answer, *, correlation: float, **params: Any) -> dict[str, Figure]:
    """Draw how alike matrices of different images are."""
    from sat.analyses.stability.figure import stability_figure

    enough = {
        "sat": answer.facts["images_for_correlation"],
        "affinity": answer.facts["images_for_correlation_of_affinity"],
    }
    return {"stability": stability_figure(answer.tables["stability_curve"], correlation, enough)}


def _membership(of: str, drawn: Replicates, clusters: pd.DataFrame, number: int, k: int, seed: int) -> pd.DataFrame:
    """Cluster the first replicates again, and count how often models stay together.

    Parameters
    ----------
    of : str
        What `drawn` holds: sat or affinity.
    drawn : Replicates
    clusters : DataFrame
        Columns model, cluster and cluster_affinity, for the measured matrices.
    number : int
        Number of replicates that are clustered.
    k : int
        Number of clusters.
    seed : int

    Returns
    -------
    DataFrame
        See `sat.analyses.clusters.spectral.membership`.
    """
    from sat.analyses.clusters.spectral import membership_over_matrices, odds_ratios

    column = "cluster" if of == "sat" else "cluster_affinity"
    found = clusters[["model", column]].dropna().rename(columns={column: "cluster"}).astype({"cluster": int})
    # Models that the clustering left out are left out here too, since they would form clusters that it does not have.
    kept = found["model"].tolist()
    matrices = (drawn.matrix(row).loc[kept, kept] for row in progress(range(number), f"clusterings of {of}", number))
    weights = (matrix if of == "sat" else odds_ratios(matrix) for matrix in matrices)
    table = membership_over_matrices(weights, found, min(k, len(kept)), seed=seed)
    for model in table["model"][table["n_replicates"] == 0]:
        log.warning("%s: in no replicate of %s that can be clustered", model, of)
    return table


def _statistics(drawn: Replicates, families: dict[str, str], confidence: float) -> pd.DataFrame:
    """Put statistics of the matrix and its rank correlations into one table; those of too few pairs are left out.

    A warning names what was left out.

    Returns
    -------
    DataFrame
        Columns statistic, n_pairs, value, low, high, level (share of the replicates between low and high).
    """
    import numpy as np
    import pandas as pd

    from sat.similarity.resampling import matrix_statistics, rank_stability

    n_pairs = int((drawn.off_diagonal & ~np.isnan(drawn.measured)).sum())
    ranks = rank_stability(drawn).rename(columns={"mean": "value", "p05": "low", "p95": "high"})
    names = {"replicates": "rank_correlation_of_replicates", "measured": "rank_correlation_with_measured"}
    ranks = ranks.assign(statistic=ranks["between"].map(names), n_pairs=n_pairs, level=0.9)
    means = matrix_statistics(drawn, families, confidence).assign(level=confidence)
    table = pd.concat([means, ranks[list(means.columns)]], ignore_index=True)
    # The spread of a single pair is 0, which says nothing.
    known = table["value"].notna() & ((table["statistic"] != "sd") | (n_pairs > 1))
    for name in table["statistic"][~known]:
        log.warning("%s: too few pairs", name)
    return table[known].reset_index(drop=True)
