"""Describe all results and how they were made as an RO-Crate."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

from sat.logs import log
from sat.stages.common import start

PACKAGE = Path(__file__).resolve().parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--pages", required=True, nargs="+", help="the pages of the report")
    parser.add_argument("--gates", nargs="*", default=(), help="gates of all models")
    parser.add_argument("--ro-crate-metadata", required=True, help="provenance/ro-crate-metadata.json")
    parser.add_argument("--snakefile", required=True, help="provenance/Snakefile, a copy")


def run(arguments: argparse.Namespace) -> None:
    """Collect the sidecars of everything that the pages and gates were made from, and describe it."""
    job = start(arguments)
    from sat.status.crate import collect, make_crate
    from sat.store.files import replacing

    results = [*job.input_group("pages", arguments.pages), *job.input_group("gates", arguments.gates)]
    job.ready()
    origins = collect(results)
    copy = Path(arguments.snakefile)
    with replacing(copy) as temporary:
        temporary.write_bytes((PACKAGE.parents[1] / "Snakefile").read_bytes())
    job.finish(copy)
    with replacing(arguments.ro_crate_metadata) as temporary:
        temporary.write_text(make_crate(origins, copy, dict(_about())), encoding="utf-8")
    job.finish(arguments.ro_crate_metadata, n_files=len(origins))
    log.info("%s: %d files", arguments.ro_crate_metadata, len(origins))


def _about() -> Iterator[tuple[str, str]]:
    """What each stage does: the first line of its module's docstring."""
    for folder in ("stages", "analyses"):
        for path in sorted((PACKAGE / folder).glob("[a-z]*")):
            source = path / "__init__.py" if path.is_dir() else path
            if source.is_file() and source.suffix == ".py":
                text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
                yield path.stem, text.partition("\n")[0]
