"""Check that a model is accurate enough to be attacked."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--clean", required=True, help="clean/<model>.h5")
    parser.add_argument("--out", required=True, help="clean/<model>.gate.json")


def run(arguments: argparse.Namespace) -> None:
    """Compare the model's accuracy with the study's min_accuracy."""
    from sat.errors import SatError

    job = start(arguments)
    params = job.step.params
    facts = job.facts(job.input("clean", arguments.clean), "accuracy", "n_correct", "n_images")
    passed = facts["accuracy"] >= params["min_accuracy"]
    message = (
        f"model {params['model']!r}: gets {facts['n_correct']} of {facts['n_images']} evaluation images right "
        f"({facts['accuracy']:.4f}), and the study's min_accuracy is {params['min_accuracy']:g}"
    )
    if not passed and params["on_low_accuracy"] == "stop":
        raise SatError(
            f"{message}. Attacking it would measure its errors. Train it longer (training.epochs), correct its "
            "weights, lower min_accuracy, take its row out of the table, or let it pass flagged "
            "(on_low_accuracy: flag)."
        )
    (log.info if passed else log.warning)(message)
    job.finish(arguments.out, passed=passed, accuracy=facts["accuracy"])
