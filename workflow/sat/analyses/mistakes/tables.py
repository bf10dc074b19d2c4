"""Tables of shared mistakes: of pairs, of models, of the pool, and their relation to SAT and affinity."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.analyses.clusters.spectral import complete_models
from sat.analyses.measures.agreement import family_separation
from sat.analyses.mistakes.classes import Mistakes, same_class_p, tally_by_class, tally_by_image
from sat.analyses.mistakes.images import Fooling
from sat.logs import progress
from sat.seeds import generator
from sat.similarity.affinity import fit_affinity
from sat.statistics.correlation import rank_mantel
from sat.statistics.pairs import holm, ratio, square_of

Floats = NDArray[np.float64]
QUANTITIES = ("same_share", "targeted_rate", "excess", "excess_image")
"""Columns of pairs that are compared with SAT and affinity."""


def compare(models: list[str], mistakes: Mistakes, confidence: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the mistakes of every two models.

    Parameters
    ----------
    models : list of str
    mistakes : Mistakes
    confidence : float
        Level of the intervals.

    Returns
    -------
    directions : DataFrame
        One row per ordered pair of two models: source, target, n (images that both classify correctly and that fool
        their source), fooled (of these, images that fool the target too), same (of these, into the source's wrong
        class), own (into the wrong class of the target's own white box). Then fooled and same again for the images
        that have an expectation, and this expectation: class_fooled, class_same, class_expected from the source's
        mistakes on other images of the true class; image_fooled, image_same, image_expected from other models'
        mistakes on the same image.
    pairs : DataFrame
        One row per unordered pair: model_a, model_b; n_ab, fooled_ab, same_ab (a's images on b) and n_ba, fooled_ba,
        same_ba; same_share (same / fooled) and targeted_rate (same / n) of both directions together; excess with
        excess_low and excess_high, (same - expected) / (fooled - expected) with the expectation by true class; p (one-
        sided) and p_holm; excess_image with its ends, the same with the expectation by image; both_fooled (images that
        transfer in both directions), both_by_rates and both_by_images (see `Fooling.both`).
    """
    fooling = Fooling(mistakes.correct, mistakes.wrong >= 0)
    own = mistakes.own
    directions, rows = [], []
    for a, b in progress(list(combinations(range(len(models)), 2)), "pairs"):
        wrong, counts, tallies = [], [], []
        for s, t in ((a, b), (b, a)):
            there = mistakes.shared(s, t)
            by_class = tally_by_class(mistakes.labels, own[s], there)
            by_image = tally_by_image(own[s], there, mistakes.by_image(s, t))
            hit = there >= 0
            count = {
                "n": int((mistakes.correct[t] & (own[s] >= 0)).sum()),
                "fooled": int(hit.sum()),
                "same": int((hit & (own[s] == there)).sum()),
            }
            row = {"source": models[s], "target": models[t], **count, "own": int((hit & (own[t] == there)).sum())}
            for kind, tally in (("class", by_class), ("image", by_image)):
                row |= dict(zip((f"{kind}_fooled", f"{kind}_same", f"{kind}_expected"), tally.total, strict=True))
            directions.append(row)
            wrong.append(there)
            counts.append(count)
            tallies.append((by_class, by_image))
        forth, back = counts
        n, fooled, same = (float(forth[name] + back[name]) for name in ("n", "fooled", "same"))
        pair: dict[str, object] = {"model_a": models[a], "model_b": models[b]}
        pair |= {f"{name}_ab": value for name, value in forth.items()}
        pair |= {f"{name}_ba": value for name, value in back.items()}
        pair["same_share"] = same / fooled if fooled else np.nan
        pair["targeted_rate"] = same / n if n else np.nan
        by_class, by_image = (one + other for one, other in zip(*tallies, strict=True))
        pair |= dict(zip(("excess", "excess_low", "excess_high"), by_class.excess(confidence), strict=True))
        pair["p"] = same_class_p(mistakes.labels, (own[a], own[b]), (wrong[0], wrong[1]))
        ends = by_image.excess(confidence)
        pair |= dict(zip(("excess_image", "excess_image_low", "excess_image_high"), ends, strict=True))
        pair |= dict(zip(("both_fooled", "both_by_rates", "both_by_images"), fooling.both(a, b), strict=True))
        rows.append(pair)
    pairs = pd.DataFrame(rows)
    pairs.insert(list(pairs).index("p") + 1, "p_holm", holm(pairs["p"].to_numpy(float)))
    return pd.DataFrame(directions), pairs


