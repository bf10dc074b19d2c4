"""Print the JSON schema of a study's config file."""

from __future__ import annotations

import argparse
import json

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--markdown", action="store_true", help="print the page docs/config.md instead")


def run(arguments: argparse.Namespace) -> None:
    """Print the schema."""
    from sat.study.config import config_schema
    from sat.study.keys import document

    if arguments.markdown:
        print(document(config_schema()), end="")
    else:
        print(json.dumps(config_schema(), indent=2))
