"""Which components of an architecture matter for SAT, or for affinity.

Following Hwang et al. (ECCV 2024), section on components: for every pair of
models, a vector says in which components the two differ. Gradient boosting
regresses SAT (or affinity) on this vector, and permutation importance ranks the components.
The paper's numbers come from one fit to all pairs. But pairs share models, and a
flexible regression memorises models. So this module also predicts pairs of models
that the regression has not seen, and compares importances with those of permuted
components.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from sat.seeds import generator
from sat.statistics.intervals import rank_range
from sat.statistics.pairs import (
    Floats,
    Ints,
    aligned_labels,
    indicators,
    max_adjusted,
    off_diagonal,
    orders,
    pair_sums,
    ratio,
    sorted_matrix,
    two_sided,
)

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {"n_estimators": 500, "max_depth": 12, "min_samples_split": 4, "learning_rate": 0.02},
}
"""Settings of scikit-learn's GradientBoostingRegressor. Those of `paper` are from memory, not verified."""

HELD_OUT = 0.3
"""Share of models that a split holds out of the regression; at least `MIN_MODELS` are held out."""
MIN_MODELS = 3
"""Fewest models that a mean square needs: they have three pairs."""
SPLIT_KINDS = {
    "in_sample": "the pairs that it was fitted to",
    "pairs": "other pairs, of models seen in other pairs",
    "one_new": "pairs of a model seen and a model not seen",
    "both_new": "pairs of two models not seen",
}
"""Sets of pairs that a regression has to predict, from easy to hard."""


@dataclass(frozen=True)
class PairData:
    """Pairs of different models, in an order that depends only on the models' names."""

    models: tuple[str, ...]
    components: tuple[str, ...]
    codes: Ints
    """Number of each model's value, shape (models, components)."""
    first: Ints
    """Index into models, shape (pairs,)."""
    second: Ints
    value: Floats
    """SAT or affinity of every pair, shape (pairs,)."""
    n_available: int
    """Number of pairs with a value. It is larger than the number of pairs here if these are a sample."""
    n_missing: int
    """Number of pairs that were left out because they have no value."""
    dropped_models: tuple[str, ...]
    """Models that were left out because a component of theirs is unknown."""
    dropped_components: tuple[str, ...]
    """Components that were left out because they are unknown for every model."""

    def differ(self, order: Ints | None = None) -> NDArray[np.float32]:
        """Say in which components the two models of each pair differ.

        Parameters
        ----------
        order : int array, shape (models,), optional
            A permutation that gives each model the components of another one.

        Returns
        -------
        float array, shape (pairs, components)
            1 where they differ, 0 where they do not.
        """
        codes = self.codes if order is None else self.codes[order]
        vectors: NDArray[np.float32] = (codes[self.first] != codes[self.second]).astype(np.float32)
        return vectors


