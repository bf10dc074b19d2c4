"""Say what differs between two studies: settings first, then models, then results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from sat.store.artefact import read_sidecar, sidecar_path
from sat.text import WIDTH

ABSENT = "none"


@dataclass(frozen=True)
class Side:
    """One of the two studies.

    Parameters
    ----------
    name : str
        As the user named it.
    config : mapping
        The effective config.
    models : mapping
        Rows of the model table by model name, retired ones left out.
    results : Path or None
        Folder of the results, if there are any.
    """

    name: str
    config: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]
    results: Path | None

    @classmethod
    def of(cls, name: str, params: Mapping[str, Any], results: Path | None) -> Side:
        """Make a side of what the step `study` records."""
        models = {row["model"]: row for row in params["models"] if row.get("use", True)}
        return cls(name, params["config"], models, results)


def settings(first: Side, second: Side) -> list[str]:
    """List the keys of the config that differ, each with both values."""
    return list(_changes(first.config, second.config, skip=("study",)))


def models(first: Side, second: Side) -> list[str]:
    """List the models that only one study has, and the columns in which the others differ."""
    lines = [
        f"only in {side.name}: {', '.join(only)}"
        for side, other in ((first, second), (second, first))
        if (only := sorted(set(side.models) - set(other.models)))
    ]
    for model in sorted(set(first.models) & set(second.models)):
        changes = _changes(first.models[model], second.models[model], skip=("cohort",))
        lines += [f"{model}: {change}" for change in changes]
    return lines


def results(first: Side, second: Side) -> tuple[list[str], bool]:
    """Compare what was measured: images, attack, code, and the two matrices.

    Parameters
    ----------
    first, second : Side

    Returns
    -------
    tuple of list of str and bool
        What was found, and whether anything differs. Where one study has no matrix yet, this is said, and is no
        difference.
    """
    folders = []
    for side in (first, second):
        if side.results is None or not (side.results / MATRIX).exists():
            return [f"{side.name} has no matrix of these settings yet, so results are not compared"], False
        folders.append(side.results)
    ours, theirs = folders
    unknown, lines = _measured(ours, theirs, second.name)
    lines += _made_by(read_sidecar(ours / MATRIX), read_sidecar(theirs / MATRIX))
    compared, same = _matrices(ours, theirs)
    return unknown + lines + compared, bool(lines) or not same


MATRIX = "similarity/sat.csv"


def _changes(first: Any, second: Any, skip: Sequence[str] = (), key: str = "") -> Iterator[str]:
    """Walk through two nested values, and write every key whose values differ."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys([*first, *second]):
            if name not in skip:
                yield from _changes(first.get(name), second.get(name), (), f"{key}.{name}" if key else str(name))
    elif first != second:
        yield f"{key}: {_word(first)} | {_word(second)}"


def _word(value: Any) -> str:
    if value is None or value in ({}, []):
        return ABSENT
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _measured(first: Path, second: Path, name: str) -> tuple[list[str], list[str]]:
    """Compare images and attack of two folders of results; the second one has this name.

    Returns
    -------
    tuple of two lists of str
        What cannot be compared, which is no difference, and the differences.
    """
    from sat.store.provenance import differences, read_settings

    ours, theirs = (read_settings(folder / MATRIX) for folder in (first, second))
    if ours is None or theirs is None:
        return ["a matrix that comes from a file: nothing is known of its images and attack"], []
    return [], [f"{name} was measured with {change}" for change in differences(ours, theirs)]


def _made_by(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Compare the code and the packages that made the matrices."""
    lines = []
    commits = [record["git"].get("commit") for record in (first, second)]
    if commits[0] != commits[1]:
        lines.append(f"code: commit {' | '.join(str(commit)[:12] for commit in commits)}")
    if first["stage_version"] != second["stage_version"]:
        lines.append(f"version of the stage: {first['stage_version']} | {second['stage_version']}")
    return lines + [f"software: {change}" for change in _changes(first["packages"], second["packages"])]


def _matrices(first: Path, second: Path) -> tuple[list[str], bool]:
    """Compare SAT of the pairs that both studies have."""
    import numpy as np

    from sat.statistics.correlation import spearman
    from sat.store.tables import read_matrix

    one, other = read_matrix(first / MATRIX), read_matrix(second / MATRIX)
    common = sorted(set(one.index) & set(other.index))
    rows, columns = np.triu_indices(len(common), 1)
    a, b = (matrix.loc[common, common].to_numpy(float)[rows, columns] for matrix in (one, other))
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if not len(a):
        return ["no pair of models in common"], False
    shift = b - a
    if not shift.any():
        return [f"SAT of all {len(a)} pairs in common: the same, to the last bit"], True
    worst = int(np.abs(shift).argmax())
    pair = [common[place[known][worst]] for place in (rows, columns)]
    order = f", rank correlation {spearman(a, b):.3f}" if len(a) > 2 else ""
    lines = [
        f"SAT of {len(a)} pairs in common: median shift {np.median(shift):+.3f}, median absolute shift "
        f"{np.median(np.abs(shift)):.3f}{order}",
        f"largest shift: {' and '.join(pair)}, {a[worst]:.2f} | {b[worst]:.2f}",
    ]
    if (apart := _apart(first, second)) is not None:
        lines.append(f"{apart} of these pairs have intervals that do not overlap")
    return lines, False


def _apart(first: Path, second: Path) -> int | None:
    """Count the common pairs of models whose intervals do not overlap; None where a matrix has no intervals."""
    from sat.store.tables import read_table

    tables = []
    for folder in (first, second):
        path = folder / "similarity/most_similar.csv"
        if not path.exists():
            return None
        table = read_table(path)
        names = table[["model_a", "model_b"]].apply(lambda row: tuple(sorted(row)), axis=1)
        tables.append(table.set_index(names)[["sat_low", "sat_high"]])
    joined = tables[0].join(tables[1], how="inner", lsuffix="_first", rsuffix="_second").dropna()
    apart = (joined["sat_low_first"] > joined["sat_high_second"]) | (
        joined["sat_low_second"] > joined["sat_high_first"]
    )
    return int(apart.sum())


def compare(first: Side, second: Side) -> tuple[str, bool]:
    """Say what differs between two studies.

    Parameters
    ----------
    first, second : Side

    Returns
    -------
    tuple of str and bool
        Lines of at most `WIDTH` columns, and whether anything differs.
    """
    lines = [f"{first.name} | {second.name}"]
    sections = {"Settings": settings(first, second), "Models": models(first, second)}
    found, differ = results(first, second)
    for title, changes in sections.items():
        lines += ["", f"{title}:", *listed(changes or ["no difference"])]
    lines += ["", "Results:", *listed(found)]
    return "\n".join(lines), differ or any(sections.values())


def matrices_differ(first: Side, second: Side) -> bool:
    """Whether both sides have matrices that were measured, not given, and these differ."""
    if first.config.get("matrix") or second.config.get("matrix") or not (first.results and second.results):
        return False
    there = all((folder / MATRIX).exists() for folder in (first.results, second.results))
    return there and not _matrices(first.results, second.results)[1]


def listed(items: Sequence[str]) -> list[str]:
    """Wrap items to lines, indented."""
    return [line for item in items for line in wrap(item, WIDTH, initial_indent="  ", subsequent_indent="    ")]


def recorded(folder: Path) -> Mapping[str, Any] | None:
    """Read what a folder of results records of its study; None if it records nothing."""
    described = folder / "study.json"
    return read_sidecar(described)["params"] if sidecar_path(described).is_file() else None
