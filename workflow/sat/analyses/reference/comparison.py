"""Comparison of a study's matrix with one measured elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.seeds import generator
from sat.similarity.affinity import fit_affinity, log_odds_of_sat
from sat.statistics.correlation import pearson, stratified_mantel_p

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`."""

    table: pd.DataFrame
    """One row per matrix (SAT, affinity), group and rule; see `compare`."""
    pairs: pd.DataFrame
    """Columns model_a, model_b, study, reference, difference (of SAT, without NaN), study_affinity, reference_affinity;
    the largest absolute difference first."""
    unmatched: list[str]
    """The study's models that the reference does not have."""
    no_affinity: str
    """Why there are no affinities; empty where there are."""


def compare(
    study: pd.DataFrame,
    reference: pd.DataFrame,
    names: Mapping[str, str] | None = None,
    groups: Mapping[str, Collection[str]] | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> Comparison:
    """Compute how well a matrix agrees with another one, by SAT and by affinity.

    Affinity is relative to the pool, so it is fitted anew to the models and pairs that both matrices have. A reference
    need not have counts, so the log-odds of the mean rate are used on both sides; the affinities of a study, in
    similarity/affinity.csv, are those of both directions' log-odds and differ somewhat.

    Parameters
    ----------
    study, reference : DataFrame, shape (n, n), (m, m)
        SAT matrices, symmetric, with the same names for rows and columns (see
        `check_matrix`). Every pair of different models counts once.
    names : mapping of str to str, optional
        Names of the study's models in the reference. A model that is not in this
        mapping is looked up by its own name.
    groups : mapping of str to collection of str, optional
        The study's models of each group. A group gives two rows. Rule `both` takes
        the pairs whose two models are in the group, `any` the pairs of which at
        least one model is.
    permutations : int
        Number of permutations of Mantel's test.
    seed : int
        Seed of the study.

    Returns
    -------
    Comparison
        Columns of the table: of ('sat' or 'affinity'), group (the first is `all`), rule, n_models (models of
        the group that are in both matrices), n_pairs (without NaN), pearson,
        spearman, mantel_p, mean_offset and sd_offset (study minus reference).
        Correlations are NaN with fewer than 3 pairs, or where one side is constant.
        Affinities need 4 models that both matrices have.

    Raises
    ------
    ValueError
        If two of the study's models have the same name in the reference.

    Notes
    -----
    Mantel's p is one-sided, for Pearson's correlation. It is the share of
    relabellings of the reference that agree at least as well, the true labels
    included. Labels are exchanged within the group and within the rest, so that the
    pairs of a group remain its pairs. For `all` this is the usual test.

    References
    ----------
    Mantel (1967). Cancer Research 27(2), 209-220.
    """
    names = names or {}
    theirs = {model: names.get(model, model) for model in study.index}
    matched = [model for model in study.index if theirs[model] in reference.index]
    found = [theirs[model] for model in matched]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        sharing = ", ".join(model for model in matched if theirs[model] == twice[0])
        raise ValueError(
            f"{sharing} all have the name {twice[0]} in the reference; each of its models can stand for only one"
        )
    ours = study.loc[matched, matched]
    other = reference.loc[found, found].set_axis(matched, axis=0).set_axis(matched, axis=1)
    known = ours.notna() & other.notna()
    fitted = [fit_affinity(log_odds_of_sat(matrix.where(known))) for matrix in (ours, other)]
    matrices = {"sat": (ours, other), "affinity": (fitted[0].matrix, fitted[1].matrix)}
    n = len(matched)
    above = np.triu(np.ones((n, n), bool), 1)
    rows = []
    for of, both in matrices.items():
        one, two = (matrix.to_numpy(float) for matrix in both)
        for number, (group, members) in enumerate([("all", matched), *(groups or {}).items()]):
            inside = np.isin(np.array(matched, str), list(members))
            rules = {"both": np.logical_and, "any": np.logical_or} if number else {"both": np.logical_and}
            for rule, combine in rules.items():
                mask = above & combine.outer(inside, inside)
                random = generator("Mantel permutations", seed, group, rule)
                agreement = _agreement(one, two, mask, inside, permutations, random)
                rows.append((of, group, rule, int(inside.sum()), *agreement))
    columns = ["of", "group", "rule", "n_models", "n_pairs", "pearson", "spearman", "mantel_p"]
    columns += ["mean_offset", "sd_offset"]
    first, second = np.nonzero(above)
    model = np.array(matched, object)
    pairs = pd.DataFrame({"model_a": model[first], "model_b": model[second]})
    pairs["study"], pairs["reference"] = (matrix.to_numpy(float)[above] for matrix in matrices["sat"])
    pairs["difference"] = pairs["study"] - pairs["reference"]
    pairs = pairs.assign(
        study_affinity=fitted[0].matrix.to_numpy(float)[above],
        reference_affinity=fitted[1].matrix.to_numpy(float)[above],
    )
    pairs = pairs.dropna(subset=["difference"])
    pairs = pairs.sort_values("difference", key=abs, ascending=False, kind="stable", ignore_index=True)
    unmatched = [model for model in study.index if model not in set(matched)]
    return Comparison(pd.DataFrame(rows, columns=columns), pairs, unmatched, fitted[0].reason)


def _agreement(
    ours: Floats, other: Floats, mask: Bools, inside: Bools, permutations: int, random: np.random.Generator
) -> tuple[int, float, float, float, float, float]:
    """Compute n_pairs, pearson, spearman, mantel_p, mean_offset and sd_offset."""
    a, b = ours[mask], other[mask]
    known = ~(np.isnan(a) | np.isnan(b))
    n = int(known.sum())
    measured = pearson(a, b)
    ranks = pearson(*(pd.Series(values[known]).rank().to_numpy(float) for values in (a, b)))
    p = stratified_mantel_p(ours, other, mask, inside, permutations, random)
    offset = (a - b)[known]
    mean = float(offset.mean()) if n else float("nan")
    sd = float(offset.std(ddof=1)) if n > 1 else float("nan")
    return n, measured, ranks, p, mean, sd