def pair_data(similarity: pd.DataFrame, table: pd.DataFrame, max_pairs: int = 50_000, seed: int = 0) -> PairData:
    """Arrange similarities and components by pairs.

    Parameters
    ----------
    similarity : DataFrame, shape (n, n)
        SAT or affinity, symmetric. Pairs with NaN are left out.
    table : DataFrame
        Indexed by model, one column per component. A component that is unknown
        (empty or NaN) for every model is left out, and so is a model with an
        unknown value.
    max_pairs : int
        If there are more pairs, a random sample of this size is taken.
    seed : int

    Returns
    -------
    PairData

    Raises
    ------
    ValueError
        If there is no component, or if there are fewer than three models or pairs.
    """
    matrix = sorted_matrix(similarity)
    labels = aligned_labels(table[sorted(table.columns)], matrix.index)
    unknown = (labels == "").all()
    labels = labels.loc[:, ~unknown]
    if labels.empty:
        raise ValueError("no component is known for any model")
    complete = (labels != "").all(axis=1)
    if complete.sum() < MIN_MODELS:
        holes = (labels == "").sum()
        raise ValueError(
            f"{complete.sum()} of {len(matrix)} models have all {labels.shape[1]} components, and the regression needs "
            f"{MIN_MODELS}; {holes.idxmax()} is unknown for {holes.max()}"
        )
    names = matrix.index[complete]
    codes = np.column_stack([pd.factorize(labels.loc[names, name], sort=True)[0] for name in labels])
    first, second = np.triu_indices(len(names), 1)
    value = matrix.loc[names, names].to_numpy()[first, second]
    present = np.flatnonzero(np.isfinite(value))
    if len(present) < MIN_MODELS:
        raise ValueError(f"{len(present)} pairs of two models have a value, and the regression needs {MIN_MODELS}")
    chosen = present
    if len(present) > max_pairs:
        chosen = np.sort(generator("component pairs", seed).choice(present, max_pairs, replace=False))
    return PairData(
        models=tuple(names),
        components=tuple(labels.columns),
        codes=codes,
        first=first[chosen],
        second=second[chosen],
        value=value[chosen],
        n_available=len(present),
        n_missing=len(value) - len(present),
        dropped_models=tuple(matrix.index[~complete]),
        dropped_components=tuple(unknown.index[unknown]),
    )


def _fit(x: NDArray[np.float32], y: Floats, preset: str, *purpose: object) -> GradientBoostingRegressor:
    """Fit the regression; the seed decides between components that split equally well."""
    state = int(generator("component regression", *purpose).integers(2**31))
    model = GradientBoostingRegressor(**PRESETS[preset], random_state=state)
    if model.min_samples_split > 2:
        return model.fit(x, y)
    # Pairs that differ in the same components always stay together, so their mean, weighted, gives the same trees in a
    # fraction of the time. A larger `min_samples_split` counts rows and not weights.
    rows, place, count = np.unique(x, axis=0, return_inverse=True, return_counts=True)
    return model.fit(rows, np.bincount(place, y) / count, sample_weight=count)


def r_squared(y: Floats, predicted: Floats) -> float:
    """Coefficient of determination; NaN with fewer than three pairs, or where they do not vary."""
    if len(y) < MIN_MODELS or np.ptp(y) == 0:
        return float("nan")
    return float(1 - np.mean((y - predicted) ** 2) / np.var(y))


def permutation_importance(model: GradientBoostingRegressor, x: NDArray[np.float32], y: Floats) -> Floats:
    """Compute how much R2 falls, on average over all permutations of a component among the pairs.

    A component is 0 or 1, so a permutation gives a pair either its own value or the
    other one, and the frequency of each is known. So the mean over all permutations
    is computed exactly, where `sklearn.inspection.permutation_importance` averages a few.

    Parameters
    ----------
    model : GradientBoostingRegressor
    x : float array, shape (pairs, components)
        Values 0 or 1.
    y : float array, shape (pairs,)

    Returns
    -------
    float array, shape (components,)
        Importances; NaN where R2 is NaN.

    References
    ----------
    Breiman (2001). Random forests. Machine Learning 45, 5-32.
    """
    if np.isnan(r_squared(y, y)):
        return np.full(x.shape[1], np.nan)
    rows, place = np.unique(x, axis=0, return_inverse=True)
    loss = (y - model.predict(rows)[place]) ** 2
    share = x.mean(axis=0, dtype=float)
    fall = np.empty(x.shape[1])
    for component in range(x.shape[1]):
        flipped = rows.copy()
        flipped[:, component] = 1 - flipped[:, component]
        gets_other = np.where(x[:, component] == 1, 1 - share[component], share[component])
        fall[component] = np.mean(gets_other * ((y - model.predict(flipped)[place]) ** 2 - loss)) / np.var(y)
    return fall


