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
    import torch

    from sat.cli.common import save_weights
    from sat.errors import SatError
    from sat.models.classifier import plan_blueprint
    from sat.models.training import train
    from sat.store import hdf5
    from sat.store.artefact import read_sidecar

    params = dict(job.step.params)
    model, architecture = params.pop("model"), params.pop("architecture")
    input_size, seed = params.pop("input_size"), params.pop("seed")
    mean, std = params.pop("mean", None), params.pop("std", None)
    with hdf5.reading(job.input("images", arguments.images)) as file:
        images, labels = file["image"][:], file["label"][:]
    n_classes = read_sidecar(arguments.images)["facts"]["n_classes"]
    blueprint = plan_blueprint(architecture, n_classes, input_size or images.shape[-1], mean, std)
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
    except torch.cuda.OutOfMemoryError:
        # Fewer images a step would be another training.
        raise SatError(
            f"model {model!r}: the GPU's memory does not hold {params['batch_size']} images a step; lower "
            "training.batch_size, or the column training.batch_size of its row."
        ) from None
    save_weights(job, classifier, arguments.out, n_images=len(images), history=history)
