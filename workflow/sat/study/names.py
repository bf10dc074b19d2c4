"""Names of timm's architectures and optimisers, known without importing timm or torch.

Two lists are shipped as data. `PYTHONPATH=workflow python -m sat.models.names` writes them again from the installed
timm, and a test holds them against it. A name that they lack is looked up in the source of the timm that is installed,
which may be newer.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from sat.study.spelling import did_you_mean

ARCHITECTURES = Path(__file__).with_name("architectures.txt")
"""The first line says which timm this is. Then a name a line: architectures, old names of architectures that timm still
takes, and architectures with the tags of their pretrained weights."""
OPTIMISERS = Path(__file__).with_name("optimisers.txt")
"""The first line says which timm this is. Then a name a line."""
UNUSABLE = ("adahessian", "kron")
"""Starts of names of optimisers that timm has and training cannot use: it needs second derivatives, or draws random
numbers that no checkpoint holds."""


def check_architecture(architecture: str, from_hub: bool) -> None:
    """Accept a name that `timm.create_model` takes.

    Parameters
    ----------
    architecture : str
        Name, with a tag or without.
    from_hub : bool
        Whether the tag chooses weights of the hub. Otherwise the tag means nothing and is not looked at.

    Raises
    ------
    ValueError
        If neither the shipped list nor the installed timm has the name.
    """
    if ":" in architecture or "/" in architecture or "\\" in architecture:
        raise ValueError(
            f"{architecture!r} is a place and not the name of an architecture; write the name that timm has for it, "
            "and say in column 'weights' where the weights come from: hub, or the path of a checkpoint. A net of your "
            "own is written file:function, with the file in the config's key 'code'"
        )
    version, names = _listed(ARCHITECTURES)
    base, _, tag = architecture.partition(".")
    if base not in names and base not in (installed := _installed_architectures()):
        known = {name for name in names if "." not in name} | installed
        advice = did_you_mean(base, known, "'python -m sat describe NAME' says what an architecture is")
        raise ValueError(f"{_nobody(version)} architecture {base!r}; {advice}")
    if from_hub and architecture not in names and not _installed_has_tag(tag, version):
        tags = [name.partition(".")[2] for name in sorted(names) if name.partition(".")[0] == base and "." in name]
        those = f"write {base} with one of {', '.join(tags)}" if tags else "timm knows of none for this architecture"
        near = did_you_mean(architecture, (f"{base}.{known}" for known in tags), those, 0.85)
        raise ValueError(f"the hub has no weights {architecture!r}; {near}")


def check_optimiser(name: str) -> None:
    """Accept the name of an optimiser that training can use.

    Parameters
    ----------
    name : str
        Case makes no difference.

    Raises
    ------
    ValueError
        If neither the shipped list nor the installed timm has it, or training cannot use it.
    """
    plain = name.lower()
    version, names = _listed(OPTIMISERS)
    if plain in names:
        return
    usable = "write one such as adamw, sgd, lamb or lion"
    if plain.startswith(UNUSABLE):
        raise ValueError(
            f"{name!r} cannot be used here: it needs second derivatives, or random numbers that no checkpoint holds; "
            f"{usable}"
        )
    # The file registers by calls of several forms, all of which quote the name.
    if not plain or not re.search(rf"['\"]{re.escape(plain)}['\"]", _installed_text("optim/_optim_factory.py")):
        advice = did_you_mean(plain, names, usable)
        raise ValueError(f"{_nobody(version)} optimiser {name!r}; {advice}")


@cache
def _listed(file: Path) -> tuple[str, frozenset[str]]:
    """Version of timm and names that a shipped list holds."""
    head, *names = file.read_text(encoding="utf-8").splitlines()
    return head.split()[2].rstrip(","), frozenset(names)


@cache
def _installed() -> Path | None:
    """Folder of the installed timm, which is not imported for that."""
    try:
        spec = find_spec("timm")
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def _installed_text(pattern: str) -> str:
    """Source of the installed timm, all files that match."""
    folder = _installed()
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob(pattern))) if folder else ""


@cache
def _installed_version() -> str:
    """Version of the installed timm; empty where there is none."""
    found = re.search(r"__version__ = ['\"]([^'\"]+)", _installed_text("version.py"))
    return found[1] if found else ""


def _nobody(listed: str) -> str:
    """Start of a message: who lacks a name."""
    installed = _installed_version()
    return (
        f"timm {listed} has no"
        if installed in ("", listed)
        else f"neither timm {listed} nor {installed}, which is installed, has an"
    )


@cache
def _installed_architectures() -> frozenset[str]:
    """Names that the installed timm registers, old ones included. All of timm's models are read, in 0.3 s."""
    source = _installed_text("models/*.py")
    old = re.findall(r"^register_model_deprecations\(__name__, \{(.*?)^\}\)", source, re.MULTILINE | re.DOTALL)
    return frozenset(
        [
            *re.findall(r"^@register_model\s*\n(?:@.*\n)*def (\w+)", source, re.MULTILINE),
            *re.findall(r"^\s*['\"](\w+)['\"]\s*:", "\n".join(old), re.MULTILINE),
        ]
    )


def _installed_has_tag(tag: str, listed: str) -> bool:
    """Whether the installed timm may have a tag, where it is another than the listed one.

    Some names are put together when timm is imported, so the tag alone is looked for.
    """
    if _installed_version() == listed:
        return False
    return re.search(rf"['\".]{re.escape(tag)}['\"]", _installed_text("models/*.py")) is not None
