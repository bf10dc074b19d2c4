"""Attack a model on all images that it gets right."""

from __future__ import annotations

import argparse

from sat.logs import log, progress
from sat.stages.common import add_compute, batch_of, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--weights", required=True, help="weights/<model>.safetensors")
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--clean", required=True, help="clean/<model>.h5")
    parser.add_argument("--out", required=True, help="adversarial/<model>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Attack batch by batch; each batch is kept as a part until all are finished.

    A finished set of fewer images (`sat.store.shorter`) is not attacked again.
    """
    job = start(arguments)
    import numpy as np

    from sat.attacks import apply
    from sat.attacks.interface import Attacked
    from sat.errors import SatError
    from sat.models.classifier import load_classifier
    from sat.models.feed import Behind, line_to
    from sat.store import hdf5, layout
    from sat.store.chunks import Chunks, pack, store
    from sat.store.parts import Parts
    from sat.store.shorter import find_shorter, skip
    from sat.units import module
    from sat.units.attack import coarse

    params = job.step.params
    model, method = params["model"], module("attacks", params["method"]).UNIT
    classifier = load_classifier(job.input("weights", arguments.weights), arguments.device)
    classifier.precision = params.get("precision", "float32")
    with hdf5.reading(job.input("clean", arguments.clean)) as file:
        prediction = file["attack_prediction"][:]
    path = job.input("images", arguments.images)
    with hdf5.reading(path) as file:
        labels, ids = file["label"][:], file["id"][:]
    images = Chunks(path, "image")
    attacked = prediction == labels
    attacked[params.get("attack_images", len(attacked)) :] = False
    chosen = np.flatnonzero(attacked)
    kept, shorter = 0, find_shorter(job, arguments.images, arguments.out, method.independent)
    if shorter:
        with hdf5.reading(shorter.path) as file:
            before, of = file["attacked"][:], file.attrs["images_sha256"]
        with hdf5.reading(path) as file:
            same = hdf5.content_digest(file, len(before)) == of
        if same and np.array_equal(before, attacked[: len(before)]):
            kept = int(before.sum())
            log.info("%s: goes on from a set of %d images, of which %d are attacked", model, len(before), kept)
        else:
            skip(shorter.path, "other images")
            shorter = None
    parts, line = Parts(arguments.out, job, kept), line_to(arguments.device)
    resumed, size, steps = parts.stop, batch_of(job), params.get("steps")
    log.info(
        "attack %s: %d images%s, %d at once; after a stop it goes on from the last finished batch",
        model,
        len(chosen) - resumed,
        f", {steps} steps" if steps else "",
        size.size,
    )

    def keep(item: tuple[slice, Attacked]) -> None:
        where, found = item
        arrays = {name: array for name, array in vars(found).items() if array is not None}
        packed, sizes = pack(arrays.pop("perturbation"), line.threads)
        parts.write(slice(where.start + resumed, where.stop + resumed), packed=packed, sizes=sizes, **arrays)

    found = apply.attack_all(classifier, images, labels, ids, chosen[resumed:], params, size, line)
    try:
        with Behind(keep) as keeping:
            for item in progress(
                found, f"attack {model}", len(chosen) - resumed, lambda item: item[0].stop - item[0].start
            ):
                keeping.put(item)
    except FloatingPointError as error:
        raise SatError(f"model {model!r}: {error}; its weights are damaged, or it needs another input size.") from None
    counted = shorter.sidecar["facts"] if shorter else {}
    counts = ("n_fooled", "n_fooled_unrounded", "n_zero_gradient_steps", "n_zero_gradient_images")
    fooled, unrounded, zero_steps, zero_images = (counted.get(name, 0) for name in counts)
    with hdf5.writing(arguments.out, layout.ADVERSARIAL) as file:
        perturbation = hdf5.image_dataset(file, "perturbation", images.shape, method.dtype)
        if shorter:
            made = Chunks(shorter.path, "perturbation")
            for first in range(0, kept, hdf5.SLICE):
                rows = chosen[first : min(first + hdf5.SLICE, kept)]
                change = np.empty((len(rows), *made.shape[1:]), made.dtype)
                made.read(rows, change)
                store(perturbation, rows, *pack(change, line.threads))
        for where, part in parts.read():
            store(perturbation, chosen[where], part["packed"], part["sizes"])
            fooled += int(part["fooled"].sum())
            unrounded += 0 if method.lattice else int(part["fooled_unrounded"].sum())
            zero_steps += int(part["zero_gradients"].sum())
            zero_images += int((part["zero_gradients"] > 0).sum())
        file["attacked"] = attacked
        file.attrs["images_sha256"] = hdf5.stored_digest(arguments.images)
    whitebox = fooled / len(chosen) if len(chosen) else None
    log.info("%s: white-box success %s (%d of %d attacked images)", model, whitebox, fooled, len(chosen))
    facts: dict[str, object] = {"norm": method.norm, "selection": method.selection}
    if caution := coarse(method.norm, params["eps"], images.shape[-1]):
        log.warning("%s: %s.", model, caution)
    if method.selection == "first_success" and fooled < len(chosen):
        log.warning(
            "%s: %d images withstood the attack and stay clean. They count as not transferred: its rates as a source "
            "are about %.3f times those over the images that fool itself",
            model,
            len(chosen) - fooled,
            whitebox,
        )
    if not method.lattice:
        facts["n_fooled_unrounded"] = unrounded
        log.info("%s: before rounding to grey levels, %d were fooled", model, unrounded)
    if zero_steps:
        log.warning("%s: the gradient was zero everywhere in %d steps on %d images", model, zero_steps, zero_images)
    job.finish(
        arguments.out,
        whitebox=whitebox,
        n_fooled=fooled,
        n_attacked=len(chosen),
        n_zero_gradient_steps=zero_steps,
        n_zero_gradient_images=zero_images,
        n_resumed=resumed - kept,
        **({"continued": shorter.account(len(before))} if shorter else {}),
        **facts,
    )
    parts.remove()
