"""Ensembles: what averaging probabilities gains, how similarity predicts the gain, and which models to combine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from sat.analyses.clusters.spectral import complete_models
from sat.seeds import generator
from sat.statistics.correlation import RankCorrelation, permutation_p

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Sets = NDArray[np.int16]
"""Member sets of one size, shape (sets, size). A member is an index into `Pool.models`; indices ascend."""
# What is smaller than this share is a rounding error.
_ROUNDING = 1e-9
# Number of probabilities, over all models, that are in memory at once: 64 MiB.
_BLOCK = 2**23
LEAST_SETS = 3
"""Fewest sets for a correlation."""
RELATION = ("size", "of", "n_models", "n_sets", "spearman", "p", "partial_spearman", "partial_p")
"""Columns of `gain_by_similarity`."""
SEPARATOR = ";"
"""Separates the names of a set's members."""


@dataclass(frozen=True)
class Pool:
    """Models that may be combined, with their clean outputs on the same images."""

    models: tuple[str, ...]
    """Names of the models, sorted, so that no result depends on the order in which they were given."""
    logits: tuple[Any, ...]
    """Logits of each model, shape (n, classes)."""
    labels: NDArray[np.integer]
    """True classes, shape (n,)."""
    correct: Bools
    """Whether each model by itself is right, shape (models, n)."""

    @classmethod
    def of(cls, logits: Mapping[str, Any], predictions: Mapping[str, Any], labels: Any) -> Pool:
        """Check the models' outputs, and sort them by name.

        Parameters
        ----------
        logits : mapping of str to array_like, shape (n, classes)
            Only `shape` and slices of rows are used, so each may be an open HDF5
            data set.
        predictions : mapping of str to int array, shape (n,)
            Recorded predictions of each model. They are not derived from the
            logits, because half precision makes ties.
        labels : int array, shape (n,)

        Returns
        -------
        Pool

        Raises
        ------
        ValueError
            If there are no logits or images, or shapes do not fit.
        """
        if not logits:
            raise ValueError("no logits: an ensemble needs the evaluation logits of every member")
        models = tuple(sorted(logits))
        if missing := [model for model in models if model not in predictions]:
            raise ValueError(f"no predictions of {', '.join(missing)}")
        labels = np.asarray(labels)
        shapes = {tuple(logits[model].shape) for model in models}
        n, classes = next(iter(shapes)) if all(len(shape) == 2 for shape in shapes) else (0, 0)
        if len(shapes) > 1 or not n or labels.shape != (n,) or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"logits of shapes {sorted(shapes)} do not fit {len(labels)} labels")
        correct = np.stack([np.asarray(predictions[model]) == labels for model in models])
        return cls(models, tuple(logits[model] for model in models), labels, correct)


