"""Evaluate a tile's targets on its sources' adversarial images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.logs import log, progress
from sat.stages.common import add_compute, batch_of, start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--weights", required=True, nargs="+", help="weights of the targets")
    parser.add_argument("--adversarial", required=True, nargs="+", help="adversarial sets of the sources")
    parser.add_argument("--out", required=True, help="tiles/<target tile>/<source tile>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Load all targets once, then read one source after the other."""
    job = start(arguments)
    import numpy as np

    from sat.attacks.evaluate import ABSENT, evaluate
    from sat.attacks.noise import noise as random_noise
    from sat.errors import SatError
    from sat.models.classifier import load_classifier
    from sat.store import hdf5, layout

    params = job.step.params
    targets, sources = params["targets"], params["sources"]
    path = job.input("images", arguments.images)
    digests = hdf5.stored_digest(path), job.inputs["images"]["sha256"]
    with hdf5.reading(path) as file:
        images, ids = file["image"][:], file["id"][:]
    weights = job.input_group("weights", arguments.weights)
    sets = job.input_group("adversarial", arguments.adversarial)
    prediction = np.full((len(targets), len(sources), len(images)), ABSENT, np.int16)
    confidence = np.full(prediction.shape, np.nan, np.float16)
    noise, batch = params.get("noise"), batch_of(job)
    noise_prediction = np.full((len(targets), len(images)), ABSENT, np.int16)
    classifiers = [load_classifier(path, arguments.device) for path in weights]

    def predictions(
        target: int, perturbation: NDArray[np.integer], attacked: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int16], NDArray[np.float16]]:
        try:
            return evaluate(classifiers[target], images, perturbation, attacked, batch, arguments.device)
        except FloatingPointError as error:
            raise SatError(f"model {targets[target]!r}: {error}; its weights are damaged.") from None

    if noise:
        random = random_noise(ids, images.shape[1:], noise)
        for target in range(len(targets)):
            noise_prediction[target], _ = predictions(target, random, np.ones(len(images), bool))
        del random  # it takes twice the memory of the images
    # Unpacking a set takes as long as a small model's predictions on it, so each set is read once.
    for source, path in enumerate(progress(sets, "sources", len(sets))):
        with hdf5.reading(path) as file:
            # Sets of earlier versions name the digest of the file.
            if file.attrs["images_sha256"] not in digests:
                raise SatError(
                    f"{path}: belongs to other images than {arguments.images}; delete it and run Snakemake again."
                )
            perturbation, attacked = file["perturbation"][:], file["attacked"][:]
        for target in [source] if params.get("diagonal") else range(len(targets)):
            prediction[target, source], confidence[target, source] = predictions(target, perturbation, attacked)
    with hdf5.writing(arguments.out, layout.TILE) as file:
        file["prediction"], file["confidence"] = prediction, confidence
        file["target"], file["source"] = targets, sources
        if noise:
            file["noise_prediction"] = noise_prediction
        if params.get("diagonal"):
            file.attrs["diagonal"] = True
    log.info("%d targets on %d sources done", len(targets), len(sources))
    job.finish(arguments.out, n_pairs=len(targets) * (1 if params.get("diagonal") else len(sources)))
