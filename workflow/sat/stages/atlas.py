"""Write the page report/atlas.html."""

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
    parser.add_argument("--out", required=True, help="report/atlas.html")


def run(arguments: argparse.Namespace) -> None:
    """Read everything, and write the page."""
    job = start(arguments)
    from sat.report.atlas.page import make_page
    from sat.report.atlas.results import read_results
    from sat.store.files import replacing

    study = job.input("study", arguments.study)
    tables = job.input_group("tables", arguments.tables)
    examples = [job.input("examples", path) for path in arguments.examples]
    job.ready()
    columns = job.step.params["columns"]
    page = make_page(read_results(study, tables, examples[0] if examples else None, columns))
    with replacing(arguments.out) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")
    log.info("%s: %.1f MB", arguments.out, len(page) / 1e6)
    job.finish(arguments.out)
