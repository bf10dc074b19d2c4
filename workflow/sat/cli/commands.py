"""The commands there are, found by looking into their folders; none of them is imported.

A command is a module with ``add_arguments`` and ``run``. Its name is the
module's, and its summary is the first line of its docstring. Commands for
people are the modules of ``sat.cli``, each with a ``GROUP``; those that
Snakemake calls are the modules of ``sat.stages``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]
# Remove "analyses" here once one stage runs all analyses.
FOLDERS = ("cli", "stages", "analyses")
GROUPS = ("Prepare a study", "Run it", "Read its results", "Trust them", "Develop SAT")
"""Headings of the commands for people, in the order in which they are shown."""


class Command(NamedTuple):
    """A command, as its source describes it."""

    name: str
    module: str
    summary: str
    group: str
    """One of `GROUPS` for a command for people; empty for one that Snakemake calls."""


def find(name: str) -> Command | None:
    """Find the command of a name, commands for people first.

    Parameters
    ----------
    name : str

    Returns
    -------
    Command or None
    """
    # A name such as ../x would leave the folder.
    found = (_read(folder, name) for folder in FOLDERS if name.isidentifier())
    return next(filter(None, found), None)


def commands(folder: str) -> list[Command]:
    """All commands of a folder, sorted by name.

    Parameters
    ----------
    folder : {'cli', 'stages'}
    """
    names = sorted(path.stem for path in (PACKAGE / folder).glob("*.py"))
    return [command for name in names if (command := _read(folder, name))]


def overview() -> str:
    """What ``sat --help`` prints: every command on one line."""
    people = commands("cli")
    lines = [
        "usage: sat COMMAND ...",
        "",
        "Similarity of image classifiers by attack transferability (SAT).",
        "'sat COMMAND --help' explains a command; 'sat --version' prints the version.",
    ]
    for group in GROUPS:
        lines += ["", f"{group}:", *(_line(command) for command in people if command.group == group)]
    lines += ["", "Called by Snakemake, one for each stage:", *map(_line, commands("stages"))]
    return "\n".join(lines)


def unknown(name: str) -> str:
    """What to say about a command that is not there."""
    from difflib import get_close_matches

    names = [command.name for folder in ("cli", "stages") for command in commands(folder)]
    near = get_close_matches(name, names, 2, 0.7)
    meant = f" Did you mean {' or '.join(repr(word) for word in near)}?" if near else ""
    return f"sat: there is no command {name!r}.{meant} 'sat --help' shows all commands."


def _line(command: Command) -> str:
    return f"  {command.name:<12}{command.summary}"


def _read(folder: str, name: str) -> Command | None:
    place = PACKAGE / folder / name
    source = next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
    text = source.read_text(encoding="utf-8") if source else ""
    if not all(re.search(rf"^def {function}\(", text, re.MULTILINE) for function in ("add_arguments", "run")):
        return None
    summary = re.match(r'"""(.*?)(?:"""|\n)', text)
    group = re.search(r'^GROUP = "(.*)"$', text, re.MULTILINE)
    return Command(name, f"sat.{folder}.{name}", summary[1] if summary else "", group[1] if group else "")
