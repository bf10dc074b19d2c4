"""Say in words how a result came to be, from the chain of its sidecars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import Any

from sat.errors import SatError
from sat.status.upgrade import changed_since, earlier_in_words
from sat.store.artefact import check_content
from sat.store.lineage import Origin, changed, lineage
from sat.text import WIDTH

NAMED = ("model", "models", "targets", "sources")
"""Params that say of which models an artefact is; the words name the models themselves."""
SHOWN = 4
"""How many different values of one setting are shown one by one."""
PACKAGES = ("torch", "timm", "numpy", "scipy", "scikit-learn", "pandas", "h5py", "snakemake")


def explain(artefact: Path | str, full: bool = False) -> tuple[str, bool]:
    """Say how a result came to be, back to images, weights, settings and code.

    Parameters
    ----------
    artefact : path
        A result with its sidecar, or the sidecar.
    full : bool
        Whether to hash the files of the chain, instead of comparing sidecars alone.

    Returns
    -------
    tuple of str and bool
        Lines of at most `WIDTH` columns, and whether every file of the chain is there and is the one that was read.

    Raises
    ------
    SatError
        If the result has no valid sidecar.
    """
    first, *origins = lineage(artefact)
    made = first.sidecar or {}
    lines = [first.path, *_own(made)]
    stages: dict[str, list[Origin]] = {}
    for origin in origins:
        stages.setdefault((origin.sidecar or {}).get("stage", ""), []).append(origin)
    if origins:
        lines += ["", "It was made from, latest first:"]
    for stage, group in stages.items():
        if stage:
            lines += _of_stage(stage, group)
    lines += ["", *_code(made, [origin.sidecar for origin in origins if origin.sidecar])]
    faults = list(_faults([first, *origins], full))
    how = "their bytes were hashed" if full else "their sidecars were compared; --full hashes their bytes"
    if faults:
        lines += ["", f"{len(faults)} of {len(origins) + 1} files are not what was read:"]
        lines += [line for fault in faults for line in wrap(f"- {fault}", WIDTH, subsequent_indent="  ")]
    else:
        lines += ["", *wrap(f"Files of this chain: {len(origins) + 1}; all are as they were read ({how}).", WIDTH)]
    return "\n".join(lines), not faults


def _own(made: Mapping[str, Any]) -> list[str]:
    when = datetime.fromisoformat(made["started"])
    text = (
        f"{made['stage']}, version {made['stage_version']}, on {when:%Y-%m-%d at %H:%M} UTC, in {made['seconds']:g} s"
    )
    lines = _paragraph("SHA-256", made["sha256"]) if "sha256" in made else []
    lines += _paragraph("made by", text)
    machine = made["machine"]
    device = made["run"].get("device_name") or machine["cpu"]
    lines += _paragraph("on", f"{machine['host']}, {device}, {machine['system']}")
    if words := _settings([made["params"]]):
        lines += _paragraph("settings", words)
    if words := _facts([made["facts"]]):
        lines += _paragraph("found", words)
    return lines


def _paragraph(head: str, words: str) -> list[str]:
    return wrap(words, WIDTH, initial_indent=f"  {head:<12}", subsequent_indent=" " * 14, break_on_hyphens=False)


def _of_stage(stage: str, group: Sequence[Origin]) -> list[str]:
    """Say what the artefacts of one stage are, with which settings they were made, and what was found."""
    sidecars = [origin.sidecar for origin in group if origin.sidecar]
    if len(group) == 1:
        digest = sidecars[0].get("sha256")
        what = group[0].path + (f", SHA-256 {digest[:12]}..." if digest else "")
    else:
        what = f"{len(group)} files, such as {group[0].path}"
    settings = _settings([sidecar["params"] for sidecar in sidecars])
    facts = _facts([sidecar["facts"] for sidecar in sidecars])
    return [
        *_paragraph(stage, what),
        *(_paragraph("", f"settings: {settings}") if settings else []),
        *(_paragraph("", f"found: {facts}") if facts else []),
    ]


def _settings(params: Sequence[Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for one in params for name in one if name not in NAMED)
    return ", ".join(filter(None, (_values(name, [one.get(name) for one in params]) for name in names)))


def _values(name: str, values: Sequence[Any]) -> str:
    """Write the values that one setting has in several artefacts."""
    distinct = list(dict.fromkeys(_short(value) for value in values if value is not None))
    if not distinct:
        return ""
    if len(distinct) <= SHOWN:
        return f"{name} {' or '.join(distinct)}"
    return f"{len(distinct)} values of {name}"


def _facts(facts: Sequence[Mapping[str, Any]]) -> str:
    """Write the numbers and short texts that were found; the range of a number in several artefacts."""
    names = dict.fromkeys(name for one in facts for name in one)
    words = []
    for name in names:
        values = [one[name] for one in facts if name in one]
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            low, high = min(values), max(values)
            words.append(f"{name} {_number(low)}" + (f" to {_number(high)}" if high != low else ""))
        elif all(isinstance(value, str) and value for value in values):
            words.append(_values(name, values))
    return ", ".join(words)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        plain = all(isinstance(one, (int, float, str)) for one in value.values())
        text = ", ".join(f"{key} {one}" for key, one in value.items())
        return f"({text})" if plain and len(text) <= 60 else f"of {len(value)} keys"
    if isinstance(value, list):
        text = ", ".join(map(str, value))
        return f"({text})" if len(text) <= 60 else f"of {len(value)} values"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _code(made: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which code and software made the chain, and whether all of it is the same."""
    everything = [made, *others]
    lines = _paragraph("code", _counted(_commit(sidecar["git"]) for sidecar in everything))
    if earlier := earlier_in_words(changed_since(everything)):
        lines += _paragraph("versions", earlier)
    for name in ("python", *PACKAGES):
        versions = {_version(sidecar, name) for sidecar in everything}
        if len(versions) > 1:
            counted = _counted(_version(sidecar, name) for sidecar in everything)
            lines += _paragraph(name, counted)
    alike = [name for name in ("python", *PACKAGES) if len({_version(one, name) for one in everything}) == 1]
    versions_alike = ", ".join(f"{name} {_version(made, name)}" for name in alike if _version(made, name))
    return [*lines, *_paragraph("software", versions_alike)]


def _version(sidecar: Mapping[str, Any], name: str) -> str:
    return str(sidecar["python"] if name == "python" else sidecar["packages"].get(name, ""))


def _commit(git: Mapping[str, Any]) -> str:
    if not git.get("commit"):
        return "no git repository"
    return f"commit {git['commit'][:12]}{' with uncommitted changes' if git['dirty'] else ''}"


def _counted(values: Iterable[str]) -> str:
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{value} ({count} files)" for value, count in counts.most_common())


def _faults(origins: Iterable[Origin], full: bool) -> Iterator[str]:
    """Compare each file of the chain with what its consumers read."""
    for origin in origins:
        if reason := changed(origin):
            yield f"{origin.path}: {reason}"
        elif origin.place is None or not origin.place.exists():
            yield f"{origin.path}: only its sidecar is there"
        elif full and origin.sidecar:
            try:
                check_content(origin.place, origin.sidecar, full=True)
            except SatError:
                yield f"{origin.path}: its content differs from the digest in its sidecar"
