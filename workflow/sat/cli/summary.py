"""Show how far to trust the results, similar pairs, and clusters."""

from __future__ import annotations

import argparse

GROUP = "Read its results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    add_study(parser)
    parser.add_argument("--pairs", type=int, default=5, help="number of pairs (default: 5)")


def run(arguments: argparse.Namespace) -> None:
    """Print the summary."""
    from sat.cli.tools import existing_results, say_earlier, study_of, there
    from sat.status.summary import summarise
    from sat.store.artefact import read_sidecar

    study = study_of(arguments)
    results = existing_results(arguments, study)
    tables = ["similarity/sat.csv"]
    tables += [f"analysis/{name}.csv" for name in ("clusters", "choose_k", "membership", "clusters_agreement")]
    if not study.config.matrix:
        tables += ["similarity/most_similar.csv", "similarity/models.csv"]
    for name in tables:
        there(results / name)
    # A study that starts from a matrix has no gates.
    models = () if study.config.matrix else study.used
    gates = [read_sidecar(there(results / f"clean/{model}.gate.json")) for model in models]
    inaccurate = {gate["params"]["model"]: gate["facts"]["accuracy"] for gate in gates if not gate["facts"]["passed"]}
    print(summarise(results, study.config, inaccurate, arguments.pairs))
    say_earlier(results / name for name in tables)
