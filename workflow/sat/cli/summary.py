"""Say where a study's results lie, which models are most alike, and which families were found."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--pairs", type=int, default=5, help="number of pairs (default: 5)")


def run(arguments: argparse.Namespace) -> None:
    """Print the summary."""
    from sat.cli.tools import results_folder, study_of
    from sat.errors import SatError
    from sat.status.summary import summarise
    from sat.store.artefact import read_sidecar

    study = study_of(arguments)
    results = results_folder(study)
    gates = [read_sidecar(results / f"clean/{model}.gate.json") for model in study.used]
    inaccurate = {gate["params"]["model"]: gate["facts"]["accuracy"] for gate in gates if not gate["facts"]["passed"]}
    try:
        print(summarise(results, study.config, inaccurate, arguments.pairs))
    except OSError as error:
        raise SatError(f"{error.filename}: is not there yet; run snakemake first.") from None
