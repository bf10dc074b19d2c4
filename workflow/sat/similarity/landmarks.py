"""Estimates of pairs that are not measured, from each model's pairs with some models: the landmarks.

A matrix of n models has far fewer degrees of freedom than entries. Each model is measured against K landmarks, and the
other pairs follow from that: the sum of two models' effects, and a ridge regression of each model's profile over the
landmarks on the landmarks' own profiles. How wrong the estimates are is measured too: each landmark in turn is left
out, and its measured pairs are estimated from the other landmarks. docs/landmarks.md has the evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat.seeds import generator

if TYPE_CHECKING:
    from sat.study.study import Study

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
PENALTIES = tuple(np.geomspace(0.01, 30, 12))
"""Strengths of the ridge regression that are tried. The one with the smallest left-out error is taken."""
UNLIKE = 1.5
"""A model is unlike all landmarks if its left-out error is this many times that of all models."""


@dataclass(frozen=True)
class Estimate:
    """What `estimate_pairs` finds."""

    matrix: pd.DataFrame
    """Shape (n, n): measured where it is measured, and estimated elsewhere; the diagonal is as it was given."""
    estimated: pd.DataFrame
    """Shape (n, n), bool: which entries are estimates."""
    half: float
    """Half of the width of an estimate's interval."""
    errors: pd.DataFrame
    """Shape (landmarks, n): measured minus estimated, where the row's landmark was left out; NaN where the column's
    model is a landmark."""
    penalty: float
    """Strength of the ridge regression."""

    @property
    def error(self) -> float:
        """Root of the mean square of all left-out errors."""
        return float(np.sqrt(np.nanmean(np.square(self.errors.to_numpy()))))


def estimate_pairs(measured: pd.DataFrame, landmarks: Sequence[str], confidence: float = 0.95) -> Estimate:
    """Estimate the pairs without a landmark.

    Parameters
    ----------
    measured : DataFrame, shape (n, n)
        Symmetric: SAT, or the mean log-odds of both directions. Entries of pairs without a landmark are not used. NaN
        where a measured pair has no image in common.
    landmarks : sequence of str
        Models whose pairs are measured; at least three.
    confidence : float
        Share of left-out errors that lie within the interval.

    Returns
    -------
    Estimate
        An interval covers what a measurement of the pair would give, at its level for pairs of all models together.
        That holds where landmarks were drawn as if at random from the models, since a landmark that is left out is
        then like any other model. It does not hold for each model by itself.
    """
    models = list(measured.index)
    places = np.array([models.index(name) for name in landmarks])
    values = measured.to_numpy(float)
    others = np.ones(len(models), bool)
    others[places] = False
    rests = [np.delete(places, left) for left in range(len(places))]
    # The effects do not depend on the penalty.
    effects = [_effects(values, rest) for rest in rests]
    best = None
    for penalty in PENALTIES:
        errors = np.full((len(places), len(models)), np.nan)
        for row, (left, rest) in enumerate(zip(places, rests, strict=True)):
            errors[row, others] = (values[left] - _complete(values, rest, effects[row], penalty, left))[others]
        mean = np.nanmean(np.square(errors))
        if best is None or mean < best[0]:
            best = mean, penalty, errors
    assert best, "there are penalties"
    _, penalty, errors = best
    complete = _complete(values, places, _effects(values, places), penalty)
    unknown = np.logical_and.outer(others, others) & ~np.eye(len(models), dtype=bool)
    return Estimate(
        pd.DataFrame(np.where(unknown, complete, values), measured.index, measured.columns),
        pd.DataFrame(unknown, measured.index, measured.columns),
        float(np.nanquantile(np.abs(errors), confidence)),
        pd.DataFrame(errors, list(landmarks), models),
        float(penalty),
    )


def _effects(values: Floats, landmarks: NDArray[np.integer]) -> Floats:
    """Effect of every model, by least squares over the unordered pairs with a landmark."""
    known = np.zeros(values.shape, bool)
    known[landmarks] = known[:, landmarks] = True
    known &= np.isfinite(values)
    np.fill_diagonal(known, False)
    counts = known.astype(float)
    # The normal equations. A model without any known pair gets no effect of its own.
    equations = counts + np.diag(np.maximum(counts.sum(axis=1), 1))
    effects: Floats = np.linalg.lstsq(equations, np.where(known, values, 0).sum(axis=1), rcond=None)[0]
    return effects


def _complete(
    values: Floats, landmarks: NDArray[np.integer], effects: Floats, penalty: float, row: int | None = None
) -> Floats:
    """Estimates of all pairs, or of one model's, from those with a landmark.

    What is left of a model's pairs with the landmarks after the effects, its profile, is written as a weighted sum of
    the landmarks' own profiles. The same sum of the landmarks' pairs with another model estimates the pair of both.
    """
    profiles = values[:, landmarks] - effects[:, None] - effects[landmarks]
    # A landmark's pair with itself says nothing of its likeness to others.
    profiles[landmarks, np.arange(len(landmarks))] = 0
    profiles = np.nan_to_num(profiles)
    own = profiles[landmarks]
    weights = np.linalg.solve(own @ own.T + penalty * np.eye(len(landmarks)), own @ profiles.T).T
    if row is not None:
        rest = (weights[row] @ profiles.T + weights @ profiles[row]) / 2
        return np.asarray(effects[row] + effects + rest, float)
    rest = weights @ profiles.T
    return np.asarray(effects[:, None] + effects + (rest + rest.T) / 2, float)


