"""List all images of the data set with their classes."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--root", nargs="?", const="", default="", help="folder or file of the data set")
    parser.add_argument("--class-map", nargs="?", const="", default="", help="file with one class name per line")
    parser.add_argument("--out", required=True, help="images/manifest.csv")


def run(arguments: argparse.Namespace) -> None:
    """Open the data set, list it, and write the list."""
    import pandas as pd

    from sat.errors import SatError
    from sat.images.datasets import open_dataset
    from sat.store.tables import write_tables

    job = start(arguments)
    params = job.step.params
    dataset = open_dataset(
        params["source"], arguments.root or None, params.get("split", ""), arguments.class_map or None
    )
    listing = dataset.listing()
    if not len(listing.names):
        raise SatError(f"images.source {params['source']!r}, root {arguments.root!r}: holds no image.")
    dropped = dataset.dropped
    if dropped and params.get("on_bad_image") != "skip":
        raise SatError(
            f"images.source {params['source']!r}: {dropped} of {dropped + len(listing.names)} images cannot be read; "
            "repair the data set, or leave them out with images.on_bad_image: skip."
        )
    table = pd.DataFrame({"id": listing.ids, "name": listing.names, "label": listing.labels})
    log.info("%d images of %d classes", len(table), listing.n_classes)
    facts = {"n_images": len(table), "n_classes": listing.n_classes, "classes": listing.classes, "n_dropped": dropped}
    write_tables(job, {arguments.out: table}, **facts)
