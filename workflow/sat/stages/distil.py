"""Train a student, with a teacher or without one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sat.logs import log
from sat.stages.common import add_compute, start
from sat.stages.train import add_training, fit

if TYPE_CHECKING:
    from sat.models.batches import Batch
    from sat.models.classifier import Classifier
    from sat.store.artefact import Job

OPTIONS = ("kind", "temperature", "weight")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--train-images", required=True, help="images/train.h5")
    parser.add_argument("--eval-images", required=True, help="images/eval.h5")
    parser.add_argument("--teacher", nargs="?", const="", default="", help="weights of the teacher, if there is one")
    parser.add_argument("--out", required=True, help="distilled/<teacher>/<seed>.safetensors")
    add_training(parser)


def run(arguments: argparse.Namespace) -> None:
    """Train, evaluate, write."""
    job = start(arguments)
    from sat.errors import SatError
    from sat.models.classifier import load_classifier, plan_blueprint
    from sat.models.training import Distillation
    from sat.stages.common import batch_of, pop_net, save_weights
    from sat.store import hdf5
    from sat.store.chunks import Images
    from sat.study.training import Training

    params = dict(job.step.params)
    net, student = pop_net(params), params.pop("student")
    seed, replicate = params.pop("seed"), params.pop("replicate")
    name = params.pop("teacher", None)
    options = {option: params.pop(option) for option in OPTIONS if option in params}
    settings = Training.model_validate(params)
    with hdf5.reading(job.input("train_images", arguments.train_images)) as file:
        labels = file["label"][:]
    images = Images(arguments.train_images)
    n_classes = job.facts(arguments.train_images, "n_classes")["n_classes"]
    net["input_size"] = net["input_size"] or images.shape[-1]
    blueprint = plan_blueprint(num_classes=n_classes, **net)
    job.input("eval_images", arguments.eval_images)
    teacher = distillation = None
    if name:
        teacher = load_classifier(job.input("teacher", arguments.teacher), arguments.device)
        distillation = Distillation(**options)
        if teacher.blueprint.num_classes != n_classes:
            raise SatError(
                f"teacher {name!r}: has {teacher.blueprint.num_classes} classes, and the student {n_classes}; "
                "leave it out of distillation.teachers."
            )
    with_whom = f"with {name}" if name else "without a teacher"
    log.info("training %s on %d images %s", blueprint, len(images), with_whom)
    trained, checkpoint = fit(
        job,
        arguments,
        f"student {student!r} {with_whom}",
        blueprint,
        images,
        labels,
        settings,
        # The key leaves out the teacher, so that all students of one replicate start from the same weights and see
        # the images in the same order.
        (seed, student, "replicate", replicate),
        teacher=teacher,
        distillation=distillation,
    )
    right, n = evaluate(trained.classifier.freeze(arguments.device), job, arguments.eval_images, batch_of(job))
    log.info("%s: accuracy %.4f (%d of %d evaluation images)", with_whom, right / n, right, n)
    facts = {"accuracy": right / n, "n_correct": right, "n_images": n}
    save_weights(job, trained.classifier, arguments.out, **facts, history=trained.history, n_resumed=trained.n_resumed)
    checkpoint.remove()


def evaluate(classifier: Classifier, job: Job, path: str, batch: Batch) -> tuple[int, int]:
    """Count the evaluation images that a student gets right, and all of them."""
    from sat.models.classifier import outputs_of
    from sat.store import hdf5
    from sat.store.chunks import Chunks

    with hdf5.reading(path) as file:
        labels = file["label"][:]
    found = outputs_of(classifier, Chunks(path, "image"), batch, job.run["device"], "evaluation")
    return sum(int((logits.argmax(1) == labels[where]).sum()) for where, logits in found), len(labels)
