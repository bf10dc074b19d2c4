"""Attack a model on all images that it gets right."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, batch_of, log, progress, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser, compute=True)
    parser.add_argument("--weights", required=True, help="weights/<model>.safetensors")
    parser.add_argument("--images", required=True, help="images/attack.h5")
    parser.add_argument("--clean", required=True, help="clean/<model>.h5")
    parser.add_argument("--out", required=True, help="adversarial/<model>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Attack batch by batch; each is kept as a part until all are there."""
    job = start(arguments)
    import numpy as np

    from sat.attack.attack import Attacked, pgd_linf, random_start
    from sat.errors import SatError
    from sat.models.batches import in_batches
    from sat.models.classifier import load_classifier
    from sat.store import hdf5
    from sat.store.artefact import read_sidecar
    from sat.store.parts import Parts

    params = job.step.params
    model = params["model"]
    classifier = load_classifier(job.input("weights", arguments.weights), arguments.device)
    with hdf5.reading(job.input("clean", arguments.clean)) as file:
        prediction = file["attack_prediction"][:]
    with hdf5.reading(job.input("images", arguments.images)) as images:
        labels, ids = images["label"][:], images["id"][:]
        shape = images["image"].shape
        attacked = prediction == labels
        chosen = np.flatnonzero(attacked)

        def attack(where: slice) -> Attacked:
            rows = chosen[where]
            begin = (
                random_start(ids[rows], shape[1:], params["eps"], params["seed"], model)
                if params["random_start"]
                else None
            )
            return pgd_linf(
                classifier,
                # Single reads: HDF5's fancy indexing is hundreds of times slower.
                np.stack([images["image"][row] for row in rows]),
                labels[rows],
                eps=params["eps"],
                step=params["step"],
                steps=params["steps"],
                start=begin,
                device=arguments.device,
            )

        parts = Parts(arguments.out, job)
        resumed = parts.stop
        results = in_batches(len(chosen), batch_of(job), attack, resumed)
        try:
            for where, result in progress(
                results, f"attack {model}", len(chosen) - resumed, lambda item: item[0].stop - item[0].start
            ):
                parts.write(where, **vars(result))
        except FloatingPointError as error:
            raise SatError(
                f"model {model!r}: {error}; its weights are damaged, or it needs another input size."
            ) from None
    fooled = zero_steps = zero_images = 0
    with hdf5.writing(arguments.out) as file:
        perturbation = hdf5.image_dataset(file, "perturbation", shape, np.int8)
        for where, part in parts.read():
            for row, change in zip(chosen[where], part["perturbation"], strict=True):
                perturbation[row] = change
            fooled += int(part["fooled"].sum())
            zero_steps += int(part["zero_gradients"].sum())
            zero_images += int((part["zero_gradients"] > 0).sum())
        file["attacked"] = attacked
        file.attrs["images_sha256"] = read_sidecar(arguments.images)["sha256"]
    whitebox = fooled / len(chosen) if len(chosen) else None
    log.info("%s: white-box success %s (%d of %d attacked images)", model, whitebox, fooled, len(chosen))
    if zero_steps:
        log.warning("%s: the gradient was zero everywhere in %d steps on %d images", model, zero_steps, zero_images)
    job.finish(
        arguments.out,
        whitebox=whitebox,
        n_fooled=fooled,
        n_attacked=len(chosen),
        n_zero_gradient_steps=zero_steps,
        n_zero_gradient_images=zero_images,
        n_resumed=resumed,
    )
    parts.remove()
