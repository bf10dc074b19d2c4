"""What a student gains from each teacher, and whether similarity to the student predicts the gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from sat.seeds import generator
from sat.statistics.correlation import RankCorrelation, pearson, permutation_p

Floats = NDArray[np.float64]
RELATIONS = ("same", "other")
"""Whether teacher and student have the same base architecture. It is `unknown` where the table lacks one of the two."""
LEAST_FOR_INTERVAL = 5
"""Fewest teachers for an interval. With fewer, a bootstrap has too few different samples."""


@dataclass(frozen=True)
class Choice:
    """A recommended teacher, and the teachers that cannot be told from it."""

    why: str
    """How it was chosen: `low_affinity`, `high_affinity`, `low_sat`, `high_sat` or `accurate`."""
    among: str
    """Which teachers it was chosen from: `all`, `same` or `other`."""
    teacher: str
    ties: tuple[str, ...]
    """Other teachers of the same set whose interval overlaps that of the chosen one, the nearest first."""


def choose(candidates: pd.DataFrame, why: str, among: str) -> Choice | None:
    """Choose a teacher.

    Parameters
    ----------
    candidates : DataFrame
        Indexed by teacher, with relation, and with sat, affinity and accuracy, each
        also with _low and _high.
    why : {'low_affinity', 'high_affinity', 'low_sat', 'high_sat', 'accurate'}
    among : {'all', 'same', 'other'}

    Returns
    -------
    Choice or None
        None where there is no such teacher.
    """
    column = "accuracy" if why == "accurate" else why.partition("_")[2]
    # A larger sign x value is better.
    sign = -1 if why.startswith("low_") else 1
    low, high = (f"{column}_low", f"{column}_high")[::sign]
    pool = candidates[((candidates["relation"] == among) | (among == "all")) & candidates[column].notna()]
    if pool.empty:
        return None
    pool = pool.assign(better=sign * pool[column]).sort_index().sort_values("better", ascending=False, kind="stable")
    ties = sign * pool[high] >= sign * pool[low].iloc[0]
    first, *rest = pool.index[ties | (pool.index == pool.index[0])]
    return Choice(why, among, first, tuple(rest))


def direction(related: pd.DataFrame | None) -> str | None:
    """Say whether similar or dissimilar teachers gave more in a study.

    Parameters
    ----------
    related : DataFrame or None
        From `gain_by_similarity`.

    Returns
    -------
    str or None
        `low_affinity`, `high_affinity`, `low_sat` or `high_sat` if the interval of Spearman's correlation over all
        teachers lies on one side of 0, or else None. Affinity comes first, because SAT is largely the teacher's own
        level.
    """
    if related is None:
        return None
    rows = related[related["group"] == "all"].set_index("of")
    for name in ("affinity", "sat"):
        if rows.loc[name, "spearman_high"] < 0:
            return f"low_{name}"
        if rows.loc[name, "spearman_low"] > 0:
            return f"high_{name}"
    return None


def relation_to(student: str, kinds: Mapping[str, str], teachers: list[str]) -> list[str]:
    """Say for each teacher whether it has the student's base architecture.

    Parameters
    ----------
    student : str
    kinds : mapping of str to str
        Base architecture of every model; empty or absent where it is not known.
    teachers : list of str

    Returns
    -------
    list of str
        `same`, `other` or `unknown`.
    """
    own = kinds.get(student)
    known = [(own, kinds.get(name)) for name in teachers]
    return ["unknown" if not (a and b) else "same" if a == b else "other" for a, b in known]


def teacher_gains(accuracy: pd.DataFrame, alone: pd.Series, confidence: float = 0.95) -> pd.DataFrame:
    """Compute what a student gains from each teacher over learning alone, paired by seed.

    Parameters
    ----------
    accuracy : DataFrame, shape (teachers, seeds)
        Accuracies of the distilled students, as shares of the evaluation images.
    alone : Series, shape (seeds,)
        Accuracies of the students without a teacher.
    confidence : float

    Returns
    -------
    DataFrame
        Columns: teacher, accuracy (mean over seeds), accuracy_alone, gain (mean
        of the differences by seed), gain_low, gain_high (Student's t over seeds;
        NaN with one seed), n_seeds, ties_with_best (whether the interval overlaps
        that of the teacher with the largest gain; missing with one seed). The
        largest gain comes first; equal gains are sorted by name.

    Notes
    -----
    The interval says what another seed may give on the same evaluation images. It
    does not include the choice of these images.
    """
    difference = accuracy.sub(alone, axis="columns")
    n = difference.shape[1]
    gain = difference.mean(axis=1)
    half = difference.std(axis=1, ddof=1) / np.sqrt(n) * t.isf((1 - confidence) / 2, n - 1) if n > 1 else gain * np.nan
    table = pd.DataFrame(
        {
            "teacher": accuracy.index,
            "accuracy": accuracy.mean(axis=1).to_numpy(),
            "accuracy_alone": float(alone.mean()),
            "gain": gain.to_numpy(),
            "gain_low": (gain - half).to_numpy(),
            "gain_high": (gain + half).to_numpy(),
            "n_seeds": n,
        }
    )
    table = table.sort_values(["gain", "teacher"], ascending=[False, True], kind="stable", ignore_index=True)
    ties = table["gain_high"] >= table["gain_low"].iloc[0]
    table["ties_with_best"] = ties.astype("boolean") if n > 1 else pd.array([pd.NA] * len(table), "boolean")
    return table


def gain_by_similarity(
    gains: pd.DataFrame,
    similarities: Mapping[str, pd.Series],
    teacher_accuracy: pd.Series,
    relation: pd.Series,
    confidence: float = 0.95,
    permutations: int = 9999,
    draws: int = 1999,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate the gain from a teacher with its similarity to the student, for all teachers and by base architecture.

    Parameters
    ----------
    gains : DataFrame, shape (teachers, seeds)
        Accuracy with the teacher minus accuracy alone.
    similarities : mapping of str to Series, shape (teachers,)
        SAT and affinity, by name, with the student that the study trains without a teacher. Teachers without a value
        are left out.
    teacher_accuracy : Series, shape (teachers,)
        For the partial correlation, its ranks are regressed out of the ranks of gain and similarity.
    relation : Series of str, shape (teachers,)
        From `relation_to`.
    confidence : float
    permutations : int
        Number of permutations of similarity among the teachers of a group. p is two-sided, and the observed order
        counts as one permutation.
    draws : int
        Number of bootstrap samples.
    seed : int

    Returns
    -------
    DataFrame
        Columns: of (name of the similarity), group (all, same, other), n_teachers, spearman, spearman_low,
        spearman_high, p, pearson, pearson_low, pearson_high, partial_spearman,
        partial_p. Correlations are NaN with fewer than 3 teachers (4 for the
        partial correlation), or where gain or similarity does not vary. Intervals are NaN
        with fewer than 5 teachers.

    Notes
    -----
    Intervals are percentiles of a bootstrap. It draws teachers, and it draws seeds
    for all teachers together, because students of one seed start from the same
    weights. It does not draw the attack images that similarity rests on.
    """
    rows = []
    for of, group in product(similarities, ("all", *RELATIONS)):
        values = similarities[of]
        inside = values.notna() & ((relation == group) | (group == "all"))
        # The names are sorted, so that the order of rows changes nothing.
        names = sorted(values.index[inside])
        x, seeds = values[names].to_numpy(float), gains.loc[names].to_numpy(float)
        # Means of the same numbers in another order differ by rounding. Rounding here keeps their ties.
        y, n = seeds.mean(axis=1).round(12), len(names)
        row: dict[str, object] = {"of": of, "group": group, "n_teachers": n}
        low, high = _bootstrap(x, seeds, confidence, draws, generator("distillation draws", seed, group))
        for prefix, least in (("", 3), ("partial_", 4)):
            covariates = [teacher_accuracy[names].to_numpy(float)] if prefix else []
            found = p = np.nan
            if n >= least:
                correlation = RankCorrelation(y, covariates)
                found = correlation.with_values(x)
                random = generator("distillation gain", seed, group)
                permuted = [correlation.with_values(random.permutation(x)) for _ in range(permutations)]
                p = permutation_p(found, np.array(permuted))
            row[f"{prefix}spearman"] = found
            if not prefix:
                row |= {"spearman_low": low[0], "spearman_high": high[0]}
            row[f"{prefix}p"] = p
            if not prefix:
                row |= {"pearson": pearson(x, y), "pearson_low": low[1], "pearson_high": high[1]}
        rows.append(row)
    return pd.DataFrame(rows)


