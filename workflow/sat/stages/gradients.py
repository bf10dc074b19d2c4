"""Record the gradients of a model's loss at clean images."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import add_compute, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--weights", required=True, help="weights/<model>.safetensors")
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--out", required=True, help="gradients/<model>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Compute the gradients of the same images for every model, whether or not it classifies them correctly."""
    job = start(arguments)
    import numpy as np

    from sat.attacks.clean_gradients import input_gradients
    from sat.errors import SatError
    from sat.images.sample import sample_images
    from sat.logs import progress
    from sat.models.classifier import load_classifier
    from sat.stages.common import batch_of
    from sat.store import hdf5, layout
    from sat.store.chunks import Chunks

    params = job.step.params
    model = params["model"]
    classifier = load_classifier(job.input("weights", arguments.weights), arguments.device)
    path = job.input("images", arguments.images)
    with (
        hdf5.reading(path) as images,
        hdf5.writing(arguments.out, layout.GRADIENTS) as file,
    ):
        labels, ids = images["label"][:], images["id"][:]
        chosen = sample_images(ids.tolist(), params["images"], "images for gradients", params["seed"])
        pixels = int(np.prod(images["image"].shape[1:]))
        # Half precision: its rounding is far below the differences between models.
        stored = file.create_dataset("gradient", (len(chosen), pixels), np.float16)

        zero = 0
        for where, gradient in progress(
            input_gradients(classifier, Chunks(path, "image"), labels, batch_of(job), arguments.device, chosen),
            f"gradients {model}",
            len(chosen),
            lambda item: item[0].stop - item[0].start,
        ):
            flat = gradient.reshape(len(gradient), -1)
            if not np.isfinite(flat).all():
                raise SatError(f"model {model!r}: gradients that are not finite; its weights are damaged.")
            largest = np.abs(flat).max(axis=1, keepdims=True)
            zero += int((largest == 0).sum())
            # Measures compare directions only. Values up to 1 fit half precision.
            stored[where] = flat / np.where(largest > 0, largest, 1)
        file["label"], file["id"] = labels[chosen], ids[chosen]
    if zero:
        log.warning("%s: the gradient is zero everywhere on %d of %d images", model, zero, len(chosen))
    job.finish(arguments.out, n_images=len(chosen), n_zero_gradients=zero)
