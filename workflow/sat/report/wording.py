"""What a study's own tables say about how sure its results are. The summary and the page report/atlas.html say this."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from sat.statistics.published import REMARK
from sat.text import LOW_WHITEBOX
from sat.units import declarations
from sat.units.analysis import SIMILARITIES

STEADY = 0.8
"""Start agreement from which clusters are called firm, and mean share of kept mates from which a place is settled."""


def measure_words(name: str) -> str:
    """What sentences call a measure of similarity.

    Parameters
    ----------
    name : str
        Name of a measure, or ``sat`` or ``affinity``.

    Returns
    -------
    str
    """
    declared = declarations("measures").get(name)
    known = name.replace("_", " ") if declared is None else declared.title.partition("\n")[0]
    return SIMILARITIES.get(name, known)


def p_words(p: float) -> str:
    """Write a p-value as papers do."""
    return "p unknown" if math.isnan(p) else "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def support(choice: pd.DataFrame, k: int, settled: bool) -> tuple[str, str]:
    """Say how firm k clusters are, and how many clusters the data support.

    Parameters
    ----------
    choice : DataFrame
        Rows of analysis/choose_k.csv for one similarity, indexed by k.
    k : int
    settled : bool
        Whether every member's place is settled.

    Returns
    -------
    firm : str
        Starts with "firm" only if the clusters are.
    support : str
    """
    if k not in choice.index:
        return "firmness unknown", f"k = {k} cannot be compared with other numbers of clusters"
    agreement = choice.loc[k, "start_agreement"]
    firm = "firm" if settled and agreement >= STEADY else "not firm"
    best = choice["silhouette"].idxmax()
    gap = choice.index[choice["largest_gap"]].tolist()
    words = (
        f"largest gap at k = {', '.join(map(str, gap)) or 'none'}; "
        f"silhouette {choice.loc[k, 'silhouette']:.2f}, best {choice.loc[best, 'silhouette']:.2f} at k = {best}"
    )
    return f"{firm}: start agreement {agreement:.2f}", words


def cautions(
    models: pd.DataFrame,
    similar: pd.DataFrame,
    inaccurate: Mapping[str, float],
    *,
    min_whitebox: float,
    min_accuracy: float,
    confidence: float,
    method: str,
    first_success: bool,
    ceiling: str = "",
) -> list[str]:
    """List reasons why a study's numbers may mean less than they seem to.

    Parameters
    ----------
    models : DataFrame
        similarity/models.csv, indexed by model.
    similar : DataFrame
        The pairs of similarity/most_similar.csv that have a SAT.
    inaccurate : mapping of str to float
        Accuracy of the models that are below `min_accuracy`.
    min_whitebox, min_accuracy, confidence : float
        Settings of the study.
    method : str
        Name of the attack.
    first_success : bool
        Whether the attack keeps its first success.
    ceiling : str
        Warning that the attack is too strong; empty if it is not.

    Returns
    -------
    list of str
    """
    warnings = [
        f"{name}: white-box success {models.loc[name, 'whitebox']:.2f} < {min_whitebox:g}; {LOW_WHITEBOX}"
        for name in models.index[models["low_whitebox"]]
    ]
    warnings += [f"{name}: accuracy {value:.3f} < min_accuracy {min_accuracy:g}" for name, value in inaccurate.items()]
    if "off_published" in models:
        warnings += [
            f"{row.Index}: accuracy {100 * row.accuracy:.1f} %, published {row.published_top1:.1f} %; "
            + (REMARK if getattr(row, "above_published", False) else "are weights, classes and preprocessing right?")
            for row in models[models["off_published"] | models.get("above_published", False)].itertuples()
        ]
    if ceiling:
        warnings.append(ceiling)
    if first_success:
        warnings.append(
            f"{method} keeps the adversarial images of its first success, which may transfer less: "
            "do not compare the level of this matrix with one from another attack"
        )
    weak = int((~similar["above_noise"]).sum())
    one = int((similar["above_noise"] & (similar["directions_above"] == 1)).sum())
    if weak or one:
        both = int((similar["above_noise"] & (similar["directions_above"] == 2)).sum())
        kept = int((similar["noise_p_holm"] <= (1 - confidence) / 2).sum())
        warnings.append(
            f"{both} of {len(similar)} pairs are above random noise of the same size in both directions, {one} in one "
            f"and {len(similar) - both - one} in none, if each pair is tested by itself; after Holm's adjustment for "
            f"the number of pairs, {kept} are above it"
        )
    return warnings
