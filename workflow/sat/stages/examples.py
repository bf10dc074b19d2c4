"""Choose the adversarial examples that report/atlas.html shows."""

from __future__ import annotations

import argparse

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--manifest", required=True, help="images/manifest.csv, whose sidecar names the classes")
    parser.add_argument("--attack-images", required=True, help="images/attack.h5")
    parser.add_argument("--eval-images", required=True, help="images/eval.h5")
    parser.add_argument("--clean", required=True, nargs="+", help="clean predictions of the models")
    parser.add_argument("--adversarial", required=True, nargs="+", help="adversarial sets of the models")
    parser.add_argument("--tiles", required=True, nargs="+", help="all tiles")
    parser.add_argument("--out", required=True, help="report/examples.parquet")


def run(arguments: argparse.Namespace) -> None:
    """Find what each pair has to show, and take the images in the order of interest until the budget is used up."""
    job = start(arguments)
    from sat.report.atlas.examples import Clean, choose, draw, find
    from sat.store import hdf5
    from sat.store.files import replacing
    from sat.store.tables import read_matrix

    models, budget = job.step.params["models"], job.step.params["bytes"]
    matrix = read_matrix(job.input("sat", arguments.sat))
    classes = job.facts(job.input("manifest", arguments.manifest), "classes")["classes"]
    attack_images = job.input("attack_images", arguments.attack_images)
    with hdf5.reading(job.input("eval_images", arguments.eval_images)) as file:
        place = {image: row for row, image in enumerate(file["id"][:].tolist())}
    with hdf5.reading(attack_images) as file:
        labels, ids = file["label"][:], file["id"][:].tolist()
        names = file["name"].asstr()[:].tolist()
    rows = [place[image] for image in ids]
    clean = {}
    for model, path in zip(models, job.input_group("clean", arguments.clean), strict=True):
        with hdf5.reading(path) as file:
            clean[model] = Clean.of(file["attack_prediction"][:], file["eval_logits"][:][rows])
    sets = dict(zip(models, job.input_group("adversarial", arguments.adversarial), strict=True))
    tiles = job.input_group("tiles", arguments.tiles)
    job.ready()
    found = find(labels, clean, tiles)
    table = draw(choose(matrix, found), budget, attack_images, sets, clean, labels, names, classes or [])
    with replacing(arguments.out) as temporary:
        table.to_parquet(temporary, index=False)
    log.info("%d examples of %d that the pairs have", len(table), len(found))
    job.finish(arguments.out, n_examples=len(table), n_found=len(found))
