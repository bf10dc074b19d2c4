"""Code that the commands for people share; they read the study as Snakemake does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from sat.errors import SatError
from sat.store.user_files import register
from sat.study.code import give_consent
from sat.study.places import places_of_results
from sat.study.plan import Plan
from sat.study.spelling import did_you_mean
from sat.study.study import Study, examine_study, load_study
from sat.text import wrapped

DEFAULT = ["config.yaml"]
"""The study of a command line that names no study."""
OF_INIT = "study.yaml"
"""What such a command takes where there is no config.yaml: the study that `sat init` writes."""


class _NameStudy(argparse.Action):
    """Accept a study's files in either form (positional or --study), and refuse both at once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        # argparse calls the positional action with its default if no file is given.
        if not values or values is self.default:
            return
        if namespace.study is not self.default:
            parser.error("the study is named twice; give all its files at once, as in --study FILE ...")
        namespace.study = list(values)


def add_study(parser: argparse.ArgumentParser, positional: bool = True) -> None:
    """Add the arguments that choose a study.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    positional : bool
        Whether the study may also be named without ``--study``. A command with
        other positional arguments does not allow that.
    """
    about = (
        "config file(s) of the study; a later file overrides those before it (default: config.yaml, or else study.yaml)"
    )
    if positional:
        parser.add_argument("study", nargs="*", default=DEFAULT, action=_NameStudy, metavar="STUDY", help=about)
    parser.add_argument(
        "--study",
        nargs="+",
        default=DEFAULT,
        action=_NameStudy,
        metavar="FILE",
        help="the same as STUDY" if positional else about,
    )
    parser.add_argument(
        "--config",
        nargs="+",
        default=[],
        action="extend",
        metavar="KEY=VALUE",
        help="settings that override the file, as in snakemake --config; within a section: 'attack={steps: 5}'",
    )


def add_parts(parser: argparse.ArgumentParser, default: str, about: str) -> None:
    """Add the argument that chooses parts of a study; see `sat.sharing.contents.PARTS`."""
    parser.add_argument(
        "--with",
        dest="parts",
        default=default,
        metavar="PARTS",
        help=f"{about}, with commas between: attacks, predictions, weights, images; or all"
        + (f" (default: {default})" if default else ""),
    )


def parts_of(arguments: argparse.Namespace) -> list[str]:
    """Parts of a study that the arguments choose, in the order of their declaration.

    Raises
    ------
    SatError
        If there is no such part.
    """
    from sat.sharing.contents import PARTS

    asked = [part.strip() for part in arguments.parts.split(",") if part.strip()]
    names = ", ".join(PARTS)
    for part in asked:
        if part not in (*PARTS, "all"):
            raise SatError(f"--with {part}: {did_you_mean(part, (*PARTS, 'all'), f'write {names}, or all.')}")
    return list(PARTS) if "all" in asked else [part for part in PARTS if part in asked]


def study_of(arguments: argparse.Namespace) -> Study:
    """Read the study that the arguments name.

    Raises
    ------
    SatError
        If there is no study, or it is not valid.
    """
    _find_study(arguments)
    return load_study(arguments.study, overrides_of(arguments.config))


def examined(arguments: argparse.Namespace) -> tuple[Study | None, list[str]]:
    """Read the study that the arguments name, and all its mistakes; see `sat.study.study.examine_study`.

    Raises
    ------
    SatError
        If there is no study.
    """
    _find_study(arguments)
    return examine_study(arguments.study, overrides_of(arguments.config))


def _find_study(arguments: argparse.Namespace) -> None:
    """Take the study of the current folder if the command names none."""
    if arguments.study is not DEFAULT or Path(DEFAULT[0]).exists():
        return
    if not Path(OF_INIT).exists():
        raise SatError(
            f"there is no {DEFAULT[0]} or {OF_INIT} in this folder ({Path.cwd()}), and the command names no other "
            "study; write --study FILE, or call sat in the folder of the study."
        )
    arguments.study = [OF_INIT]


def overrides_of(words: Sequence[str]) -> dict[str, Any]:
    """Read the settings of ``--config``; values are typed as in YAML."""
    overrides: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            hint = "; name the study before --config" if Path(word).is_file() else ""
            raise SatError(f"--config {word!r}: write KEY=VALUE{hint}.")
        if "." in name:
            section, *keys = name.split(".")
            nested = f"{{{': {'.join(keys)}: {value}{'}' * len(keys)}"
            raise SatError(f"--config {word}: a key of a section is written as --config '{section}={nested}'.")
        try:
            overrides[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise SatError(f"--config {word!r}: the value is not valid YAML.") from None
    give_consent(overrides, None)
    return overrides


def plan_of(study: Study) -> Plan:
    """Make the plan of a study, with the digests of the user's own files."""
    return Plan(study, register(study.files, results_folder(study), write=False))


def results_folder(study: Study) -> Path:
    """Folder of a study's results, relative to the folder where Snakemake runs."""
    return Path("results") / study.name


def existing_results(arguments: argparse.Namespace, study: Study) -> Path:
    """Find the folder of a study's results, for commands that only read it.

    Raises
    ------
    SatError
        If it is not in the folder where the command was called. The message says
        where it is, if it is found above that folder or beside the study.
    """
    results, here = results_folder(study), Path.cwd()
    places = places_of_results(study.name, Path(arguments.study[0]))
    if here in places:
        return results
    advice = (
        f"It is in {places[0]}: call sat there"
        if places
        else "Call sat in the folder where snakemake ran; if it has not run yet, 'sat plan' says what it will do"
    )
    raise SatError(f"{results}: is not in this folder ({here}). {advice}.")


def say_elsewhere(arguments: argparse.Namespace, study: Study) -> None:
    """Say on standard error if a study has results in another folder and none here, for commands that need none."""
    here, places = Path.cwd(), places_of_results(study.name, Path(arguments.study[0]))
    if places and here not in places:
        _caution(
            f"this folder ({here}) has no {results_folder(study)}, so everything would be made anew. The study has "
            f"results in {places[0]}: call sat there to use them."
        )


def there(path: Path) -> Path:
    """Return the path of a result if it exists.

    Raises
    ------
    SatError
        If it does not.
    """
    if not path.exists():
        raise SatError(f"{path}: is not there yet; run snakemake first.")
    return path


def say_earlier(paths: Iterable[Path]) -> None:
    """Say on standard error which versions have changed since results were made; standard output stays as it was."""
    from sat.status.upgrade import earlier_in_words, earlier_versions

    found = {change for path in paths for change in earlier_versions(path)}
    if found:
        _caution(f"{earlier_in_words(sorted(found, key=str))}.")


def _caution(text: str) -> None:
    print("\n".join(wrapped(f"Caution, {text}", "", "  ")), file=sys.stderr)


def tables_of(arguments: argparse.Namespace, study: Study) -> list[Path]:
    """Paths of a study's model tables."""
    from sat.study.study import locate

    names = study.config.models
    folder = Path(arguments.study[0]).parent
    return [locate(folder, name) for name in ([names] if isinstance(names, str) else names)]
