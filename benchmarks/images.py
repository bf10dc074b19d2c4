"""What a number of attack images gives. For the tables of docs/images.md.

    python benchmarks/images.py --results results/digits
    python benchmarks/images.py --released SAT_release.csv --components Model_Feature_release.csv

The demo's results are those of `make demo`. The released matrix and its table of components are from GitHub
(J-H-Hwang/SAT); no images are needed, since what they would give is simulated.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr
from sklearn.metrics import adjusted_rand_score

from harness import Table, say
from sat import open_study
from sat.analyses.clusters.spectral import odds_ratios, spectral_clusters
from sat.similarity.affinity import contrast, log_odds
from sat.similarity.resampling import Scores, image_scores, weighted_affinity, weighted_counts, weighted_sat
from sat.statistics.intervals import sat_interval

Floats = NDArray[np.float64]
EPS_S, CORRECT, CORRELATION = 0.01, 0.8, 0.3
"""Floor within SAT's logarithm, share of images that all models get right, and correlation of the factor model."""
SIZES, DEMO_SIZES = (250, 500, 1000, 2000, 5000), (50, 100, 200, 400, 719)
STARTS = 50
"""Starts of k-means."""
LEAST, MOST = 125, 4000
"""Numbers of images from which, and up to which, images are doubled."""
HEADER = (
    *("images", "half-width of SAT", "rank correlation of SAT", "of affinity", "adjusted Rand of SAT", "of affinity"),
    *("same most similar by SAT", "by affinity", "mean SAT within minus across groups, difference"),
    *("largest difference of a contrast", "largest contrast"),
)


class Measured:
    """What some images say of the models."""

    def __init__(self, scores: Scores, groups: Mapping[str, list[str]], k: int) -> None:
        names, every = list(scores.models), np.ones((1, scores.both.shape[1]))

        def matrix(values: Floats) -> pd.DataFrame:
            return pd.DataFrame(scores.square(values), names, names)

        self.sat = matrix(weighted_sat(scores, every, EPS_S)[0])
        self.affinity = matrix(weighted_affinity(scores, every)[0])
        self.off = np.triu_indices(len(names), 1)
        table = interval(scores)
        self.half_width = float((table["sat_high"] - table["sat_low"])[scores.first != scores.second].median() / 2)
        n, forth, back = weighted_counts(scores, every)[:, 0]
        half = matrix((log_odds(forth, n) + log_odds(back, n)) / 2)
        label = {model: name for name, members in groups.items() for model in members}
        same = np.array([label.get(a, a) == label.get(b, b) for a, b in combinations(names, 2)])
        values = self.sat.to_numpy()[self.off]
        self.within = float(values[same].mean() - values[~same].mean())
        self.contrasts = np.array([contrast(half, groups[a], groups[b]) for a, b in combinations(groups, 2)])
        self.clusters = [
            spectral_clusters(weights, k, STARTS).table["cluster"] for weights in (self.sat, odds_ratios(self.affinity))
        ]

    def beside(self, other: Measured) -> Floats:
        """Compare with what other images say: one row of the table."""
        found = [self.half_width]
        both = ((self.sat, other.sat), (self.affinity, other.affinity))
        found += [spearmanr(*(square.to_numpy()[self.off] for square in pair)).statistic for pair in both]
        found += [adjusted_rand_score(*pair) for pair in zip(self.clusters, other.clusters, strict=True)]
        found += [float((_nearest(a) == _nearest(b)).mean()) for a, b in both]
        found.append(abs(self.within - other.within))
        return np.array([*found, np.abs(self.contrasts - other.contrasts).max(), np.abs(other.contrasts).max()])


def _nearest(square: pd.DataFrame) -> NDArray[np.intp]:
    values = square.to_numpy(copy=True)
    np.fill_diagonal(values, -np.inf)
    return values.argmax(axis=1)


def interval(scores: Scores) -> pd.DataFrame:
    """SAT of every pair with its interval."""
    forth, back = scores.forth.view(bool), scores.back.view(bool)
    both, none = (forth & back).sum(axis=1), (scores.both.view(bool) & ~forth & ~back).sum(axis=1)
    return sat_interval(both, (forth & ~back).sum(axis=1), (back & ~forth).sum(axis=1), none, EPS_S)


def simulate(names: list[str], rates: Floats, images: int, random: np.random.Generator) -> Scores:
    """Draw images that fool models by a probit model with one factor, the image.

    Parameters
    ----------
    names : list of str
    rates : float array, shape (models, models)
        Share of images that a source's perturbation makes fool a target.
    images : int
    random : numpy Generator
    """
    # The models of a pool mostly get the same images right; here, exactly the same.
    correct = np.tile(random.random(images) < CORRECT, (len(names), 1))
    factor = math.sqrt(CORRELATION) * random.standard_normal(images, np.float32)
    draws = math.sqrt(1 - CORRELATION) * random.standard_normal((*rates.shape, images), np.float32)
    draws += factor
    return image_scores(names, correct, draws < norm.ppf(rates).astype(np.float32)[..., None])


def released(matrix: Path, components: Path, repeats: int) -> Table:
    """Two samples of different images, of a pool like the released one."""
    rates = _rates(matrix)
    names = list(rates.index)
    labels = pd.read_csv(components, index_col=0)["Base architecture"].reindex(names)
    rows = []
    for images in SIZES:
        say(f"two samples of {images} images")
        found = []
        for repeat in range(repeats):
            random = np.random.default_rng((images, repeat))
            one, two = (Measured(simulate(names, rates.to_numpy(), images, random), _groups(labels), 10) for _ in "ab")
            found.append(one.beside(two))
        rows.append((images, *_words(found)))
    return Table("released matrix, two samples of other images", f"Means of {repeats} repeats, k = 10.", HEADER, rows)


