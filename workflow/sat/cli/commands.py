"""Finds all commands by reading the files of their folders, without importing them.

A command is a module with ``add_arguments`` and ``run``. Its name is that of the
module, and its summary is the first line of the docstring. Commands for people are
the modules of ``sat.cli``, each with a ``GROUP``. Commands that Snakemake calls are
the modules of ``sat.stages``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = ("cli", "stages")
GROUPS = ("Prepare a study", "Run it", "Read its results", "Trust them", "Share them", "Develop SAT")
"""Headings of the commands for people, in the order of the help text."""


class Command(NamedTuple):
    """A command, as its source code describes it."""

    name: str
    module: str
    summary: str
    group: str
    """One of `GROUPS` if the command is for people, empty if Snakemake calls it."""


def find(name: str) -> Command | None:
    """Find a command by its name; commands for people take precedence.

    Parameters
    ----------
    name : str

    Returns
    -------
    Command or None
    """
    # A name such as ../x would lead out of the folder.
    found = (_read(folder, name) for folder in FOLDERS if name.isidentifier())
    return next(filter(None, found), None)


def commands(folder: str) -> list[Command]:
    """List all commands of a folder, sorted by name.

    Parameters
    ----------
    folder : {'cli', 'stages'}
    """
    names = sorted(path.stem for path in (PACKAGE / folder).glob("*.py"))
    return [command for name in names if (command := _read(folder, name))]


def overview() -> str:
    """Make the text of ``sat --help``: every command on one line."""
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
    """Make the message for an unknown command."""
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
