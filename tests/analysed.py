"""Call the commands that Snakemake calls, in this process, on artefacts that a test has laid out."""

from __future__ import annotations

import csv
import io
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sat import units
from sat.__main__ import main
from sat.results.files import columns_of, undeclared
from sat.store.artefact import Job, read_sidecar
from sat.store.columns import texts_of
from sat.store.step import Step, group_recipe

SOURCE = Step("similarity", 1)
"""Stands for whatever made an input."""
NOT_WORDS = ("True", "False", "inf", "-inf")


def results_in(folder: Path) -> Path:
    """The results folder of a study `tiny`, where patterns of inputs are looked for."""
    results = folder / "results/tiny"
    results.mkdir(parents=True, exist_ok=True)
    return results


def vouch(path: Path, step: Step = SOURCE, **facts: Any) -> None:
    """Write the sidecar of an input."""
    Job(step).finish(path, **facts)


def analyse(
    folder: Path, name: str, params: Mapping[str, Any], files: Mapping[str, Path] | None = None
) -> tuple[int, Step]:
    """Call the command that runs an analysis.

    Its inputs are those that lie below results/tiny of the folder and match the declared patterns, each with its
    sidecar; groups in alphabetical order.

    Returns
    -------
    status : int
        Exit status.
    step : Step
    """
    results, unit = results_in(folder), units.declarations("analyses")[name]
    recipes, inputs = {}, []
    for key, pattern in unit.inputs.items():
        glob = "".join("*" if part.startswith("{") else part for part in _parts(pattern))
        found = sorted(path for path in results.glob(glob) if path.suffix != ".json")
        if not found and key in unit.optional:
            continue
        made = [read_sidecar(path)["recipe"] for path in found]
        recipes[key] = group_recipe(made) if "{" in pattern else made[0]
        inputs += found
    step = Step(name, 1, params, recipes)
    outputs = [results / path for path in unit.outputs]
    lines = [step.json, *(shlex.join(map(str, paths)) for paths in (inputs, outputs))]
    lines.append(shlex.join(f"{key}={path}" for key, path in (files or {}).items()))
    status = call("analysis", *lines)
    if not status:
        check_columns(name, results)
    return status, step


def check_columns(name: str, results: Path) -> None:
    """Assert that every column of an analysis's tables is declared; docs/files.md is made from the declarations."""
    declared = columns_of(name)
    for table in units.declarations("analyses")[name].tables:
        columns = list(pd.read_csv(results / f"analysis/{table}.csv", nrows=0))
        check_texts(results / f"analysis/{table}.csv")
        assert table in declared and not (missing := undeclared(declared[table], columns)), f"{table}: {missing}"


def check_texts(path: Path) -> None:
    """Assert that every column with words is declared as text: in another study it may hold names like 18 or true.

    Settings of variants are excepted: the user names their columns.
    """
    if path.stem != "ablation":
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                words = {name for name, cell in row.items() if cell not in NOT_WORDS and re.search("[A-Za-df-z]", cell)}
                assert words <= texts_of(path.stem), path


def call(command: str, *lines: str, words: Sequence[str | Path] = ()) -> int:
    """Call a command with lines on its standard input, the step first; return its exit status."""
    before, sys.stdin = sys.stdin, io.StringIO("\n".join(lines) + "\n")
    try:
        return main([command, *map(str, words)])
    finally:
        sys.stdin = before


def _parts(pattern: str) -> list[str]:
    return [part for part in re.split(r"({\w+})", pattern) if part]
