"""Sample the images of a split and resize them to the canvas."""

from __future__ import annotations

import argparse
import math

from sat.logs import log, progress
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--manifest", required=True, help="images/manifest.csv")
    parser.add_argument("--root", nargs="?", const="", default="", help="folder or file of the data set")
    parser.add_argument("--class-map", nargs="?", const="", default="", help="file with one class name per line")
    parser.add_argument("--list", nargs="?", const="", default="", help="file with the names of the attack images")
    parser.add_argument(
        "--max-megapixels",
        type=float,
        default=math.inf,
        help="most millions of pixels of an image (default: no limit)",
    )
    parser.add_argument("--out", required=True, help="images/<split>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Choose the split's images, read them, and write them."""
    import numpy as np

    from sat.errors import SatError
    from sat.images.datasets import decode, open_dataset
    from sat.images.images import (
        TooManyPixels,
        attack_count,
        eval_count,
        read_list,
        split_indices,
        to_canvas,
        training_images,
    )
    from sat.store import hdf5, layout
    from sat.store.tables import read_table

    job = start(arguments)
    params = job.step.params
    split, side = params["split"], params["canvas"]
    manifest = read_table(job.input("manifest", arguments.manifest))
    labels, names, ids = (manifest[column].to_numpy() for column in ("label", "name", "id"))
    dataset = open_dataset(
        params["source"], arguments.root or None, params.get("data_split", ""), arguments.class_map or None
    )
    if not dataset.streams and list(dataset.listing().names) != names.tolist():
        raise SatError(
            f"{arguments.root or params['source']}: does not hold the images of {arguments.manifest} any more; "
            "'snakemake --forcerun manifest' lists it again."
        )
    training = training_images(names.tolist(), params.get("train_folder"), arguments.root)
    candidates = split_indices(labels, split, params["train_fraction"], params["seed"], training).tolist()
    # The evaluation images are a prefix. Those behind it take the places of images that are left out.
    count = eval_count(params.get("eval_images", "all"), len(candidates))
    if arguments.list:
        candidates = read_list(arguments.list, names.tolist(), set(candidates[:count]))
        count = len(candidates)
    elif split == "attack":
        count = attack_count(params["attack_images"], count)
    done: list[int] = []
    sources: list[str] = []
    skipped: list[dict[str, str]] = []
    with hdf5.writing(arguments.out, layout.IMAGES) as file:
        stack = hdf5.image_dataset(file, "image", (count, 3, side, side), np.uint8)
        # If an image is left out, the next one of the permutation takes its place.
        remaining = candidates
        while len(done) < count and remaining:
            missing = count - len(done)
            rows, remaining = remaining[:missing], remaining[missing:]
            for row, raw in progress(dataset.read(rows), f"images {split}", len(rows)):
                try:
                    image, digest = decode(raw, arguments.max_megapixels)
                    canvas = to_canvas(image, side, params["crop_pct"], arguments.max_megapixels)
                except TooManyPixels as error:
                    # It is never left out: the limit depends on the machine, and must not decide which images are used.
                    raise SatError(
                        f"image {names[row]!r} of {arguments.root or params['source']}: {error}; raise the key if the "
                        "image is meant to be so large, or remove it."
                    ) from None
                except ValueError as error:
                    if params["on_bad_image"] == "stop":
                        raise SatError(
                            f"image {names[row]!r} of {arguments.root or params['source']}: cannot be read ({error}); "
                            "repair or remove it, or leave such images out with images.on_bad_image: skip."
                        ) from None
                    skipped.append({"name": names[row], "reason": str(error)})
                    continue
                stack[len(done)] = canvas
                done.append(row)
                sources.append(digest or "")
        if not done:
            raise SatError(f"{arguments.root}: not one of {len(candidates)} images of the split {split!r} can be read.")
        stack.resize(len(done), axis=0)
        file["label"], file["id"], file["name"] = labels[done], ids[done], names[done].tolist()
        if any(sources):
            file["source_sha256"] = np.array(sources, "S64")
    for entry in skipped:
        log.warning("%s: left out (%s)", entry["name"], entry["reason"])
    facts = job.facts(arguments.manifest, "n_classes", "classes")
    counts = np.bincount(labels[done], minlength=facts["n_classes"]).tolist()
    log.info("%s: %d images of %d classes, %d left out", split, len(done), facts["n_classes"], len(skipped))
    job.finish(
        arguments.out,
        n_images=len(done),
        n_classes=facts["n_classes"],
        classes_named=facts["classes"] is not None,
        class_counts=counts,
        skipped=skipped,
    )
