"""SAT: similarity by attack transferability (Hwang et al., ECCV 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.statistics.intervals import rank_range, sat_interval, sign_flip_p, wilson
from sat.statistics.pairs import holm, square_of
from sat.statistics.published import is_above_published

Bools = NDArray[np.bool_]
PAIR_COLUMNS = (
    "source",
    "target",
    "n_both_correct",
    "n_fooled",
    "n_both_fooled",
    "rate",
    "rate_low",
    "rate_high",
    "n_noise",
    "noise_rate",
    "noise_low",
    "noise_high",
    "n_over_noise",
    "n_under_noise",
    "n_both_over",
    "n_both_under",
    "n_over_under",
    "noise_p",
    "above_noise",
    "at_floor",
)


def pair_table(
    correct: Mapping[str, Bools],
    fooled: Mapping[tuple[str, str], Bools],
    fooled_by_noise: Mapping[str, Bools],
    eps_s: float,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count for every ordered pair how often the source's adversarial images fool the target.

    Only the images of X_AB count, which source and target both classify correctly.

    Parameters
    ----------
    correct : mapping of str to bool array, shape (n,)
        For each model, whether it classifies the clean image correctly.
    fooled : mapping of (source, target) to bool array, shape (n,)
        Whether the target errs on the source's adversarial image. Only images of
        X_AB are used.
    fooled_by_noise : mapping of str to bool array, shape (n,)
        Whether the target errs on the image under random +-eps sign noise.
    eps_s : float
        Floor of the mean of both directions, in per cent.
    confidence : float
        Level of the Wilson intervals of the rates.

    Returns
    -------
    DataFrame
        One row per ordered pair that is measured, the diagonal included, sorted by
        source and target. Columns are those of similarity/pairs.parquet in
        `sat.store.columns`. Rates are shares, with Wilson's intervals; they are NaN
        where n_both_correct is 0. noise_p is `sign_flip_p` of the direction. Counts of
        both directions are the same in both rows of a pair.
    """
    models = sorted(correct)
    rows = []
    # Where a study has landmarks, some pairs are not measured.
    for source, target in filter(fooled.__contains__, product(models, models)):
        both = correct[source] & correct[target]
        hit, hit_back = fooled[source, target] & both, fooled[target, source] & both
        noise, noise_back = fooled_by_noise[target] & both, fooled_by_noise[source] & both
        over, over_back = hit & ~noise, hit_back & ~noise_back
        under, under_back = noise & ~hit, noise_back & ~hit_back
        found = {
            "n_both_correct": both,
            "n_fooled": hit,
            "n_both_fooled": hit & hit_back,
            "n_noise": noise,
            "n_over_noise": over,
            "n_under_noise": under,
            "n_both_over": over & over_back,
            "n_both_under": under & under_back,
            "n_over_under": (over & under_back) | (under & over_back),
        }
        rows.append({"source": source, "target": target, **{name: int(where.sum()) for name, where in found.items()}})
    table = pd.DataFrame(rows)
    n = table["n_both_correct"].to_numpy()
    for name, count in (("rate", "n_fooled"), ("noise", "n_noise")):
        low, high = wilson(table[count], n, confidence)
        table["rate" if name == "rate" else "noise_rate"] = table[count] / np.where(n > 0, n, np.nan)
        table[f"{name}_low"], table[f"{name}_high"] = low, high
    table["noise_p"] = sign_flip_p(0, table["n_over_noise"], table["n_under_noise"], 0)
    table["above_noise"] = table["noise_p"] <= (1 - confidence) / 2
    rates = table.set_index(["source", "target"])["rate"]
    back = rates.reindex(pd.MultiIndex.from_frame(table[["target", "source"]])).to_numpy()
    table["at_floor"] = 100 * (rates.to_numpy() + back) / 2 < eps_s
    return table[list(PAIR_COLUMNS)]


