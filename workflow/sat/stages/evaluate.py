"""Evaluate a tile's targets on its sources' adversarial images."""

from __future__ import annotations

import argparse

from sat.logs import log, progress
from sat.stages.common import add_compute, batch_of, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--weights", required=True, nargs="+", help="weights of the targets")
    parser.add_argument("--adversarial", required=True, nargs="+", help="adversarial sets of the sources")
    parser.add_argument("--out", required=True, help="tiles/<target tile>/<source tile>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Load all targets once, then read one source after the other; go on after the images of a shorter tile."""
    job = start(arguments)
    import numpy as np

    from sat.attacks.evaluate import Source, evaluate
    from sat.attacks.noise import Noise
    from sat.errors import SatError
    from sat.models.classifier import load_classifier
    from sat.store import hdf5, layout
    from sat.store.chunks import Chunks
    from sat.store.shorter import find_shorter, skip

    params = job.step.params
    names, sources = params["targets"], params["sources"]
    path = job.input("images", arguments.images)
    digests = hdf5.stored_digest(path), job.inputs["images"]["sha256"]
    with hdf5.reading(path) as file:
        ids = file["id"][:]
    images = Chunks(path, "image")
    weights = job.input_group("weights", arguments.weights)
    adversarial = job.input_group("adversarial", arguments.adversarial)
    shorter, kept = find_shorter(job, arguments.images, arguments.out), 0
    if shorter:
        # Every set must go on from the very set that the shorter tile was made of; it has compared the images.
        going_on = [job.facts(path, "continued")["continued"] or {} for path in adversarial]
        of = [made["sha256"] for made in shorter.sidecar["inputs"]["adversarial"]]
        if [found.get("sha256") for found in going_on] == of:
            kept = going_on[0]["images"]
            log.info("goes on from a tile of %d images", kept)
        else:
            skip(shorter.path, "other adversarial sets")
            shorter = None
    sets: list[Source] = []
    diagonal = params.get("diagonal", False)
    for path in adversarial:
        with hdf5.reading(path) as file:
            # Sets of earlier versions name the digest of the file.
            if file.attrs["images_sha256"] not in digests:
                raise SatError(
                    f"{path}: belongs to other images than {arguments.images}; delete it and run Snakemake again."
                )
            attacked = file["attacked"][:]
        attacked[:kept] = False
        sets.append(Source(Chunks(path, "perturbation"), attacked, [len(sets)] if diagonal else None))
    noise = params.get("noise")
    if noise:
        sets.append(Source(Noise(ids, images.shape[1:], noise), np.arange(len(ids)) >= kept))
    prediction = np.full((len(names), len(sets), len(ids)), layout.ABSENT, np.int16)
    confidence = np.full(prediction.shape, np.nan, np.float16)
    targets = {name: load_classifier(path, arguments.device) for name, path in zip(names, weights, strict=True)}
    for classifier in targets.values():
        classifier.precision = params.get("precision", "float32")
    for found in progress(
        evaluate(targets, images, sets, batch_of(job), arguments.device),
        f"{len(names)} targets on {len(sources)} sources",
        sum(int(source.attacked.sum()) * len(source.targets or names) for source in sets),
        lambda found: len(found.rows),
    ):
        place = found.target, found.source, found.rows
        prediction[place], confidence[place] = found.prediction, found.confidence
    n = len(sources)
    if shorter:
        with hdf5.reading(shorter.path) as file:
            prediction[:, :n, :kept], confidence[:, :n, :kept] = file["prediction"][:], file["confidence"][:]
            if noise:
                prediction[:, n, :kept] = file["noise_prediction"][:]
    with hdf5.writing(arguments.out, layout.TILE) as file:
        file["prediction"], file["confidence"] = prediction[:, :n], confidence[:, :n]
        file["target"], file["source"] = names, sources
        if noise:
            file["noise_prediction"] = prediction[:, n]
        if diagonal:
            file.attrs["diagonal"] = True
    log.info("%d targets on %d sources done", len(names), n)
    job.finish(
        arguments.out,
        n_pairs=n if diagonal else len(names) * n,
        **({"continued": shorter.account(kept)} if shorter else {}),
    )
