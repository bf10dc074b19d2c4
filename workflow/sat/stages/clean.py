"""Record which clean images a model gets right."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import add_compute, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_compute(parser)
    parser.add_argument("--weights", required=True, help="weights/<model>.safetensors")
    parser.add_argument("--attack-images", required=True, help="images/attack.h5")
    parser.add_argument("--eval-images", required=True, help="images/eval.h5")
    parser.add_argument("--out", required=True, help="clean/<model>.h5")


def run(arguments: argparse.Namespace) -> None:
    """Predict the evaluation images. The attack images are among them, so their predictions are looked up."""
    job = start(arguments)
    import numpy as np

    from sat.errors import SatError
    from sat.models.classifier import check_classes, features, load_classifier, predict
    from sat.stages.common import batch_of
    from sat.store import hdf5, layout
    from sat.store.chunks import Chunks

    model, batch = job.step.params["model"], batch_of(job)
    classifier = load_classifier(job.input("weights", arguments.weights), arguments.device)
    classifier.precision = job.step.params.get("precision", "float32")
    attack_images = job.input("attack_images", arguments.attack_images)
    eval_images = job.input("eval_images", arguments.eval_images)
    with hdf5.reading(attack_images) as file:
        attack_ids = file["id"][:]
    with hdf5.reading(eval_images) as file:
        labels, ids = file["label"][:], file["id"][:]
    facts = job.facts(arguments.eval_images, "n_classes", "classes_named")
    outputs = classifier.blueprint.num_classes
    check_classes(model, outputs, int(labels.max()), facts["n_classes"], facts["classes_named"])
    try:
        eval_logits = predict(classifier, Chunks(eval_images, "image"), batch, arguments.device, f"clean {model}")
    except FloatingPointError as error:
        raise SatError(f"model {model!r}: {error}; its weights are damaged, or it needs another input size.") from None
    found = features(classifier, Chunks(attack_images, "image"), batch, arguments.device)
    prediction = eval_logits.argmax(1).astype(np.int16)
    place = {image: row for row, image in enumerate(ids.tolist())}
    with hdf5.writing(arguments.out, layout.CLEAN) as file:
        file["attack_prediction"] = prediction[[place[image] for image in attack_ids.tolist()]]
        file["eval_prediction"] = prediction
        # Half precision holds values up to 65,504; larger values would become infinite.
        file["eval_logits"] = eval_logits.clip(-65504, 65504).astype(np.float16)
        if found.shape[1]:
            file["attack_features"] = found.clip(-65504, 65504).astype(np.float16)
        else:
            log.warning("%s: has no known features; its column 'features' can name a layer", model)
    right = int((prediction == labels).sum())
    log.info("%s: accuracy %.4f (%d of %d evaluation images)", model, right / len(labels), right, len(labels))
    job.finish(arguments.out, accuracy=right / len(labels), n_correct=right, n_images=len(labels))
