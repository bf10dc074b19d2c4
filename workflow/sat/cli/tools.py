"""What the commands for people share: they read the study as Snakemake does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from sat.errors import SatError
from sat.store.user_files import register
from sat.study.plan import Plan
from sat.study.study import Study, load_study


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a study."""
    parser.add_argument(
        "--study",
        nargs="+",
        default=["config.yaml"],
        metavar="FILE",
        help="config file(s) of the study (default: config.yaml)",
    )
    parser.add_argument(
        "--config",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings over those of the file, as for snakemake --config",
    )


def study_of(arguments: argparse.Namespace) -> Study:
    """The study that the arguments name.

    Raises
    ------
    SatError
        If it is not valid.
    """
    overrides: dict[str, Any] = {}
    for word in arguments.config:
        name, equals, value = word.partition("=")
        if not equals:
            raise SatError(f"--config {word!r}: write KEY=VALUE.")
        overrides[name] = yaml.safe_load(value)
    return load_study(arguments.study, overrides)


def plan_of(study: Study) -> Plan:
    """The plan of a study, with the digests of the user's own files."""
    return Plan(study, register(study.files, results_folder(study), write=False))


def results_folder(study: Study) -> Path:
    """Folder of a study's results, relative to where Snakemake runs."""
    return Path("results") / study.name


def there(path: Path) -> Path:
    """A result, if it is there.

    Raises
    ------
    SatError
        If it is not.
    """
    if not path.exists():
        raise SatError(f"{path}: is not there yet; run snakemake first.")
    return path


def tables_of(arguments: argparse.Namespace, study: Study) -> list[Path]:
    """Paths of a study's model tables."""
    names = study.config.models
    return [Path(arguments.study[0]).parent / name for name in ([names] if isinstance(names, str) else names)]
