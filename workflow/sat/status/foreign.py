"""What Snakemake would take from a folder by itself: profiles and Snakefiles. Either can run code."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sat.study.reading import CODE

DEFAULTS = ("default", "profiles/default")
"""Where Snakemake looks for a profile in the folder where it starts, before it takes the project's own."""
SNAKEFILES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
"""Where Snakemake looks for a Snakefile if none is named."""
PROGRAMS = re.compile(r"snakefile|jobscript|precommand|.*-cmd")
"""Keys of a profile that name a program."""
EVALUATED = ("default-resources", "set-resources")
"""Keys of a profile whose values Snakemake evaluates as Python."""
REPLACED = ("config", "configfile", "configfiles")
"""Keys of a profile that change a study."""
_PROFILE = re.compile(r"(profile|config)(\.v\d+\+)?\.yaml")
_PLAIN: tuple[type[ast.AST], ...] = (ast.Expression, ast.Constant, ast.Name, ast.Attribute, ast.BinOp, ast.UnaryOp)
_PLAIN += (ast.expr_context, ast.operator, ast.unaryop)


class Foreign(NamedTuple):
    """Something that Snakemake would take."""

    path: Path
    text: str
    """What it is, and what it does."""
    harms: bool
    """Whether Snakemake would run code of it, or another study, if it started in the folder of the call."""


def foreign(here: Path, others: Iterable[Path], clone: Path) -> Iterator[Foreign]:
    """Find profiles and Snakefiles that are not the project's own, and profiles that change a study.

    Nothing is executed.

    Parameters
    ----------
    here : Path
        Folder of the call.
    others : iterable of Path
        Further folders, such as that of the study.
    clone : Path
        Folder of the project.

    Yields
    ------
    Foreign
    """
    own = {clone.resolve() / place for place in ("profiles/default", "Snakefile", "workflow/Snakefile")}
    folders = dict.fromkeys(folder.resolve() for folder in (here, *others))
    for folder in folders:
        start = folder == here.resolve()
        for place in map(folder.joinpath, DEFAULTS):
            if place.exists() and place.resolve() not in own:
                effects = _effects(place)
                does = " and ".join(effects) or "changes how Snakemake runs"
                text = f"a default profile, which {does}. Snakemake takes it if it starts in {folder}"
                yield Foreign(place, text, start and bool(effects))
        for place in map(folder.joinpath, SNAKEFILES):
            if place.is_file() and place.resolve() not in own:
                text = f"a Snakefile, which is a program. Snakemake runs it if it starts in {folder}"
                yield Foreign(place, text, False)
    named = os.environ.get("SNAKEMAKE_PROFILE", "")
    places = [Path(named)] * bool(named)
    for folder in dict.fromkeys([*folders, clone.resolve()]):
        places += [place for root in (folder, folder / "profiles") for place in sorted(_subfolders(root))]
    seen: set[Path] = set()
    for place in places:
        default = any(place == folder / name for folder in folders for name in DEFAULTS)
        if (default and place.resolve() not in own) or place.resolve() in seen:
            continue
        seen.add(place.resolve())
        if effects := _effects(place):
            text = f"a profile, which {' and '.join(effects)}"
            yield Foreign(place, text, str(place) == named or place.resolve() in own)


def _subfolders(root: Path) -> Iterator[Path]:
    try:
        yield from (place for place in root.iterdir() if place.is_dir() and any(_profiles(place)))
    except OSError:
        return


def _profiles(place: Path) -> Iterator[Path]:
    """Files of a profile, which may be a file itself."""
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from (file for file in sorted(place.iterdir()) if _PROFILE.fullmatch(file.name) and file.is_file())


def _effects(place: Path) -> list[str]:
    """What a profile does beyond plain settings, with words that follow 'which'."""
    effects: list[str] = []
    for file in _profiles(place):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            effects.append("cannot be read")
            continue
        if not isinstance(content, Mapping):
            continue
        if CODE in content:
            effects.append("runs Python code (YTE)")
        effects += [f"sets {key}, so it changes the study" for key in REPLACED if content.get(key)]
        effects += [f"names a program ({key})" for key in content if PROGRAMS.fullmatch(str(key))]
        effects += [
            f"has Python code under {key} ({value[:80]})"
            for key in EVALUATED
            for value in _values(content.get(key))
            if _is_code(value.partition("=")[2] or value)
        ]
    return effects


def _is_code(value: str) -> bool:
    """Whether Snakemake would evaluate more than a number, a word or a path."""
    try:
        return not all(isinstance(node, _PLAIN) for node in ast.walk(ast.parse(value.strip(), mode="eval")))
    except (SyntaxError, ValueError):
        # Snakemake takes this as a word. But it may be Python once variables are replaced in it.
        return "(" in value and "$" in value


def _values(content: Any) -> list[str]:
    """All values below a key, as text."""
    if isinstance(content, Mapping):
        return [text for value in content.values() for text in _values(value)]
    if isinstance(content, list):
        return [text for value in content for text in _values(value)]
    return [] if content is None else [str(content)]