def model_table(directions: pd.DataFrame, families: Mapping[str, str]) -> pd.DataFrame:
    """Sum up the mistakes of every model.

    Parameters
    ----------
    directions : DataFrame
        From `compare`.
    families : mapping of str to str

    Returns
    -------
    DataFrame
        model, family; as a target: n, fooled, same (images of all sources), same_share (same / fooled), own_share (of
        the fooled ones, into the wrong class of the model's own white box), excess_target and excess_image_target;
        as a source: excess_source, excess_image_source.
    """
    target = directions.drop(columns="source").groupby("target").sum()
    source = directions.drop(columns="target").groupby("source").sum().loc[target.index]
    table = target[["n", "fooled", "same"]].reset_index(names="model")
    table.insert(1, "family", table["model"].map(families).fillna(""))
    table["same_share"] = _share(target["same"], target["fooled"])
    table["own_share"] = _share(target["own"], target["fooled"])
    for name, part in (("target", target), ("source", source)):
        table[f"excess_{name}"] = _excess(part, "class")
        table[f"excess_image_{name}"] = _excess(part, "image")
    return table


def pool_table(directions: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Sum up the mistakes of all pairs.

    Parameters
    ----------
    directions, pairs : DataFrame
        From `compare`.

    Returns
    -------
    DataFrame
        Columns quantity and value. Quantities of all ordered pairs: n, fooled, same, own, expected_by_class and
        expected_by_image (scaled to all fooled images), excess and excess_image. Quantities of all unordered pairs:
        both_fooled, both_by_rates, both_by_images, and image_share, the share of both_fooled - both_by_rates that the
        images' difficulty explains.
    """
    total = directions.drop(columns=["source", "target"]).sum()
    rows = {name: float(total[name]) for name in ("n", "fooled", "same", "own")}
    frame = total.to_frame().T
    for kind in ("class", "image"):
        share = _share(frame[f"{kind}_expected"], frame[f"{kind}_fooled"])
        rows[f"expected_by_{kind}"] = float(share[0] * total["fooled"])
    rows |= {"excess": float(_excess(frame, "class")[0]), "excess_image": float(_excess(frame, "image")[0])}
    known = pairs[pairs["both_by_rates"].notna()]
    for name in ("both_fooled", "both_by_rates", "both_by_images"):
        rows[name] = float(known[name].sum(skipna=False))
    more = rows["both_fooled"] - rows["both_by_rates"]
    rows["image_share"] = (rows["both_by_images"] - rows["both_by_rates"]) / more if more > 0 else float("nan")
    return pd.DataFrame(list(rows.items()), columns=["quantity", "value"])


def relation_table(
    pairs: pd.DataFrame,
    sat: pd.DataFrame,
    affinity: pd.DataFrame,
    families: Mapping[str, str],
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare shared mistakes with SAT and affinity, and how well they tell families apart.

    Parameters
    ----------
    pairs : DataFrame
        From `compare`.
    sat, affinity : DataFrame, shape (n, n)
    families : mapping of str to str
    permutations : int
        Number of times that models are permuted.
    seed : int

    Returns
    -------
    DataFrame
        quantity, n_models, n_pairs; sat_spearman and sat_p (rank correlation with SAT, Mantel's two-sided p);
        affinity_spearman and affinity_p (of what is left of the quantity without one effect of each model, with
        affinity); roc_auc and roc_auc_rest (how often a pair within a family has more than one across, before and
        after effects are taken out). NaN where models are too few.
    """
    models = sorted(sat.index)
    rows: list[dict[str, object]] = []
    matrices = {name: square_of(pairs, name, models) for name in QUANTITIES}
    separation = family_separation(sat, affinity, matrices, families, permutations, seed)
    auc = separation.set_index(["measure", "rest"])["roc_auc"]
    for name, matrix in matrices.items():
        row: dict[str, object] = {"quantity": name}
        for other, reference, mine in (("sat", sat, matrix), ("affinity", affinity, fit_affinity(matrix).matrix)):
            kept = complete_models(mine, reference)
            row |= {} if other == "affinity" else {"n_models": len(kept), "n_pairs": len(kept) * (len(kept) - 1) // 2}
            row |= {f"{other}_spearman": np.nan, f"{other}_p": np.nan}
            if len(kept) > 3:
                row[f"{other}_spearman"], row[f"{other}_p"] = rank_mantel(
                    reference.loc[kept, kept].to_numpy(float),
                    mine.loc[kept, kept].to_numpy(float),
                    permutations,
                    generator("mistakes", seed, name, other),
                )
        rows.append(row | {"roc_auc": auc[name, False], "roc_auc_rest": auc[name, True]})
    return pd.DataFrame(rows)


def _share(part: pd.Series, whole: pd.Series) -> Floats:
    return ratio(part.to_numpy(float), whole.to_numpy(float))


def _excess(table: pd.DataFrame, kind: str) -> Floats:
    expected = table[f"{kind}_expected"]
    return _share(table[f"{kind}_same"] - expected, table[f"{kind}_fooled"] - expected)