def error_by_count(measured: pd.DataFrame, landmarks: Sequence[str], penalty: float, seed: int = 0) -> dict[int, float]:
    """Errors that fewer landmarks would have had, to tell what more of them may bring.

    Parameters
    ----------
    measured : DataFrame, shape (n, n)
    landmarks : sequence of str
    penalty : float
        Strength of the ridge regression.
    seed : int

    Returns
    -------
    dict of int to float
        Root of the mean square of the errors of pairs of the other landmarks, by number of landmarks: a quarter, half
        and three quarters of them, each the mean over 10 random choices.
    """
    values = measured.to_numpy(float)
    places = np.array([measured.index.get_loc(name) for name in landmarks])
    others = ~np.isin(np.arange(len(values)), places)
    found = {}
    for count in sorted({len(places) * share // 4 for share in (1, 2, 3)} - {0, 1, 2}):
        squares = []
        for number in range(10):
            order = generator(seed, "fewer landmarks", count, number).permutation(places)
            complete = _complete(values, order[:count], _effects(values, order[:count]), penalty)
            squares.append(np.square(values - complete)[np.ix_(order[count:], others)])
        found[count] = float(np.sqrt(np.nanmean(squares)))
    return found


def landmarks_for(wanted: float, errors: Mapping[int, float]) -> int | None:
    """Number of landmarks that a wanted error needs, by a power law through the errors of some numbers.

    It is a rough guess. On the released matrix, the power law through the errors of 12 to 32 landmarks gave 0.6 to 6
    times the number that was needed for errors of 0.15 to 0.10 (8 in 10 draws; the middle one gave 1.0 to 1.9 times).

    Parameters
    ----------
    wanted : float
        Root mean square error.
    errors : mapping of int to float
        Root mean square error by number of landmarks.

    Returns
    -------
    int or None
        None if the errors do not fall with the number.
    """
    counts = sorted(count for count, error in errors.items() if error > 0)
    if len(counts) < 2:
        return None
    slope, level = np.polyfit(np.log(counts), np.log([errors[count] for count in counts]), 1)
    if slope >= 0:
        return None
    power = (math.log(wanted) - level) / slope
    # Nobody has as many models.
    return math.ceil(math.exp(power)) if power < 30 else None


def error_table(estimate: Estimate, families: Mapping[str, str], landmarks: Sequence[str]) -> pd.DataFrame:
    """Errors of the estimates by model.

    Parameters
    ----------
    estimate : Estimate
        Of SAT.
    families : mapping of str to str
        Family of every model.
    landmarks : sequence of str

    Returns
    -------
    DataFrame
        Columns: model, family, landmark, family_has_landmark, n_left_out, error (root of the mean square of the
        model's left-out errors), unlike (error is more than 1.5 times that of all models, or no landmark is of the
        model's family; always False for a landmark, whose pairs are measured).
    """
    with_landmark = {families[name] for name in landmarks}
    rows = []
    for model in estimate.matrix.index:
        is_landmark = model in landmarks
        left_out = (estimate.errors.loc[model] if is_landmark else estimate.errors[model]).dropna().to_numpy(float)
        error = float(np.sqrt(np.mean(np.square(left_out)))) if len(left_out) else float("nan")
        has = families[model] in with_landmark
        unlike = not is_landmark and (not has or error > UNLIKE * estimate.error)
        rows.append((model, families[model], is_landmark, has, len(left_out), error, unlike))
    columns = ["model", "family", "landmark", "family_has_landmark", "n_left_out", "error", "unlike"]
    return pd.DataFrame(rows, columns=columns)


def draw_landmarks(families: Mapping[str, str], count: int, seed: int) -> list[str]:
    """Draw landmarks in proportion to the families.

    The models are sorted by family and shuffled within it. Every n/count-th is taken, from a random start. So each
    model is as likely as any other, and each family has its share. The same number from each family would be worse:
    small families would be landmarks alone, and nothing would tell how wrong the estimates of the large ones are.

    Parameters
    ----------
    families : mapping of str to str
        Family of each model that may be drawn.
    count : int
    seed : int

    Returns
    -------
    list of str
        Sorted.
    """
    draw = generator(seed, "landmarks")
    shuffled = [sorted(families)[place] for place in draw.permutation(len(families))]
    ordered = sorted(shuffled, key=families.__getitem__)
    step = len(ordered) / count
    start = draw.random() * step
    return sorted(ordered[min(int(start + number * step), len(ordered) - 1)] for number in range(count))


def draw_further(study: Study, count: int) -> tuple[list[str], int]:
    """Draw the landmarks that a study lacks.

    Parameters
    ----------
    study : Study
    count : int
        Number of landmarks that it shall have, more than it has.

    Returns
    -------
    drawn : list of str
        Models that become landmarks, sorted.
    number : int
        What their column `landmark` shall say: the number of the draw.
    """
    families = {name: study.model[name].family for name in study.used if name not in study.landmarks}
    number = max((row.landmark or 0 for row in study.models), default=0) + 1
    return draw_landmarks(families, count - len(study.landmarks), study.config.seed), number
