"""What stages share that read the predictions of all models on all adversarial images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sat.stages.common import progress
from sat.store.artefact import Job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.similarity.resampling import Scores

    Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Predictions:
    """Who errs where, on the attack images; arrays of shape (images,)."""

    correct: dict[str, Bools]
    """By model: the clean images that it classifies correctly."""
    accuracy: dict[str, float]
    """By model: share of the evaluation images classified correctly."""
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


def add_predictions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `read_predictions` takes."""
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models in use")
    parser.add_argument("--tiles", required=True, nargs="+", help="all tiles that hold them")


def read_predictions(
    job: Job,
    images: Path | str,
    clean: Sequence[Path | str],
    tiles: Sequence[Path | str],
    models: Sequence[str],
    count: int | None = None,
) -> Predictions:
    """Collect the predictions of the models in use; a tile may hold retired ones, which are left out.

    Parameters
    ----------
    job : Job
        Whose step has the inputs images, clean and tiles.
    images : path
        images/attack.h5.
    clean : sequence of path
        Clean predictions of the models in use.
    tiles : sequence of path
        All tiles that hold them.
    models : sequence of str
        In use, in the order of the clean predictions.
    count : int, optional
        Of the first attack images alone; all by default.

    Returns
    -------
    Predictions

    Raises
    ------
    SatError
        If there are fewer attack images than that.
    """
    from sat.errors import SatError
    from sat.store import hdf5
    from sat.store.artefact import read_sidecar

    with hdf5.reading(job.input("images", images)) as file:
        labels = file["label"][:count]
    if count and len(labels) < count:
        raise SatError(
            f"{images}: holds {len(labels)} attack images, and the variant asks for {count}; lower its attack_images."
        )
    found = Predictions({}, {}, {}, {})
    for model, path in zip(models, job.input_group("clean", clean), strict=True):
        with hdf5.reading(path) as file:
            found.correct[model] = file["attack_prediction"][:count] == labels
        found.accuracy[model] = read_sidecar(path)["facts"]["accuracy"]
    for path in progress(job.input_group("tiles", tiles), "tiles", len(tiles)):
        with hdf5.reading(path) as file:
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
