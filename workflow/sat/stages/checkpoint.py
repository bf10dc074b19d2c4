"""Read a model's weights from the user's checkpoint."""

from __future__ import annotations

import argparse

from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--manifest", nargs="?", const="", default="", help="images/manifest.csv, for a net of a code file"
    )
    parser.add_argument("--checkpoint", required=True, help=".safetensors, or a state dict saved by torch")
    parser.add_argument("--out", required=True, help="weights/<model>.safetensors")


def run(arguments: argparse.Namespace) -> None:
    """Check that the checkpoint fits its architecture, and write it."""
    job = start(arguments)
    from sat.errors import SatError, about
    from sat.models.pretrained import load_checkpoint
    from sat.stages.common import classes_of, pop_net, save_weights
    from sat.store.files import file_digest

    params = dict(job.step.params)
    classes = classes_of(job, arguments.manifest) if "code" in params else None
    digest = file_digest(arguments.checkpoint)
    if digest != params["sha256"]:
        raise SatError(
            f"model {params['model']!r}: {arguments.checkpoint} has changed since Snakemake started; run it again."
        )
    with about(params["model"]):
        classifier = load_checkpoint(
            path=arguments.checkpoint, classes=classes, ema=params.get("ema", False), **pop_net(params)
        )
    save_weights(job, classifier, arguments.out, source_sha256=digest)