def unordered_pairs(pairs: pd.DataFrame, eps_s: float, confidence: float = 0.95) -> pd.DataFrame:
    """Compute SAT of every measured pair of different models, most similar first, and of every model with itself.

    SAT(A,B) = ln max{eps_s, 100 * 1/(2|X_AB|) * sum over x in X_AB of
    (1[A(x_B) != y] + 1[B(x_A) != y])} (Hwang et al., Eq. 1).

    Parameters
    ----------
    pairs : DataFrame
        The pair table.
    eps_s : float
        Floor within the logarithm, in per cent.
    confidence : float
        Level of the interval.

    Returns
    -------
    DataFrame
        Columns are those of similarity/most_similar.csv in `sat.store.columns`, with
        model_a <= model_b. The interval is that of `sat_interval`. noise_p is
        `sign_flip_p`, image by image, of both directions together. noise_p_holm and the
        columns of `rank_range` are among pairs of different models, and missing for a
        model with itself.
    """
    ordered = pairs.set_index(["source", "target"])
    models = sorted(pairs["source"].unique())
    measured = set(ordered.index)
    names = [(a, b) for i, a in enumerate(models) for b in models[i:] if (a, b) in measured]
    forth = ordered.loc[names].reset_index(drop=True)
    back = ordered.loc[[(b, a) for a, b in names]].reset_index(drop=True)
    both = forth["n_both_fooled"]
    only_forth, only_back = forth["n_fooled"] - both, back["n_fooled"] - both
    neither = forth["n_both_correct"] - both - only_forth - only_back
    found = sat_interval(both, only_forth, only_back, neither, eps_s, confidence)
    columns = ["n_both_correct", "rate", "sat", "sat_low", "sat_high", "design_effect"]
    table = pd.DataFrame(names, columns=["model_a", "model_b"]).join(found[columns])
    table["at_floor"] = 100 * found["rate"] < eps_s
    table["noise_p"] = sign_flip_p(
        forth["n_both_over"],
        forth["n_over_noise"] + back["n_over_noise"] - 2 * forth["n_both_over"] - forth["n_over_under"],
        forth["n_under_noise"] + back["n_under_noise"] - 2 * forth["n_both_under"] - forth["n_over_under"],
        forth["n_both_under"],
    )
    table["above_noise"] = table["noise_p"] <= (1 - confidence) / 2
    is_pair = table["model_a"] != table["model_b"]
    table["noise_p_holm"] = holm(table["noise_p"].where(is_pair).to_numpy(float))
    for name in ("rate", "noise_p"):
        table[f"{name}_ab"], table[f"{name}_ba"] = forth[name], back[name]
    table["directions_above"] = forth["above_noise"].astype(int) + back["above_noise"].astype(int)
    different = table.loc[is_pair, ["sat", "sat_low", "sat_high"]]
    table = table.join(rank_range(*(different[name] for name in different)).set_axis(different.index))
    return table.sort_values("sat", ascending=False, kind="stable", ignore_index=True)


def sat_matrix(unordered: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Arrange the SAT of unordered pairs as a symmetric matrix.

    Parameters
    ----------
    unordered : DataFrame
        From `unordered_pairs`.
    models : sequence of str
        Order of rows and columns.

    Returns
    -------
    DataFrame, shape (len(models), len(models))
        SAT; NaN where no image is classified correctly by both models.
    """
    return square_of(unordered, "sat", models)


def model_table(
    pairs: pd.DataFrame,
    families: Mapping[str, str],
    accuracy: Mapping[str, float],
    min_whitebox: float,
    published_top1: Mapping[str, float] | None = None,
    max_published_gap: float = 2.0,
    n_images: Mapping[str, int] | None = None,
    above_published: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Collect what decides whether a model's row and column can be trusted.

    Parameters
    ----------
    pairs : DataFrame
        The pair table.
    families : mapping of str to str
    accuracy : mapping of str to float
        Share of evaluation images classified correctly.
    min_whitebox : float
        A model is flagged if a smaller share of its attacked images fools the model itself.
    published_top1 : mapping of str to float, optional
        Accuracy in per cent that the authors of the weights state, where they state one.
    max_published_gap : float
        Largest gap that is not flagged, in percentage points.
    n_images : mapping of str to int, optional
        Number of evaluation images; given if `published_top1` is.
    above_published : mapping, optional
        Further arguments of `sat.statistics.published.is_above_published`.

    Returns
    -------
    DataFrame
        Columns: model, family, accuracy, n_attacked, whitebox, whitebox_low,
        whitebox_high, low_whitebox (the flag), noise_rate, and most_fooled_by_own (no
        other source fools the model more often). If any model has a published accuracy,
        also published_top1 (per cent), published_gap (accuracy minus published_top1, in
        percentage points), off_published (the absolute gap is larger than
        max_published_gap) and above_published (the model may have been trained on the images).
    """
    own = pairs[pairs["source"] == pairs["target"]].sort_values("source").reset_index(drop=True)
    strongest = pairs.groupby("target")["rate"].max()
    table = pd.DataFrame(
        {
            "model": own["source"],
            "family": own["source"].map(families),
            "accuracy": own["source"].map(accuracy),
            "n_attacked": own["n_both_correct"],
            "whitebox": own["rate"],
            "whitebox_low": own["rate_low"],
            "whitebox_high": own["rate_high"],
            # A model without any attacked image is flagged too.
            "low_whitebox": ~(own["rate"] >= min_whitebox),
            "noise_rate": own["noise_rate"],
            "most_fooled_by_own": own["rate"] >= own["source"].map(strongest),
        }
    )
    if published_top1:
        table["published_top1"] = table["model"].map(published_top1).astype(float)
        table["published_gap"] = 100 * table["accuracy"] - table["published_top1"]
        table["off_published"] = table["published_gap"].abs() > max_published_gap
        images, limits = n_images or {}, above_published or {}
        table["above_published"] = [
            model in published_top1 and is_above_published(share, images[model], published_top1[model], **limits)
            for model, share in zip(table["model"], table["accuracy"], strict=True)
        ]
    return table
