"""Save a trained model that a function of a code file returns."""

from __future__ import annotations

import argparse

from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--manifest", nargs="?", const="", default="", help="images/manifest.csv, if the row does not say the classes"
    )
    parser.add_argument("--out", required=True, help="weights/<model>.safetensors")


def run(arguments: argparse.Namespace) -> None:
    """Call the net's function for its weights, and write them. Later the function is called for the net alone."""
    job = start(arguments)
    from sat.errors import SatError, about
    from sat.models.classifier import build, plan_blueprint
    from sat.models.own import WrongArguments, check_rebuilt
    from sat.stages.common import classes_of, pop_net, save_weights

    params = dict(job.step.params)
    classes = classes_of(job, arguments.manifest)
    params["options"] = {**params.get("options", {}), "pretrained": False}
    with about(params["model"]):
        try:
            blueprint = plan_blueprint(num_classes=classes, **pop_net(params))
            classifier = build(blueprint, arguments.out, {"pretrained": True})
            # All jobs that follow use the net that is built around the stored weights.
            again = build(blueprint, arguments.out)
            check_rebuilt(classifier.net, again.net, blueprint.architecture, blueprint.input_size)
        except WrongArguments as error:
            raise SatError(
                f"{error} With 'code' in column 'weights', the function also takes 'pretrained': True when its weights "
                "are fetched, and False when the net is built around stored ones."
            ) from None
    save_weights(job, classifier, arguments.out)
