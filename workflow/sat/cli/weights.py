"""Make the weights of a model: train it on the study's training images."""

from __future__ import annotations

import argparse

from sat.cli.common import add_step, log, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser, compute=True)
    parser.add_argument("--images", required=True, help="images/train.h5")
    parser.add_argument("--out", required=True, help="weights/<model>.safetensors")


def run(arguments: argparse.Namespace) -> None:
    """Train the model and write its weights."""
    job = start(arguments)
    from sat.errors import SatError
    from sat.models.classifier import plan_blueprint, save_classifier
    from sat.models.weights import train
    from sat.store import hdf5
    from sat.store.artefact import replacing

    params = dict(job.step.params)
    model, architecture = params.pop("model"), params.pop("architecture")
    input_size, seed = params.pop("input_size"), params.pop("seed")
    with hdf5.reading(job.input("images", arguments.images)) as file:
        images, labels = file["image"][:], file["label"][:]
    blueprint = plan_blueprint(architecture, int(labels.max()) + 1, input_size or images.shape[-1])
    log.info("training %s on %d images", blueprint, len(images))
    history = []

    def report(record: dict[str, float]) -> None:
        history.append(record)
        log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f",
            record["epoch"],
            params["epochs"],
            record["loss"],
            record["accuracy"],
        )

    try:
        classifier = train(
            blueprint, images, labels, seed=(seed, model), device=arguments.device, report=report, **params
        )
    except (ValueError, FloatingPointError) as error:
        raise SatError(f"model {model!r}: cannot be trained: {error}.") from None
    with replacing(arguments.out) as temporary:
        save_classifier(classifier, temporary)
    parameters = sum(value.numel() for value in classifier.parameters())
    job.finish(arguments.out, n_parameters=parameters, n_images=len(images), history=history)