def full_fit(data: PairData, preset: str = "default", seed: int = 0) -> tuple[float, pd.Series]:
    """Fit the regression to all pairs, as the paper presumably did.

    Parameters
    ----------
    data : PairData
    preset : str
        One of `PRESETS`.
    seed : int

    Returns
    -------
    float
        R2 on the pairs that were fitted.
    Series, shape (components,)
        Permutation importance on the same pairs, as a decrease of R2.
    """
    x = data.differ()
    model = _fit(x, data.value, preset, seed, "all")
    importance = permutation_importance(model, x, data.value)
    return r_squared(data.value, model.predict(x)), pd.Series(importance, list(data.components), name="importance")


def split_fits(
    data: PairData, splits: Iterable[int] = range(30), preset: str = "default", seed: int = 0
) -> pd.DataFrame:
    """Fit the pairs of some models, and predict pairs with none, one or two models that were held out.

    Each split holds out `HELD_OUT` of the models. The kind `pairs` uses the same
    number of pairs for the regression, but draws them from all pairs and predicts
    the rest. So it differs from `both_new` in what is new to the regression, not in
    how much the regression knows.

    Parameters
    ----------
    data : PairData
    splits : iterable of int
        Numbers of the splits. Each has its own random numbers, so ranges may be computed apart.
    preset : str
    seed : int

    Returns
    -------
    DataFrame
        One row per split and kind. Columns: split, kind (one of `SPLIT_KINDS`;
        `in_sample` means the pairs of models that were not held out), n_pairs,
        r2, and one column per component with its importance on these pairs (not
        for `pairs` and `one_new`). R2 is NaN where too few pairs are left. There
        is no row if there are fewer than six models.
    """
    rows = []
    n = len(data.models)
    x, y = data.differ(), data.value
    held = max(MIN_MODELS, round(HELD_OUT * n))
    for split in splits if n >= 2 * MIN_MODELS else ():
        new = np.zeros(n, bool)
        new[generator("component split", seed, split, "models").choice(n, held, replace=False)] = True
        n_new = new[data.first].astype(int) + new[data.second]
        seen, shuffled = n_new == 0, generator("component split", seed, split, "pairs").permutation(len(y))
        if seen.sum() < MIN_MODELS:
            continue
        model = _fit(x[seen], y[seen], preset, seed, "models", split)
        drawn = shuffled[: seen.sum()]
        by_pairs = _fit(x[drawn], y[drawn], preset, seed, "pairs", split)
        for kind, regression, where in (
            ("in_sample", model, seen),
            ("pairs", by_pairs, shuffled[seen.sum() :]),
            ("one_new", model, n_new == 1),
            ("both_new", model, n_new == 2),
        ):
            row: dict[str, Any] = {"split": split, "kind": kind, "n_pairs": len(y[where])}
            if row["n_pairs"] >= MIN_MODELS:
                row["r2"] = r_squared(y[where], regression.predict(x[where]))
                if kind in ("in_sample", "both_new"):
                    importance = permutation_importance(regression, x[where], y[where])
                    row |= dict(zip(data.components, importance, strict=True))
            rows.append(row)
    return pd.DataFrame(rows, columns=["split", "kind", "n_pairs", "r2", *data.components])


def null_fits(
    data: PairData, permutations: Iterable[int] = range(999), preset: str = "default", seed: int = 0
) -> pd.DataFrame:
    """Compute R2 and importances, in sample, under the null hypothesis that components do not matter.

    The rows of the component table are given to other models. This keeps the
    relations between components, and the dependence of pairs that share a model.

    Parameters
    ----------
    data : PairData
    permutations : iterable of int
        Numbers of the permutations. Each has its own random numbers, so ranges may be computed apart.
    preset : str
    seed : int

    Returns
    -------
    DataFrame
        One row per permutation: permutation, r2, and one column per component.
    """
    rows = []
    for number in permutations:
        x = data.differ(generator("component null", seed, number).permutation(len(data.models)))
        model = _fit(x, data.value, preset, seed, "null", number)
        importance = permutation_importance(model, x, data.value)
        rows.append((number, r_squared(data.value, model.predict(x)), *importance))
    return pd.DataFrame(rows, columns=["permutation", "r2", *data.components])


