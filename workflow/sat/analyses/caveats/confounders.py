"""Possible confounders of SAT and affinity: attack strength, accuracy, and errors under random noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sat.statistics.correlation import pearson, spearman
from sat.statistics.published import REMARK
from sat.units.analysis import SIMILARITIES

COLUMNS = ("of", "quantity", "n", "r", "spearman", "share", "warning")
CEILING = 90.0
"""Per cent of images. A pair that transfers more has little room left, as SAT ends at ln 100. This is our choice."""
FEWEST = 8
"""Fewest pairs or models for which a correlation may warn."""


def above_published(models: pd.DataFrame) -> tuple[str, str, int, float, float, float, str]:
    """Count models that may have been trained on the images: their accuracies are far above the published ones.

    A model is surer of images that it was trained on than of new ones, so attacks on it cannot be compared with attacks
    on others.

    Parameters
    ----------
    models : DataFrame
        Columns accuracy (a share), published_top1 (per cent, or NaN) and above_published, by model.

    Returns
    -------
    tuple
        A row of the table of `caveats`; n is the number of models with a published accuracy, and share is the share of
        them that is far above it.
    """
    known, above = models[models["published_top1"].notna()], models[models["above_published"].astype(bool)]
    named = ", ".join(
        f"{model} ({100 * accuracy:.1f} %, published {published:.1f} %)"
        for model, accuracy, published in zip(above.index, above["accuracy"], above["published_top1"], strict=True)
    )
    warning = f"accuracy far above the published one, so these {REMARK}: {named}" if named else ""
    share = len(above) / len(known) if len(known) else np.nan
    return ("accuracy", "above_published", len(known), np.nan, np.nan, share, warning)


def caveats(
    sat: pd.DataFrame,
    affinity: pd.DataFrame,
    source_rate: Mapping[str, float],
    fragility: Mapping[str, float],
    whitebox: Mapping[str, float],
    accuracy: Mapping[str, float],
    noise_rate: Mapping[str, float],
    threshold: float = 0.5,
) -> pd.DataFrame:
    """Correlate what is measured with quantities that it should not depend on.

    Where SAT follows one of these, it ranks attacks or accuracies at least as much as similarity. There may be
    confounders without a warning: few quantities are tested, and a correlation sees only linear relations. Affinity
    cannot follow a sum of one value for each model, so only the difference in accuracy is tested there.

    Parameters
    ----------
    sat, affinity : DataFrame, shape (n, n)
        Symmetric. Every pair of different models counts once.
    source_rate : mapping of str to float
        Mean rate at which each model's adversarial images fool the others.
    fragility : mapping of str to float
        How easily the others' adversarial images fool each model, in log-odds; see `sat.similarity.affinity.Levels`.
    whitebox : mapping of str to float
        White-box success, a share.
    accuracy : mapping of str to float
        Share of clean images classified correctly. A model that is missing from a mapping is left out of the rows
        that need it.
    noise_rate : mapping of str to float
        Share of errors under random noise of the attack's size.
    threshold : float
        Absolute correlation above which a row warns.

    Returns
    -------
    DataFrame
        of (sat, affinity: over pairs; source_rate, fragility: over models), quantity (mean_whitebox: mean of the two
        models' white-box success; accuracy_difference: absolute difference of their accuracies; whitebox, noise_rate:
        the model's own; at_ceiling), n (pairs or models), r (Pearson's correlation; NaN where either side is constant
        or n is below 3, and at_ceiling has none), spearman (the same of ranks), share (of pairs whose mean transfer is
        above `CEILING`, at_ceiling only), warning (empty where there is none, and for correlations of fewer than
        `FEWEST` pairs or models).
    """
    models = [str(model) for model in sat.index]
    first, second = np.triu_indices(len(models), 1)
    source, fragile, success, correct, noise = (
        np.array([values.get(model, np.nan) for model in models], float)
        for values in (source_rate, fragility, whitebox, accuracy, noise_rate)
    )
    difference = np.abs(correct[first] - correct[second])
    pairs = sat.to_numpy(float)[first, second]
    rest = affinity.loc[sat.index, sat.index].to_numpy(float)[first, second]
    rows = []
    mean, level = (success[first] + success[second]) / 2, ("higher", "lower")
    apart = "pairs whose accuracies differ more have a {}"
    own = "models that {} their own attack are the stronger sources"
    noisy = "models that err more under random noise are {} easily fooled by others' images"
    # With the words for a positive correlation, and for a negative one.
    for of, quantity, words, ways, one, two in (
        ("sat", "mean_whitebox", "pairs with more white-box success have a {} SAT", level, pairs, mean),
        ("sat", "accuracy_difference", f"{apart} SAT", level, pairs, difference),
        ("affinity", "accuracy_difference", f"{apart} affinity", level, rest, difference),
        ("source_rate", "whitebox", own, ("give way to", "resist"), source, success),
        ("fragility", "noise_rate", noisy, ("more", "less"), fragile, noise),
    ):
        r, ranks = pearson(one, two), spearman(one, two)
        n = int((~np.isnan(one) & ~np.isnan(two)).sum())
        over = f"{n} {'pairs' if of in SIMILARITIES else 'models'}"
        said = f"{words.format(ways[int(r < 0)])} (r = {r:.2f}, of ranks {ranks:.2f}, over {over})"
        rows.append((of, quantity, n, r, ranks, np.nan, said if abs(r) > threshold and n >= FEWEST else ""))
    known = pairs[~np.isnan(pairs)]
    above = int((known > np.log(CEILING)).sum())
    warning = (
        f"{above} of {len(known)} pairs transfer on more than {CEILING:g} % of the images, so SAT is near its end and "
        "can hardly tell them apart; a smaller eps would, such as half of it"
    )
    share = above / len(known) if len(known) else np.nan
    rows.append(("sat", "at_ceiling", len(known), np.nan, np.nan, share, warning if share > 0.5 else ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))