def demo(results: Path, repeats: int) -> Table:
    """The first images of an order against all images."""
    study = open_study(results)
    names, predicted = list(study.names), study.predictions
    wrong = predicted.transpose("source", "target", "image").sel(source=names, target=names).to_numpy()
    with h5py.File(results / "images/attack.h5") as file:
        labels = file["label"][:]
    # A model is attacked on the images that it gets right, and -1 stands for the others.
    correct, fooled = (wrong >= 0).all(axis=1), wrong != labels
    groups = _groups(pd.Series({row.model: row.family for row in study.study.models}).reindex(names))
    every = Measured(image_scores(names, correct, fooled), groups, 4)
    rows = []
    for images in DEMO_SIZES:
        say(f"{images} images of the demo")
        found = []
        for repeat in range(repeats):
            chosen = np.random.default_rng(repeat).permutation(len(labels))[:images]
            some = image_scores(names, correct[:, chosen], fooled[..., chosen])
            found.append(Measured(some, groups, 4).beside(every))
        rows.append((images, *_words(found)))
    return Table("demo, some images against all", f"Means of {repeats} orders, k = 4.", HEADER, rows)


def stopping(matrix: Path, repeats: int) -> Table:
    """Images are doubled until a rule is content: what the intervals hold then, and how far SAT is off."""
    rates = _rates(matrix)
    rules: dict[str, tuple[int, Callable[[Scores, pd.DataFrame], bool], int | None]] = {
        "none, always 1,000": (12, lambda scores, _: scores.both.shape[1] >= 1000, None),
        "half-width .25": (12, lambda _, table: _median(table) <= 0.25, None),
        "half-width .18": (12, lambda _, table: _median(table) <= 0.18, None),
        "half-width .2": (4, lambda _, table: _median(table) <= 0.2, None),
        "half the images agree with the other half to .9": (12, lambda scores, _: _agreement(scores) >= 0.9, None),
        "the same, .95": (12, lambda scores, _: _agreement(scores) >= 0.95, None),
        "half-width of one pair .2": (4, lambda _, table: _median(table[:1]) <= 0.2, 1),
        "intervals of two pairs lie apart": (
            4,
            lambda _, table: bool(table["sat_low"][:2].max() > table["sat_high"][:2].min()),
            2,
        ),
    }
    rows = []
    for rule, (models, content, counted) in rules.items():
        say(f"{models} models, {rule}")
        stopped, held, errors = [], [], []
        for repeat in range(repeats):
            random = np.random.default_rng(repeat)
            chosen = np.sort(random.choice(len(rates), models, replace=False))
            square = rates.to_numpy()[np.ix_(chosen, chosen)]
            scores = simulate(list(rates.index[chosen]), square, MOST, random)
            off = np.flatnonzero(scores.first != scores.second)
            truth = np.log(100 * square[scores.first[off], scores.second[off]])[:counted]
            images = LEAST
            while True:
                some = _first(scores, images)
                table = interval(some).iloc[off].reset_index(drop=True)
                if content(some, table) or images == MOST:
                    break
                images *= 2
            table = table[:counted]
            stopped.append(images)
            held.append(table["sat_low"].le(truth).mul(table["sat_high"].ge(truth)).mean())
            errors.append((table["sat"] - truth).mean())
        at = f"{min(stopped)} to {max(stopped)}"
        rows.append((models, rule, at, *(_mean(values) for values in (held, errors))))
    note = f"{repeats} repeats; coverage of the 95 % intervals, and mean error of SAT, with standard errors."
    header = ("models", "rule", "stopped at", "coverage", "mean error")
    return Table("images doubled until a rule is content", note, header, rows)


def _rates(matrix: Path) -> pd.DataFrame:
    square = np.exp(pd.read_csv(matrix, index_col=0)) / 100
    # The probit of 1 is infinite.
    return square.clip(upper=0.9999)


def _groups(labels: pd.Series) -> dict[str, list[str]]:
    return {str(name): list(rows.index) for name, rows in labels.groupby(labels) if len(rows) > 1}


def _first(scores: Scores, images: int) -> Scores:
    cut = (array[:, :images] for array in (scores.both, scores.forth, scores.back))
    return Scores(scores.models, scores.first, scores.second, *map(np.ascontiguousarray, cut))


def _median(table: pd.DataFrame) -> float:
    return float((table["sat_high"] - table["sat_low"]).median() / 2)


def _agreement(scores: Scores) -> float:
    halves = np.arange(scores.both.shape[1]) % 2
    values = weighted_sat(scores, np.stack([halves, 1 - halves]), EPS_S)[:, scores.first != scores.second]
    return float(spearmanr(*values).statistic)


def _mean(values: list[Any]) -> str:
    return f"{np.mean(values):.3f} ({np.std(values, ddof=1) / math.sqrt(len(values)):.3f})"


def _words(found: list[Floats]) -> list[str]:
    return [f"{value:.3f}" for value in np.mean(found, axis=0)]


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, help="results of the demo")
    parser.add_argument("--released", type=Path, help="the released matrix")
    parser.add_argument("--components", type=Path, help="its table of components")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of the simulation (default: 5)")
    parser.add_argument("--orders", type=int, default=20, help="orders of the demo's images (default: 20)")
    parser.add_argument("--runs", type=int, default=300, help="repeats of each rule to stop (default: 300)")
    given = parser.parse_args()
    if given.results:
        print(demo(given.results, given.orders))
    if given.released:
        print(stopping(given.released, given.runs), flush=True)
    if given.released and given.components:
        print(released(given.released, given.components, given.repeats))


if __name__ == "__main__":
    main()