def _bootstrap(
    x: Floats, seeds: Floats, confidence: float, draws: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Lower and upper ends of the intervals of Spearman's and Pearson's correlation, each of shape (2,)."""
    n, n_seeds = seeds.shape
    if n < LEAST_FOR_INTERVAL or draws < 1:
        return np.full(2, np.nan), np.full(2, np.nan)
    teachers = random.integers(n, size=(draws, n))
    chosen = random.integers(n_seeds, size=(draws, n_seeds))
    y = np.stack([seeds[rows][:, columns].mean(axis=1) for rows, columns in zip(teachers, chosen, strict=True)])
    y = y.round(12)
    pairs = ((rankdata(x[teachers], axis=1), rankdata(y, axis=1)), (x[teachers], y))
    found = np.stack([_correlations(a, b) for a, b in pairs])
    # A sample that holds one teacher only has no correlation.
    enough = np.isfinite(found).all(axis=0)
    if not enough.any():
        return np.full(2, np.nan), np.full(2, np.nan)
    low, high = np.quantile(found[:, enough], [(1 - confidence) / 2, (1 + confidence) / 2], axis=1)
    return low, high


def _correlations(a: Floats, b: Floats) -> Floats:
    """Pearson's correlation of each row; NaN where a row does not vary."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    flat = (np.ptp(a, axis=1) < 1e-12) | (np.ptp(b, axis=1) < 1e-12)
    found: Floats = np.where(flat, np.nan, (a * b).sum(axis=1) / np.where(flat, 1, lengths))
    return found.clip(-1, 1)
