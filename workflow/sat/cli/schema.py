"""Print the JSON schema of a study's config file."""

from __future__ import annotations

import argparse
import json

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""


def run(arguments: argparse.Namespace) -> None:
    """Print the schema."""
    from sat.study.config import config_schema

    print(json.dumps(config_schema(), indent=2))
