"""The predictions of all models on all adversarial images, as errors of each model on each image."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sat.logs import progress

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

    from sat.similarity.resampling import Scores
    from sat.stages.given import Given

    Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """Errors of each model on the attack images; all arrays have the shape (images,)."""

    correct: dict[str, Bools]
    """For each model, whether it classifies the clean image correctly."""
    fooled: dict[tuple[str, str], Bools]
    """For each source and target, whether the target errs on the source's adversarial image."""
    fooled_by_noise: dict[str, Bools]
    """For each target, whether it errs on the image under random noise of the attack's size."""

    def on(self, counted: Bools) -> Predictions:
        """The errors on some of the images, bool (images,)."""
        return Predictions(
            {model: right[counted] for model, right in self.correct.items()},
            {pair: wrong[counted] for pair, wrong in self.fooled.items()},
            {model: wrong[counted] for model, wrong in self.fooled_by_noise.items()},
        )

    def scores(self, models: Sequence[str]) -> Scores:
        """Bring the errors of some models into the form that resampling needs."""
        import numpy as np

        from sat.similarity.resampling import image_scores

        correct = np.array([self.correct[model] for model in models])
        fooled = np.array([[self.fooled[source, target] for target in models] for source in models])
        return image_scores(models, correct, fooled)


def collect_predictions(
    labels: NDArray[np.integer],
    clean: Mapping[str, NDArray[np.integer]],
    tiles: Iterable[h5py.File],
) -> Predictions:
    """Collect the predictions of the models in use. A tile may hold retired models, which are left out.

    Parameters
    ----------
    labels : int array, shape (n,)
        True classes of the attack images, or of the first n of them.
    clean : mapping of str to int array, shape (n or more,)
        Predictions of the clean attack images, for each model in use.
    tiles : iterable of h5py.File
        All tiles that hold these models. Each is read before the next one is requested.

    Returns
    -------
    Predictions
    """
    count = len(labels)
    found = Predictions({model: prediction[:count] == labels for model, prediction in clean.items()}, {}, {})
    for source, target, prediction in read_tiles(clean, count, tiles):
        if source is None:
            found.fooled_by_noise[target] = prediction != labels
        else:
            found.fooled[source, target] = prediction != labels
    return found


def read_tiles(
    models: Container[str], count: int, tiles: Iterable[h5py.File]
) -> Iterator[tuple[str | None, str, NDArray[np.integer]]]:
    """Read the predicted classes of every pair of models. A tile may hold retired models, which are left out.

    Parameters
    ----------
    models : container of str
        The models in use.
    count : int
        Number of images, the first ones.
    tiles : iterable of h5py.File

    Yields
    ------
    str or None
        The source; None for random noise.
    str
        The target.
    int array, shape (count,)
        Class that the target predicts; -1 where the source did not attack the image.
    """
    for file in tiles:
        prediction = file["prediction"][:, :, :count]
        if "noise_prediction" in file:
            noise = file["noise_prediction"][:, :count]
            for row, target in enumerate(file["target"].asstr()[:]):
                if target in models:
                    yield None, target, noise[row]
        for source, target, row, column in pairs_of(file, models):
            yield source, target, prediction[row, column]


def pairs_of(tile: h5py.File, models: Container[str]) -> Iterator[tuple[str, str, int, int]]:
    """Source, target, row and column of each pair of models in use that a tile holds."""
    # Where a study has landmarks, a tile may have only each model against itself.
    only_itself = tile.attrs.get("diagonal", False)
    targets, sources = tile["target"].asstr()[:], tile["source"].asstr()[:]
    for row, target in enumerate(targets):
        for column, source in enumerate(sources):
            if source in models and target in models and (source == target or not only_itself):
                yield str(source), str(target), row, column


def predictions_of(given: Given) -> Predictions:
    """Collect the predictions from an analysis' inputs `images`, `clean` and `tiles`."""
    return collect_predictions(
        given["images"]["label"][:],
        {model: file["attack_prediction"][:] for model, file in given["clean"].items()},
        progress(given["tiles"].one_by_one(), "tiles", len(given["tiles"])),
    )
