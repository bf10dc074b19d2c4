"""The results of a study that the page shows, as they lie on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sat.store.artefact import read_sidecar
from sat.store.tables import read_result, read_table


@dataclass(frozen=True)
class Results:
    """All that the page is made from."""

    config: Mapping[str, Any]
    """The study's settings, as study.json holds them."""
    rows: Mapping[str, Mapping[str, Any]]
    """The model table's row of every model in use."""
    columns: Mapping[str, Mapping[str, str]]
    """Groupings and components, by column and model."""
    shown: Mapping[str, Sequence[str]]
    """Section and title of every table and figure of the analyses, by path."""
    tables: Mapping[str, pd.DataFrame]
    """Tables by name: those of similarity/ and analysis/. A matrix has the models' names as index."""
    figures: Mapping[str, bytes] = field(default_factory=dict)
    """SVG files by name."""
    charts: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Views of every table and figure of the analyses that has a chart, by name; see `sat.units.chart`."""
    examples: pd.DataFrame | None = None
    """See `sat.report.atlas.examples`; None if the study has none."""
    software: Sequence[str] = ()
    """Packages and versions that made the results, as lines."""

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the matrix."""
        return [str(name) for name in self.tables["sat"].index]


def read_results(
    study: Path,
    paths: Sequence[Path],
    examples: Path | None,
    columns: Mapping[str, Mapping[str, str]],
    shown: Mapping[str, Sequence[str]],
    charts: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Results:
    """Read the results.

    Parameters
    ----------
    study : Path
        study.json.
    paths : sequence of Path
        Tables and figures.
    examples : Path or None
    columns : mapping of str to mapping
        Groupings and components of the models, by column.
    shown : mapping of str to sequence of str
        Section and title of every table and figure of the analyses, by path.
    charts : mapping of str to sequence of mapping
        Views of every table and figure of the analyses that has a chart, by name.

    Returns
    -------
    Results
    """
    asked = json.loads(study.read_text(encoding="utf-8"))["params"]
    tables, figures = {}, {}
    for path in paths:
        if path.suffix == ".svg":
            figures[path.stem] = path.read_bytes()
        else:
            tables[path.stem] = read_result(path)
    return Results(
        asked["config"],
        {row["model"]: row for row in asked["models"] if row["use"]},
        columns,
        shown,
        tables,
        figures,
        charts,
        None if examples is None else read_table(examples),
        _software([read_sidecar(path) for path in paths]),
    )


def _software(sidecars: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what made the results; more than one version of a package if the results come from several."""
    found: dict[str, dict[str, None]] = {}
    for sidecar in sidecars:
        commit = (sidecar.get("git") or {}).get("commit")
        for name, version in {
            "this workflow, commit": commit,
            "Python": sidecar.get("python"),
            **(sidecar.get("packages") or {}),
        }.items():
            if version:
                found.setdefault(name, {})[str(version)] = None
    return [f"{name} {' and '.join(versions)}" for name, versions in found.items()]
