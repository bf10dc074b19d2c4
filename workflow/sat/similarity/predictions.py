"""The predictions of all models on all adversarial images: who errs where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

    from sat.similarity.resampling import Scores

    Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """Who errs where, on the attack images; arrays of shape (images,)."""

    correct: dict[str, Bools]
    """By model: the clean images that it classifies correctly."""
    fooled: dict[tuple[str, str], Bools]
    """By source and target: the target errs on the source's adversarial image."""
    fooled_by_noise: dict[str, Bools]
    """By target: it errs on the image under random noise of the attack's size."""

    def scores(self, models: Sequence[str]) -> Scores:
        """Those of some models, in the form that resampling multiplies."""
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
    """Collect the predictions of the models in use; a tile may hold retired ones, which are left out.

    Parameters
    ----------
    labels : int array, shape (n,)
        True classes of the attack images, or of the first n of them.
    clean : mapping of str to int array, shape (n or more,)
        By model in use: its predictions of the clean attack images.
    tiles : iterable of h5py.File
        All tiles that hold these models; each is read while it is the iterable's last.

    Returns
    -------
    Predictions
    """
    count = len(labels)
    found = Predictions({model: prediction[:count] == labels for model, prediction in clean.items()}, {}, {})
    for file in tiles:
        targets, sources = file["target"].asstr()[:], file["source"].asstr()[:]
        wrong = file["prediction"][:, :, :count] != labels
        noise = file["noise_prediction"][:, :count] != labels if "noise_prediction" in file else None
        for row, target in enumerate(targets):
            if target not in found.correct:
                continue  # retired
            if noise is not None:
                found.fooled_by_noise[target] = noise[row]
            for column, source in enumerate(sources):
                if source in found.correct:
                    found.fooled[source, target] = wrong[row, column]
    return found