def r2_table(data: PairData, r2: float, splits: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Summarise how well pairs of each kind are predicted.

    Parameters
    ----------
    data : PairData
    r2 : float
        From `full_fit`.
    splits : DataFrame
        From `split_fits`.
    null : DataFrame
        From `null_fits`.

    Returns
    -------
    DataFrame
        Columns: kind (those of `SPLIT_KINDS`, then `null`: in sample with
        permuted components), r2 (that of all pairs for in_sample, otherwise the
        mean), low, high (5 and 95 % points over splits, or over permutations), n
        (number of splits or permutations), note (why there is no value).
    """
    reason = ""
    if len(data.models) < 2 * MIN_MODELS:
        reason = f"{len(data.models)} models; a split by models needs {2 * MIN_MODELS}"
    rows: list[dict[str, Any]] = [{"kind": "in_sample", "r2": r2}]
    for kind in list(SPLIT_KINDS)[1:]:
        rows.append({"kind": kind, **_spread(splits.loc[splits["kind"] == kind, "r2"], "r2"), "note": reason})
    rows.append({"kind": "null", **_spread(null["r2"], "r2")})
    table = pd.DataFrame(rows, columns=["kind", "r2", "low", "high", "n", "note"])
    table["n"] = table["n"].fillna(1).astype(int)
    table["note"] = table["note"].fillna("")
    table.loc[table["r2"].isna() & (table["note"] == ""), "note"] = "too few pairs, or their values do not vary"
    return table


def _spread(values: pd.Series, name: str) -> dict[str, float]:
    """Mean, 5 and 95 % points, and number of the values that are not NaN."""
    values = values.dropna().astype(float)
    return {name: values.mean(), "low": values.quantile(0.05), "high": values.quantile(0.95), "n": len(values)}


def ranking(data: PairData, importance: pd.Series, splits: pd.DataFrame, null: pd.DataFrame) -> pd.DataFrame:
    """Rank the components by importance.

    Parameters
    ----------
    data : PairData
    importance : Series
        From `full_fit`.
    splits : DataFrame
        From `split_fits`.
    null : DataFrame
        From `null_fits`.

    Returns
    -------
    DataFrame
        The most important component first. Columns: component, importance (in
        sample, all models), low, high (5 and 95 % points of the importance in
        sample over splits), rank, rank_best, rank_worst and tied (see
        `rank_range`), p (share of permutations in which this component is at
        least as important; the actual assignment counts as one permutation),
        p_adjusted (for all components at once, see `max_adjusted`; NaN where
        no permutation changes the importance), null_high (95 % point of this
        component's importance under permutation), held_out, held_out_low,
        held_out_high (importance on pairs of two models that the regression has
        not seen: mean, 5 and 95 % points over splits), note (constant, unknown,
        or indistinguishable from another component).
    """
    names = list(data.components)
    table = pd.DataFrame({"component": names, "importance": importance[names].to_numpy()})
    inside, outside = (splits.loc[splits["kind"] == kind, names].astype(float) for kind in ("in_sample", "both_new"))
    table["low"], table["high"] = inside.quantile(0.05).to_numpy(), inside.quantile(0.95).to_numpy()
    table["held_out"] = outside.mean().to_numpy()
    table["held_out_low"], table["held_out_high"] = outside.quantile(0.05).to_numpy(), outside.quantile(0.95).to_numpy()
    table = table.join(rank_range(table["importance"], table["low"], table["high"]))
    drawn = np.vstack([table["importance"], null[names].to_numpy(float)])
    table["p"] = np.where(np.isfinite(drawn[0]), (drawn >= drawn[0]).mean(axis=0), np.nan)
    # The test is one-sided: a component that is less important than by chance is no finding. Importances are taken
    # above their mean and in units of their spread, because both differ by component (on the authors' matrix, means
    # from 0.025 to 0.052 and deviations from 0.015 to 0.050). Otherwise, the components with the largest spread would
    # decide for all.
    table["p_adjusted"] = max_adjusted(drawn, one_sided=True)
    table["null_high"] = null[names].quantile(0.95).to_numpy()
    table["note"] = _notes(data)
    table = table.sort_values(["importance", "component"], ascending=[False, True], ignore_index=True)
    unknown = pd.DataFrame({"component": data.dropped_components, "note": "unknown for every model"})
    order = [
        *("component", "importance", "low", "high", "rank", "rank_best", "rank_worst", "tied", "p", "p_adjusted"),
        *("null_high", "held_out", "held_out_low", "held_out_high", "note"),
    ]
    return pd.concat([table, unknown], ignore_index=True)[order] if len(unknown) else table[order]


def _notes(data: PairData) -> list[str]:
    """Say for each component why its importance cannot be judged on its own; empty where it can."""
    x = data.differ()
    notes = []
    for i, column in enumerate(x.T):
        twins = [name for j, name in enumerate(data.components) if j != i and (x[:, j] == column).all()]
        if np.ptp(column) == 0:
            notes.append(f"constant: {'different' if column[0] else 'the same'} in all pairs")
        else:
            notes.append(f"differs in the same pairs as {', '.join(twins)}" if twins else "")
    return notes


@dataclass(frozen=True)
class MeanDifferences:
    """Result of `mean_differences`."""

    by_component: pd.DataFrame
    """Columns component, n_values, n_models (models whose value is known), n_same and n_differ (numbers of pairs),
    mean_same, mean_differ, difference, p, p_adjusted, note (why there is no difference). In the order of the table."""
    by_value: pd.DataFrame
    """Columns component, value, n_models, n_same, n_crossing, mean_same, mean_crossing, difference, p, p_adjusted,
    note."""
    n_missing: int
    """Number of pairs of different models that were left out because they have no value."""


def mean_differences(
    similarity: pd.DataFrame, table: pd.DataFrame, permutations: int = 9999, seed: int = 0
) -> MeanDifferences:
    """Compare the mean SAT or affinity of pairs that share a component's value with that of pairs that differ.

    For one value, pairs of two models that have it are compared with pairs of which
    exactly one model has it. Pairs without such a model do not count: otherwise a
    value whose models are similar to all models would seem to make models similar.

    Pairs with a model whose value is unknown are left out. p is two-sided and comes
    from permutations of the models' values (Mantel 1967). p_adjusted holds for all
    components at once (or for all values). It compares with the largest of all
    differences, each in units of its own root mean square under permutation
    (Westfall & Young 1993).

    Parameters
    ----------
    similarity : DataFrame, shape (n, n)
        SAT or affinity, symmetric. Pairs with NaN are left out.
    table : DataFrame
        Indexed by model, one column per component.
    permutations : int
    seed : int

    Returns
    -------
    MeanDifferences

    Raises
    ------
    ValueError
        If there are fewer than two models.

    References
    ----------
    Westfall & Young (1993). Resampling-Based Multiple Testing. Wiley.
    """
    matrix = sorted_matrix(similarity)
    n = len(matrix)
    if n < 2:
        raise ValueError(f"{n} models; a pair needs two")
    labels = aligned_labels(table, matrix.index)
    value, present = off_diagonal(matrix)
    order = orders(n, permutations, seed)
    complete = present.sum() == n * (n - 1)
    components, values = [], []
    # Differences of each row under all permutations; the observed difference comes first.
    drawn: dict[str, list[Floats]] = {"components": [], "values": []}
    unknown = np.full((len(order), 1), np.nan)
    for name in labels:
        words, members = indicators(labels[name])
        if not words:
            components.append({"component": name, "n_values": 0, "n_models": 0, "note": "unknown for every model"})
            drawn["components"].append(unknown)
            continue
        sums = pair_sums(value, members, order)
        # If no pair is missing, permutations do not change the counts.
        counts = pair_sums(present, members, order[:1] if complete else order)
        same, n_same = (part.sum(axis=1, keepdims=True) for part in (sums[0], counts[0]))
        # A pair that differs is counted for both of its values, hence the 2.
        differ, n_differ = (part.sum(axis=1, keepdims=True) / 2 for part in (sums[1], counts[1]))
        row = {"component": name, "n_values": len(words), "n_models": int(members.sum())}
        contrasts, difference = _contrast(same, n_same, differ, n_differ, "differ")
        components.append(row | contrasts[0])
        drawn["components"].append(difference)
        contrasts, difference = _contrast(sums[0], counts[0], sums[1], counts[1], "crossing")
        drawn["values"].append(difference)
        for word, size, contrast in zip(words, members.sum(axis=0), contrasts, strict=True):
            values.append({"component": name, "value": word, "n_models": int(size)} | contrast)
    for rows, found in ((components, drawn["components"]), (values, drawn["values"])):
        for row, p in zip(rows, max_adjusted(np.hstack(found)) if found else (), strict=True):
            row["p_adjusted"] = p
    n_missing = (n * (n - 1) - int(present.sum())) // 2
    return MeanDifferences(_contrast_table(components, "differ"), _contrast_table(values, "crossing"), n_missing)


def _contrast(
    same: Floats, n_same: Floats, other: Floats, n_other: Floats, word: str
) -> tuple[list[dict[str, Any]], Floats]:
    """Compute the difference of two means for each column, and p from its rows; the observed row comes first."""
    n_same, n_other = (np.broadcast_to(count, same.shape) for count in (n_same, n_other))
    means = ratio(same, n_same), ratio(other, n_other)
    difference = means[0] - means[1]
    p = two_sided(difference)
    rows = []
    for i in range(same.shape[1]):
        note = "" if n_other[0, i] else "no pair differs"
        rows.append(
            {
                "n_same": round(n_same[0, i]),
                f"n_{word}": round(n_other[0, i]),
                "mean_same": means[0][0, i],
                f"mean_{word}": means[1][0, i],
                "difference": difference[0, i],
                "p": p[i],
                "note": note if n_same[0, i] else "no pair is the same",
            }
        )
    return rows, difference


def _contrast_table(rows: list[dict[str, Any]], word: str) -> pd.DataFrame:
    """Make a table that has the same columns, whichever values the rows have."""
    first = ["component", "n_values", "n_models"] if word == "differ" else ["component", "value", "n_models"]
    counts, means = ["n_same", f"n_{word}"], ["mean_same", f"mean_{word}", "difference", "p", "p_adjusted"]
    table = pd.DataFrame(rows, columns=[*first, *counts, *means, "note"])
    return table.astype(dict.fromkeys(means, float)).fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int))


def block_means(sat: pd.DataFrame, labels: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute the mean SAT of pairs of different models, by the component values of the two.

    Parameters
    ----------
    sat : DataFrame, shape (n, n)
        SAT matrix, symmetric. Pairs with NaN are left out.
    labels : Series
        Values of one component, indexed by model. Models without a value are left out.

    Returns
    -------
    means : DataFrame, shape (values, values)
        Symmetric; NaN where there is no pair.
    counts : DataFrame of int, shape (values, values)
        Numbers of unordered pairs.
    """
    matrix = sorted_matrix(sat)
    words, members = indicators(aligned_labels(labels.to_frame("value"), matrix.index)["value"])
    total, count = (members.T @ part @ members for part in off_diagonal(matrix))
    counts = (count - np.diag(np.diag(count) / 2)).round().astype(int)
    return pd.DataFrame(ratio(total, count), words, words), pd.DataFrame(counts, words, words)
