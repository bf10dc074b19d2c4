"""Fetch a model's pretrained weights from the hub."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--out", required=True, help="weights/<model>.safetensors")


def run(arguments: argparse.Namespace) -> None:
    """Fetch the weights, load them into their architecture, and write them."""
    job = start(arguments)
    from sat.errors import SatError
    from sat.models.pretrained import fetch, load_pretrained
    from sat.stages.common import save_weights
    from sat.store.files import file_digest

    params = job.step.params
    architecture = params["architecture"]
    try:
        found = fetch(architecture, params["revision"])
        log.info("%s of %s, commit %s", found.file, found.repository, found.revision)
        classifier = load_pretrained(
            architecture, found.path, params["input_size"], params.get("mean"), params.get("std")
        )
    except SatError as error:
        raise SatError(f"model {params['model']!r}: {error}") from None
    save_weights(
        job,
        classifier,
        arguments.out,
        repository=found.repository,
        revision=found.revision,
        file=found.file,
        source_sha256=file_digest(found.path),
    )
