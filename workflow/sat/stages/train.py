"""Train a model on the study's images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sat.logs import log
from sat.stages.common import add_compute, start
from sat.store.artefact import Job

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat.models.classifier import Blueprint
    from sat.models.training import Trained
    from sat.store.checkpoint import Checkpoint
    from sat.store.chunks import Images
    from sat.study.training import Training


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--images", required=True, help="images/train.h5")
    parser.add_argument(
        "--pretrained", nargs="?", const="", default="", help="weights to start from, if the model is fine-tuned"
    )
    parser.add_argument("--out", required=True, help="weights/<model>.safetensors")
    add_training(parser)


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of stages that train."""
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that prepare images (default: the number of threads with a GPU, none without)",
    )
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=30, help="least time from one checkpoint to the next (default: 30)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Train the model and write its weights; from time to time, the state after an epoch is kept until then."""
    job = start(arguments)
    import dataclasses

    from sat.errors import about
    from sat.models.classifier import load_classifier, plan_blueprint
    from sat.stages.common import pop_net, save_weights
    from sat.store import hdf5
    from sat.store.chunks import Images
    from sat.study.training import Training

    params = dict(job.step.params)
    net, model, seed = pop_net(params), params.pop("model"), params.pop("seed")
    settings = Training.model_validate(params)
    with hdf5.reading(job.input("images", arguments.images)) as file:
        labels = file["label"][:]
    images = Images(arguments.images)
    n_classes = job.facts(arguments.images, "n_classes")["n_classes"]
    begin = None
    if arguments.pretrained:
        classifier = load_classifier(job.input("pretrained", arguments.pretrained))
        begin = classifier.net.state_dict()
        blueprint = dataclasses.replace(classifier.blueprint, num_classes=n_classes)
    else:
        net["input_size"] = net["input_size"] or images.shape[-1]
        with about(model):
            blueprint = plan_blueprint(num_classes=n_classes, **net)
    log.info("training %s on %d images", blueprint, len(images))
    trained, checkpoint = fit(
        job, arguments, f"model {model!r}", blueprint, images, labels, settings, (seed, model), start=begin
    )
    save_weights(
        job,
        trained.classifier,
        arguments.out,
        n_images=len(images),
        history=trained.history,
        n_resumed=trained.n_resumed,
    )
    checkpoint.remove()


def fit(
    job: Job,
    arguments: argparse.Namespace,
    who: str,
    blueprint: Blueprint,
    images: Images,
    labels: NDArray[np.integer],
    settings: Training,
    seed: tuple[object, ...],
    **options: Any,
) -> tuple[Trained, Checkpoint]:
    """Train with the arguments of a command.

    Parameters
    ----------
    job : Job
        The job; it has accepted its inputs already.
    arguments : argparse.Namespace
        The command's arguments, including those of `add_training`.
    who : str
        What is trained, for messages.
    blueprint, images, labels, settings, seed, **options
        See `sat.models.training.train`.

    Returns
    -------
    Trained
    Checkpoint
        The caller removes it after writing the weights.

    Raises
    ------
    SatError
        If the model cannot be trained with these settings.
    """
    import torch

    from sat.errors import SatError
    from sat.models.precision import tolerate
    from sat.models.training import train
    from sat.store.checkpoint import Checkpoint

    workers = arguments.workers
    if workers is None:
        workers = arguments.threads if arguments.device == "cuda" else 0
    checkpoint = Checkpoint(arguments.out, job, arguments.checkpoint_seconds)
    # A step of a training cannot be computed twice, so nothing may fail for want of a deterministic algorithm.
    tolerate("what has none in training")
    try:
        trained = train(
            blueprint,
            images,
            labels,
            settings,
            seed=seed,
            device=arguments.device,
            workers=workers,
            checkpoint=checkpoint,
            **options,
        )
    except SatError as error:
        raise SatError(f"{who}: {error}") from None
    except (ValueError, FloatingPointError) as error:
        raise SatError(f"{who}: cannot be trained: {error}.") from None
    except torch.cuda.OutOfMemoryError:
        # The batch is not halved, because fewer images per step would be another training.
        raise SatError(
            f"{who}: the GPU's memory does not hold {settings.batch_size} images a step; lower "
            "training.batch_size, or the column training.batch_size of its row."
        ) from None
    return trained, checkpoint
