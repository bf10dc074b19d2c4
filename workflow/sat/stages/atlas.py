"""Write report/atlas.html, and the first page of Snakemake's report."""

from __future__ import annotations

import argparse
from pathlib import Path

from sat.logs import log
from sat.stages.common import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--study", required=True, help="study.json")
    parser.add_argument("--tables", required=True, nargs="+", help="all tables and figures of the study")
    parser.add_argument("--examples", nargs="*", default=(), help="report/examples.parquet, if there is one")
    parser.add_argument("--atlas", required=True, help="report/atlas.html")
    parser.add_argument("--landing", required=True, help="report/landing.rst")


def run(arguments: argparse.Namespace) -> None:
    """Read everything, and write both pages."""
    job = start(arguments)
    from sat.report.atlas.landing import make_landing
    from sat.report.atlas.page import make_page
    from sat.report.atlas.results import read_results
    from sat.store.files import replacing

    study = job.input("study", arguments.study)
    tables = job.input_group("tables", arguments.tables)
    examples = [job.input("examples", path) for path in arguments.examples]
    job.ready()
    results = read_results(study, tables, examples[0] if examples else None, **job.step.params)
    for path, text in ((arguments.atlas, make_page(results)), (arguments.landing, make_landing(results))):
        with replacing(path) as temporary:
            Path(temporary).write_text(text, encoding="utf-8")
        log.info("%s: %.1f MB", path, len(text) / 1e6)
        job.finish(path)