def of_the_same_classes(logits: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Keep the models that have the same number of classes, since only their probabilities can be averaged.

    With a class map, a study may have models with different classes.

    Parameters
    ----------
    logits : mapping of str to array_like, shape (n, classes)

    Returns
    -------
    dict
        The models with the most frequent number of classes. If two numbers are equally frequent, the smaller counts.
    list of str
        The other models.
    """
    counts = Counter(data.shape[1] for data in logits.values())
    classes = max(counts, key=lambda number: (counts[number], -number), default=0)
    kept = {model: data for model, data in logits.items() if data.shape[1] == classes}
    return kept, [model for model in logits if model not in kept]


def member_sets(n_models: int, size: int, limit: int | None = None, seed: int = 0) -> Sets:
    """List all sets of a size, or a random sample of them without repetition.

    Parameters
    ----------
    n_models : int
    size : int
        Number of members, at least 2.
    limit : int, optional
        Largest number of sets. If there are more, this number is drawn at random.
    seed : int

    Returns
    -------
    int16 array, shape (sets, size)
        Sorted sets.

    Raises
    ------
    ValueError
        If the size is less than 2 or more than the number of models.
    """
    if size < 2:
        raise ValueError(f"an ensemble has two members or more, not {size}")
    if size > n_models:
        raise ValueError(f"{size} members of {n_models} models")
    n_sets = comb(n_models, size)
    if limit is None or n_sets <= limit:
        every = chain.from_iterable(combinations(range(n_models), size))
        return np.fromiter(every, np.int16, n_sets * size).reshape(n_sets, size)
    random, drawn = generator("ensemble members", seed, n_models, size), set[tuple[int, ...]]()
    while len(drawn) < limit:
        drawn.add(tuple(sorted(random.choice(n_models, size, replace=False, shuffle=False).tolist())))
    return np.array(sorted(drawn), np.int16).reshape(-1, size)


def _outcomes(pool: Pool, sets: Sequence[Sets], images: NDArray[np.integer]) -> Iterator[tuple[slice, list[Bools]]]:
    """Yield for each block of images its place, and for each size whether each ensemble is right, (sets, block)."""
    classes = pool.logits[0].shape[1]
    largest = max(part.shape[1] for part in sets)
    step = max(1, min(128, _BLOCK // (len(pool.models) * classes)))
    for first in range(0, len(images), step):
        rows = images[first : first + step]
        probability = np.stack([_probabilities(pool, place, rows) for place in range(len(pool.models))])
        # Keep only the classes that can win in some set. The mean of a winner is at least 1/size of any member's
        # largest probability, and at most the largest that any model gives to the class. Few of 1,000 classes are
        # left, and the winner does not change.
        highest = probability.max(axis=0)
        least = probability.max(axis=2).min(axis=0) / largest * (1 - 1e-9)
        n_kept = int((highest >= least[:, None]).sum(axis=1).max())
        # Classes ascend, so that ties go to the first class, as they do among all classes.
        kept = np.sort(np.argpartition(-highest, n_kept - 1, axis=1)[:, :n_kept], axis=1)
        probability = np.take_along_axis(probability, kept[None], axis=2)
        is_label = kept == pool.labels[rows][:, None]
        label = np.where(is_label.any(axis=1), is_label.argmax(axis=1), -1)
        right = []
        for part in sets:
            hits = np.empty((len(part), len(rows)), bool)
            for number, members in enumerate(part.tolist()):
                total = probability[members[0]] + probability[members[1]]
                for member in members[2:]:
                    total += probability[member]
                hits[number] = total.argmax(axis=1) == label
            right.append(hits)
        yield slice(first, first + len(rows)), right


def _probabilities(pool: Pool, place: int, rows: NDArray[np.integer]) -> Floats:
    """Softmax of some images, shape (rows, classes); `rows` must ascend."""
    # One slice is read, since HDF5 is slow at single rows.
    logits = np.asarray(pool.logits[place][int(rows[0]) : int(rows[-1]) + 1], np.float64)[rows - rows[0]]
    if not np.isfinite(logits).all():
        raise ValueError(f"a logit of {pool.models[place]} is not finite")
    result: Floats = softmax(logits, axis=1)
    return result


def ensemble_table(
    pool: Pool,
    sets: Sequence[Sets],
    similarities: Mapping[str, pd.DataFrame],
    clusters: Mapping[str, Hashable] | None = None,
) -> pd.DataFrame:
    """Compute what averaging the members' softmax probabilities gains, one row per set.

    Softmax is computed once per model and image, independent of the number of sets.
    69 models of 1,000 classes, 2,000 sets of each size from 2 to 5 and 10,000
    images take about 2 minutes on one core, and 0.3 GB in addition to the logits.

    Parameters
    ----------
    pool : Pool
    sets : sequence of int16 array, shape (sets, size)
        From `member_sets`, one array per size.
    similarities : mapping of str to DataFrame, shape (models, models)
        Symmetric matrices by name (`sat`, `affinity`), with all models of the pool.
    clusters : mapping of str to hashable, optional
        Cluster of each model.

    Returns
    -------
    DataFrame
        Columns: size, members (names joined by `;`), member_accuracy (mean of the
        members), accuracy (of the ensemble), error_reduction ((mean error -
        ensemble error) / mean error; NaN where no member errs), all_wrong (share of
        images that every member gets wrong), mean_<name> for each similarity (mean over
        pairs of members), n_clusters (number of clusters that the members come from; absent without
        clusters). Accuracies and all_wrong are shares of images.
    """
    n = pool.correct.shape[1]
    hits = [np.zeros(len(part), np.int64) for part in sets]
    for _, right in _outcomes(pool, sets, np.arange(n)):
        for count, outcome in zip(hits, right, strict=True):
            count += outcome.sum(axis=1)
    tables = []
    for part, count in zip(sets, hits, strict=True):
        table = _describe(pool.models, pool.correct, part, similarities, clusters)
        table["accuracy"] = count / n
        table["error_reduction"] = _reduction(count / n, table["member_accuracy"].to_numpy())
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _describe(
    models: Sequence[str],
    correct: Bools,
    sets: Sets,
    similarities: Mapping[str, pd.DataFrame],
    clusters: Mapping[str, Hashable] | None,
) -> pd.DataFrame:
    """Make the columns of `ensemble_table`, in its order; those of the ensemble are still NaN."""
    names = [[models[place] for place in members] for members in sets]
    table = pd.DataFrame({"size": sets.shape[1], "members": [SEPARATOR.join(row) for row in names]})
    table["member_accuracy"] = correct.mean(axis=1)[sets].mean(axis=1)
    table["accuracy"] = table["error_reduction"] = np.nan
    table["all_wrong"] = [float((~correct[members].any(axis=0)).mean()) for members in sets]
    for name, matrix in similarities.items():
        table[f"mean_{name}"] = mean_of_pairs(matrix.loc[list(models), list(models)].to_numpy(float), sets)
    if clusters is not None:
        known = [[clusters[name] for name in row if name in clusters] for row in names]
        table["n_clusters"] = [len(set(row)) for row in known]
    return table


def mean_of_pairs(similarity: Floats, sets: NDArray[np.integer]) -> Floats:
    """Mean over the pairs of members of each set.

    Parameters
    ----------
    similarity : float array, shape (models, models)
        Symmetric.
    sets : int array, shape (sets, size)

    Returns
    -------
    float array, shape (sets,)
    """
    pairs = list(combinations(range(sets.shape[1]), 2))
    total = np.zeros(len(sets))
    for a, b in pairs:
        total += similarity[sets[:, a], sets[:, b]]
    return total / len(pairs)


def _reduction(accuracy: Floats, member_accuracy: Floats) -> Floats:
    """Error reduction compared with the average member; NaN where no member errs."""
    error = 1 - member_accuracy
    return np.where(error > 0, (accuracy - member_accuracy) / np.where(error > 0, error, 1), np.nan)


def by_clusters(table: pd.DataFrame) -> pd.DataFrame:
    """Average the table by size and number of clusters.

    Parameters
    ----------
    table : DataFrame
        From `ensemble_table`, with clusters.

    Returns
    -------
    DataFrame
        Columns size, n_clusters, n_sets, and the means of member_accuracy, accuracy,
        error_reduction, all_wrong, and of each mean similarity.
    """
    groups = table.groupby(["size", "n_clusters"])
    similarities = [name for name in table if name.startswith("mean_")]
    means = groups[["member_accuracy", "accuracy", "error_reduction", "all_wrong", *similarities]].mean()
    means.insert(0, "n_sets", groups.size())
    return means.reset_index()


def gain_by_similarity(
    table: pd.DataFrame, similarities: Mapping[str, pd.DataFrame], permutations: int = 4999, seed: int = 0
) -> pd.DataFrame:
    """Correlate the error reduction with the members' mean similarity, one row per size and similarity.

    Sets share models, so their number says little about how sure a correlation is.
    Therefore p comes from permuting the names of the similarity's models, which keeps
    the dependence between sets. It is the share of permutations, the observed order
    included, whose correlation is at least as far from 0.

    The partial correlation takes the models' own effects out of both sides: each is
    regressed on which models are members, and the residuals' ranks are correlated. The
    regression is repeated in each permutation.

    Parameters
    ----------
    table : DataFrame
        From `ensemble_table`.
    similarities : mapping of str to DataFrame, shape (models, models)
        The matrices that were given there. Models are left out until no NaN is left
        off the diagonal, and so are the sets that contain them.
    permutations : int
        Number of permutations.
    seed : int

    Returns
    -------
    DataFrame
        Columns size, of (name of the similarity), n_models, n_sets, spearman, p,
        partial_spearman, partial_p. A correlation is negative if unlike members go
        with a large gain. It is NaN with fewer than 3 sets, or where a side does not
        vary; the partial one also where the models' effects explain everything.

    Notes
    -----
    A test is exact if the similarity, or what the regression leaves of it, is
    exchangeable between models and independent of the gain. Affinity is, if log-odds
    of transfer are a sum of two models' effects and of such a rest, whatever accuracy
    does to the gain. SAT is not: it holds the models' effects, and the regression
    leaves the distance between their levels in it. In simulations of 12 models, where
    fragility follows accuracy and similarity has no effect on the gain, p was at most
    .05 in 40 to 94 % of pools for SAT, in 6 to 58 % without the models' effects, and in
    2 to 7 % for affinity, with and without (`shares_below` of the tests; 200 pools each
    with `apart` 0, .1, .25 and .5).
    """
    rows = [
        {"size": size, "of": name, **_correlate(part, matrix, permutations, generator("ensemble gain", seed, size))}
        for size, part in table.groupby("size")
        for name, matrix in similarities.items()
    ]
    return pd.DataFrame(rows, columns=list(RELATION))


def _correlate(
    part: pd.DataFrame, matrix: pd.DataFrame, permutations: int, random: np.random.Generator
) -> dict[str, float]:
    """Correlations of `gain_by_similarity` for the sets of one size."""
    members = part["members"].str.split(SEPARATOR).tolist()
    models = sorted(set(chain.from_iterable(members)))
    whole = complete_models(matrix.loc[models, models])
    place = {model: number for number, model in enumerate(whole)}
    usable = [all(model in place for model in row) for row in members] & part["error_reduction"].notna().to_numpy()
    used = part[usable]
    row: dict[str, float] = {"n_models": len(place), "n_sets": len(used)}
    row |= dict.fromkeys(("spearman", "p", "partial_spearman", "partial_p"), float("nan"))
    if len(used) < LEAST_SETS:
        return row
    sets = np.array([[place[model] for model in row] for row in used["members"].str.split(SEPARATOR)], np.int16)
    values = matrix.loc[whole, whole].to_numpy(float)
    effects = _MemberEffects(sets, len(place))
    # Equal values that differ by rounding keep their ties.
    gain = used["error_reduction"].to_numpy().round(12)
    plain, partial = RankCorrelation(gain, []), RankCorrelation(effects.taken_out_of(gain), [])
    # The models are sorted, so that the order of rows or models changes nothing.
    orders = [np.arange(len(place)), *(random.permutation(len(place)) for _ in range(permutations))]
    found = np.empty((len(orders), 2))
    for number, order in enumerate(orders):
        mean = mean_of_pairs(values, order[sets]).round(12)
        found[number] = plain.with_values(mean), partial.with_values(effects.taken_out_of(mean))
    for prefix, column in (("", found[:, 0]), ("partial_", found[:, 1])):
        row[f"{prefix}spearman"], row[f"{prefix}p"] = column[0], permutation_p(column[0], column[1:])
    return row


class _MemberEffects:
    """Regression of values of sets on which models are members.

    Parameters
    ----------
    sets : int array, shape (sets, size)
    n_models : int
    """

    def __init__(self, sets: NDArray[np.integer], n_models: int) -> None:
        is_member = np.zeros((len(sets), n_models))
        is_member[np.arange(len(sets))[:, None], sets] = 1
        vectors, lengths, _ = np.linalg.svd(is_member, full_matrices=False)
        self.basis: Floats = vectors[:, lengths > _ROUNDING * lengths[0]]

    def taken_out_of(self, values: Floats) -> Floats:
        """Residuals, float (sets,); all 0 where only rounding is left, so that they have no ranks."""
        left = values - self.basis @ (self.basis.T @ values)
        size = float(np.abs(values).max())
        return np.zeros(len(values)) if np.abs(left).max() <= _ROUNDING * size else left.round(12)


@dataclass(frozen=True)
class Recommendation:
    """Result of `recommend`."""

    by: str
    """The similarity by which the set was chosen: `affinity`, or `sat` where no candidate has an affinity."""
    members: tuple[str, ...]
    """The recommended set, sorted."""
    choices: pd.DataFrame
    """One row per way to choose (see `recommend`), the recommendation first. Columns: choice, members (joined by `;`;
    empty for several sets), n_sets, mean_sat, mean_affinity, chosen_on_accuracy (the members' mean accuracy on the
    images chosen on), and on the other images member_accuracy, accuracy, error_reduction, all_wrong, with
    accuracy_low, accuracy_high, error_reduction_low, error_reduction_high. For several sets these are means.
    n_clusters is there if clusters are given."""
    differences: pd.DataFrame
    """The recommended set minus each other choice, on the other images. Columns: than, accuracy, error_reduction, the
    last two with _low and _high."""
    n_candidates: int
    """Number of sets within the tolerance."""
    n_considered: int
    """Number of models from which sets were formed."""
    caliper: float
    """Largest distance of a matched set's mean accuracy from the recommendation's, on the images chosen on."""


CALIPER = 0.2
"""Width of the caliper in standard deviations of the sets' mean accuracies, as Austin (2011) recommends."""


def recommend(
    pool: Pool,
    choose_on: Any,
    similarities: Mapping[str, pd.DataFrame],
    size: int,
    tolerance: float = 0.01,
    clusters: Mapping[str, Hashable] | None = None,
    matched: int = 100,
    limit: int = 2_000_000,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Recommendation:
    """Recommend models to combine, and report what that gains on images that were not used to choose.

    Candidates are the sets whose members' mean accuracy is within a tolerance of the
    best set's. Five ways to choose are compared:

    low_affinity
        The recommendation: the candidate with the lowest mean affinity, so the least
        alike beyond what each member's own level predicts. Ties go to the more
        accurate set. The accuracy of ensembles is not used. Left out if no candidate
        has an affinity; then low_sat is the recommendation.
    low_sat
        The candidate with the lowest mean SAT. These are largely the models that are
        hardest to fool, alike or not.
    most_accurate
        The `size` models that are most accurate by themselves.
    greedy
        The most accurate model, to which the model that makes the ensemble most
        accurate is added again and again (Caruana et al. 2004). A user can do this
        without any similarity, given all logits.
    matched
        Other sets whose members' mean accuracy lies within a caliper of the
        recommendation's, the nearest first; ties are broken at random. The caliper is
        `CALIPER` standard deviations of the mean accuracies of all sets. This
        comparison is about similarity only. Left out if there is no such set.

    Sets are chosen on the images of `choose_on`, on which similarity was measured. All
    numbers except chosen_on_accuracy come from the other images. Intervals are
    percentiles of a bootstrap over the other images. It draws the same images for
    all choices, so differences are paired. Intervals hold for these models and these
    sets.

    Parameters
    ----------
    pool : Pool
    choose_on : bool array, shape (n,)
        The images to choose on; they include the attack images.
    similarities : mapping of str to DataFrame, shape (models, models)
        `sat` and `affinity`, symmetric, with all models of the pool. Sets with NaN are not candidates.
    size : int
        Number of members.
    tolerance : float
        A share of images: 0.01 is one percentage point.
    clusters : mapping of str to hashable, optional
    matched : int
        Largest number of matched sets.
    limit : int
        Largest number of sets to look at. If there are more, only the most accurate
        models are considered, as many as the limit allows: 49 for sets of 5.
    resamples : int
        Number of bootstrap samples.
    confidence : float
    seed : int

    Returns
    -------
    Recommendation

    Raises
    ------
    ValueError
        If there are too few models or images, or SAT and affinity are NaN for every candidate.

    References
    ----------
    Caruana et al. (2004). Ensemble selection from libraries of models. ICML.
    Austin (2011). Optimal caliper widths for propensity-score matching. Pharmaceutical Statistics.
    """
    half = np.asarray(choose_on)
    if half.shape != pool.labels.shape or half.dtype != bool or half.all() or not half.any():
        raise ValueError("the images to choose on must be some of the images, and not all")
    choosing, other = np.flatnonzero(half), np.flatnonzero(~half)
    own = pool.correct[:, choosing].mean(axis=1)
    # The most accurate model comes first; names decide between equal accuracies.
    ranking = np.lexsort((np.arange(len(own)), -own))
    sets, n_considered = _sets(ranking, size, limit)
    # Means of accuracies that should be equal differ by rounding.
    accuracy = own[sets].mean(axis=1).round(12)
    within = np.flatnonzero(accuracy >= round(own[ranking[:size]].mean() - tolerance, 12))
    least_alike: dict[str, int] = {}
    for name in ("affinity", "sat"):
        matrix = similarities[name].loc[list(pool.models), list(pool.models)].to_numpy(float)
        mean = mean_of_pairs(matrix, sets[within])
        if len(known := np.flatnonzero(~np.isnan(mean))):
            least_alike[name] = int(within[known[np.lexsort((-accuracy[within[known]], mean[known]))[0]]])
    if not least_alike:
        raise ValueError("neither SAT nor affinity is known for any set within the tolerance")
    by, best = next(iter(least_alike.items()))
    distance = np.abs(accuracy - accuracy[best]).round(12)
    caliper = float((CALIPER * accuracy.std()).round(12))
    near = np.flatnonzero((distance <= caliper) & (np.arange(len(sets)) != best))
    ties = generator("accuracy-matched ensembles", seed, size).random(len(near))
    chosen = {
        **{f"low_{name}": sets[place][None] for name, place in least_alike.items()},
        "most_accurate": np.sort(ranking[:size])[None].astype(np.int16),
        "greedy": _greedy(pool, choosing, int(ranking[0]), size),
        "matched": sets[near[np.lexsort((ties, distance[near]))[:matched]]],
    }
    chosen = {name: found for name, found in chosen.items() if len(found)}
    right = {name: np.empty((len(found), len(other)), bool) for name, found in chosen.items()}
    for place, outcomes in _outcomes(pool, list(chosen.values()), other):
        for name, outcome in zip(chosen, outcomes, strict=True):
            right[name][:, place] = outcome
    correct = pool.correct[:, other]
    figures = _figures(chosen, right, correct, np.ones((len(other), 1)))
    replicates = _bootstrap(chosen, right, correct, resamples, seed)
    rows = []
    for name, found in chosen.items():
        described = _describe(pool.models, correct, found, similarities, clusters)
        row = {
            "choice": name,
            "members": described["members"][0] if len(found) == 1 else "",
            "n_sets": len(found),
            "chosen_on_accuracy": own[found].mean(),
        }
        means = described.drop(columns=["size", "members"]).mean().to_dict()
        rows.append(row | means | _with_interval(figures[name][0], replicates[name], confidence))
    first, *others = chosen
    differences = [
        {
            "than": name,
            **_with_interval(figures[first][0] - figures[name][0], replicates[first] - replicates[name], confidence),
        }
        for name in others
    ]
    return Recommendation(
        by,
        tuple(pool.models[place] for place in sets[best]),
        pd.DataFrame(rows),
        pd.DataFrame(differences),
        len(within),
        n_considered,
        caliper,
    )


def _sets(ranking: NDArray[np.integer], size: int, limit: int) -> tuple[Sets, int]:
    """List the sets of the most accurate models, as many models as the limit allows, and say how many these are."""
    n_models = len(ranking)
    while n_models > size and comb(n_models, size) > limit:
        n_models -= 1
    considered = np.sort(ranking[:n_models])
    return considered.astype(np.int16)[member_sets(n_models, size)], n_models


def _greedy(pool: Pool, images: NDArray[np.integer], first: int, size: int) -> Sets:
    """Build one set, shape (1, size), by adding members one by one."""
    members = [first]
    while len(members) < size:
        others = [place for place in range(len(pool.models)) if place not in members]
        extended = np.array([sorted([*members, place]) for place in others], np.int16)
        hits = sum(right[0].sum(axis=1) for _, right in _outcomes(pool, [extended], images))
        members.append(others[int(np.argmax(hits))])
    return np.array([sorted(members)], np.int16)


def _figures(
    chosen: Mapping[str, Sets], right: Mapping[str, Any], correct: NDArray[Any], times: Floats
) -> dict[str, Floats]:
    """Compute accuracy and error reduction of each choice, as means over its sets, shape (samples, 2).

    `times` says how often each image is in each sample, shape (n, samples). Each column sums to n. The numbers are
    whole, so that the accuracy of a model that never errs is exactly 1.
    """
    found, members = {}, correct @ times / len(times)
    for name, sets in chosen.items():
        accuracy = right[name] @ times / len(times)
        reduction = _reduction(accuracy, members[sets].mean(axis=1))
        found[name] = np.stack([accuracy.mean(axis=0), reduction.mean(axis=0)], axis=1)
    return found


def _bootstrap(
    chosen: Mapping[str, Sets], right: Mapping[str, Bools], correct: Bools, resamples: int, seed: int
) -> dict[str, Floats]:
    """Apply `_figures` to samples of images with replacement; all choices get the same samples."""
    n, random = correct.shape[1], generator("ensemble bootstrap", seed)
    real = {name: outcome.astype(np.float64) for name, outcome in right.items()}, correct.astype(np.float64)
    parts = []
    # The loop takes a few samples at a time, which limits the memory.
    for first in range(0, resamples, 50):
        drawn = random.integers(n, size=(min(50, resamples - first), n))
        times = np.stack([np.bincount(sample, minlength=n) for sample in drawn], axis=1).astype(np.float64)
        parts.append(_figures(chosen, real[0], real[1], times))
    return {name: np.concatenate([part[name] for part in parts]) for name in chosen}


def _with_interval(figures: Floats, replicates: Floats, confidence: float) -> dict[str, float]:
    """Give accuracy and error reduction with percentile intervals."""
    found: dict[str, float] = {}
    for column, name in enumerate(("accuracy", "error_reduction")):
        values = replicates[~np.isnan(replicates[:, column]), column]
        ends = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2]) if len(values) else [np.nan, np.nan]
        found |= {name: float(figures[column]), f"{name}_low": float(ends[0]), f"{name}_high": float(ends[1])}
    return found
