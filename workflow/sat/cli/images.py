"""Sample the images of a split and bring them to the canvas."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, log, progress, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--out", required=True, help="images/<split>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Read the data set, choose the split's images, write them."""
    import numpy as np

    from sat.errors import SatError
    from sat.images.images import read_digits, split_indices, to_canvas
    from sat.store import hdf5

    job = start(arguments)
    params = job.step.params
    images, labels = read_digits()
    attack_images = params.get("attack_images", "all")
    try:
        chosen = split_indices(
            labels,
            params["split"],
            params["train_fraction"],
            params["seed"],
            None if attack_images == "all" else attack_images,
        )
    except ValueError as error:
        raise SatError(f"key 'images.attack_images': {error}; ask for fewer, or lower images.train_fraction.") from None
    side = params["canvas"]
    with hdf5.writing(arguments.out) as file:
        stack = hdf5.image_dataset(file, "image", (len(chosen), 3, side, side), np.uint8)
        for row, index in enumerate(progress(chosen, "images", len(chosen))):
            stack[row] = to_canvas(images[index], side, params["crop_pct"])
        file["label"] = labels[chosen]
        file["id"] = chosen
    counts = np.bincount(labels[chosen], minlength=labels.max() + 1).tolist()
    log.info("%s: %d images of %d classes", params["split"], len(chosen), len(counts))
    job.finish(arguments.out, n_images=len(chosen), n_classes=len(counts), class_counts=counts)
