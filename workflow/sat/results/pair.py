"""One pair of models: its numbers, and images that show them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sat.errors import SatError
from sat.results.images import class_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sat.results.study import StudyResults

FOOLS_BOTH, FOOLS_SOURCE = "fools both", "fools only its source"


@dataclass(frozen=True, eq=False)
class PairExamples:
    """Adversarial images of one of two models, with what both say. All arrays have one entry per example."""

    source: str
    """The model that was attacked."""
    other: str
    """The model that was only shown the images."""
    fools: tuple[str, ...]
    """`fools both` or `fools only its source`."""
    id: NDArray[np.int64]
    """Number of the image in the data set, shape (n,)."""
    clean: NDArray[np.uint8]
    """The image before the attack, grey levels 0 to 255, shape (n, 3, S, S)."""
    perturbation: NDArray[np.integer]
    """What the attack adds, in grey levels, shape (n, 3, S, S)."""
    adversarial: NDArray[np.uint8]
    """The image after the attack, grey levels 0 to 255, shape (n, 3, S, S)."""
    label: NDArray[np.int64]
    """True class, shape (n,). Both models give it to the clean image."""
    prediction_source: NDArray[np.int16]
    """Class that the attacked model gives to the adversarial image, shape (n,)."""
    prediction_other: NDArray[np.int16]
    """Class that the other model gives to the adversarial image, shape (n,)."""
    classes: tuple[str, ...] | None
    """Names of the classes by label, if they have names."""

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} adversarial images of {self.source}, shown to {self.other})"


class Pair:
    """What is known of two models.

    Parameters
    ----------
    results : StudyResults
    first, second : str
    """

    def __init__(self, results: StudyResults, first: str, second: str) -> None:
        if first == second:
            raise SatError(f"a pair has two different models, and both are {first!r}.")
        self._results = results
        self.first, self.second = first, second
        self.sat = float(results.matrix.loc[first, second])
        """SAT: ln of the mean transfer success in per cent."""
        self.affinity = float(results.affinity.loc[first, second])
        """Affinity: log-odds beyond what the two models' own levels predict."""

    @cached_property
    def _row(self) -> dict[str, Any]:
        table = self._results.most_similar
        if self.estimated:
            table = self._results.estimated
        found = table[table["model_a"].isin([self.first, self.second]) & (table["model_a"] != table["model_b"])]
        row: dict[str, Any] = found[found["model_b"].isin([self.first, self.second])].iloc[0].to_dict()
        return row

    @property
    def estimated(self) -> bool:
        """Whether the pair was not measured, so that SAT and affinity are estimates from the pairs with landmarks."""
        landmarks = self._results.study.landmarks
        return bool(landmarks) and not {self.first, self.second} & set(landmarks)

    @property
    def sat_interval(self) -> tuple[float, float]:
        """Interval of SAT at the study's confidence. It covers the choice of images, or the error of the estimate."""
        return float(self._row["sat_low"]), float(self._row["sat_high"])

    @property
    def above_noise(self) -> bool:
        """Whether the models fool each other more often than random noise of the same size does."""
        self._check_counts()
        return bool(self._row["above_noise"])

    def _check_counts(self) -> None:
        if self.estimated:
            raise SatError(
                f"{self.first} and {self.second}: were not tried against each other, since neither is a landmark. "
                "There are estimates of SAT and affinity, and no images or counts."
            )

    @cached_property
    def directions(self) -> pd.DataFrame:
        """Counts and rates of both directions: the rows of `StudyResults.pairs`, with the source as index."""
        self._check_counts()
        pairs = self._results.pairs
        both = [self.first, self.second]
        found = pairs[pairs["source"].isin(both) & pairs["target"].isin(both) & (pairs["source"] != pairs["target"])]
        return found.set_index("source").loc[both]

    def examples(self, n: int = 2, source: str | None = None) -> PairExamples:
        """Choose adversarial images that show how the pair behaves.

        Rule: of the attack images that both models classify correctly, in the study's order (a random one, with the
        classes in their proportions), the first `n` whose adversarial image fools both models, and the first `n` whose
        adversarial image fools only the model that it was made on. The images stay the same as long as the results do.

        Parameters
        ----------
        n : int
            Most examples of each kind. There may be fewer, or none.
        source : str, optional
            The model that was attacked; the first of the pair by default.

        Returns
        -------
        PairExamples
        """
        results, source = self._results, source or self.first
        if source not in (self.first, self.second):
            raise SatError(f"source {source!r} is not in this pair; write {self.first!r} or {self.second!r}.")
        other = self.second if source == self.first else self.first
        said = results.predictions.sel(source=source, target=[source, other]).to_numpy()
        labels = results.labels
        right = (results.clean.sel(model=[source, other]).to_numpy() == labels).all(axis=0) & (said[0] >= 0)
        wrong = said != labels
        chosen = {
            kind: np.flatnonzero(right & wrong[0] & (wrong[1] == both))[:n]
            for kind, both in ((FOOLS_BOTH, True), (FOOLS_SOURCE, False))
        }
        rows = np.concatenate(list(chosen.values()))
        # The images are read one by one: there are few, and they lie far apart.
        sets = [results.adversarial(source, rows=slice(row, row + 1)) for row in rows.tolist()]
        side = results.study.config.images.canvas
        empty = np.empty((0, 3, side, side), np.uint8)
        return PairExamples(
            source,
            other,
            tuple(kind for kind, found in chosen.items() for _ in found),
            results.predictions["image"].to_numpy()[rows],
            np.concatenate([empty, *(each.clean for each in sets)]),
            np.concatenate([empty.astype(np.int8), *(each.perturbation for each in sets)]),
            np.concatenate([empty, *(each.image for each in sets)]),
            labels[rows],
            said[0][rows],
            said[1][rows],
            results.classes,
        )

    def plot(self, n: int = 2, source: str | None = None) -> Figure:
        """Draw examples: the clean image, the perturbation (grey is none) and the adversarial image.

        Parameters
        ----------
        n, source
            See `examples`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from sat.results.drawing import draw_examples

        return draw_examples(self.examples(n, source))

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("SAT", f"{self.sat:.2f}"), ("affinity", f"{self.affinity:.2f}")]
        if self._results.study.config.matrix:
            return [*lines, ("counts", "none: the study starts from a matrix")]
        low, high = self.sat_interval
        lines[0] = ("SAT", f"{self.sat:.2f} [{low:.2f}, {high:.2f}]")
        for source, row in self.directions.iterrows():
            told = f"{row['n_fooled']} of {row['n_both_correct']} images fooled ({100 * row['rate']:.1f} %)"
            lines.append((f"{source} -> {row['target']}", told))
        return [*lines, ("above noise", "yes" if self.above_noise else "no")]

    def __repr__(self) -> str:
        lines = [(f"Pair({self.first}, {self.second})", ""), *self._lines()]
        width = max(len(key) for key, _ in lines[1:])
        return "\n".join([lines[0][0], *(f"  {key:<{width}}  {value}" for key, value in lines[1:])])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in self._lines())
        return f"<table><caption>{escape(self.first)} and {escape(self.second)}</caption>{rows}</table>"


def told(classes: tuple[str, ...] | None, prediction: int, label: int) -> str:
    """What a model says, in words."""
    return f"{class_name(classes, prediction)}{'' if prediction == label else ' (wrong)'}"
