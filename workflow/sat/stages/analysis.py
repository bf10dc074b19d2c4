"""Run the analysis that a step names."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sat import units
from sat.errors import SatError
from sat.stages.common import start
from sat.stages.given import Given
from sat.store.artefact import Job
from sat.store.files import replacing
from sat.units.analysis import Analysis, Answer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments. There are none: a thousand paths would exceed the length limit of command lines."""
    parser.epilog = (
        "Standard input has four lines: the step, the paths of the inputs, the paths of the outputs, and the user's "
        "own files as KEY=PATH. Words are quoted as for a shell."
    )


def run(arguments: argparse.Namespace) -> None:
    """Read the step and the paths, and run the analysis."""
    job = start(arguments)
    inputs, outputs, files = (shlex.split(sys.stdin.readline()) for _ in range(3))
    analyse(job, inputs, outputs, dict(word.partition("=")[::2] for word in files))


def analyse(job: Job, inputs: Sequence[str], outputs: Sequence[str], files: Mapping[str, str]) -> None:
    """Run an analysis.

    Parameters
    ----------
    job : Job
        The job; the stage of its step is the name of the analysis.
    inputs, outputs : sequence of str
        Paths; sidecars among them are ignored.
    files : mapping of str to str
        The user's own files, by config key.

    Raises
    ------
    SatError
        If an input is not what the step asks for, or the function returns other tables or figures than it declares.
    """
    from sat.report.style import save
    from sat.store.tables import as_written, write_csv

    name, params = job.step.stage, dict(job.step.params)
    units.bring(params.pop("units", {}))
    module = units.module("analyses", name)
    unit: Analysis = module.UNIT
    with Given(unit, job, [path for path in inputs if not path.endswith(".json")], files) as given:
        answer = module.run(given, **params)
        _check_names(name, "run", answer.tables, unit.tables)
        read = replace(answer, tables={table: as_written(frame, table) for table, frame in answer.tables.items()})
        figures = draw(name, given, read, params)
    for path in outputs:
        if path.endswith(".json"):
            continue
        with replacing(path) as temporary:
            if path.endswith(".svg"):
                save(figures[Path(path).stem], temporary)
            else:
                write_csv(answer.tables[Path(path).stem], temporary)
        job.finish(path, **answer.facts)


def draw(name: str, given: Given, answer: Answer, params: Mapping[str, Any]) -> Mapping[str, Figure]:
    """Draw the figures of an analysis.

    Parameters
    ----------
    name : str
        The analysis.
    given : Given
        With at least the inputs that its declaration names in `drawn_from`.
    answer : Answer
        With tables as `sat.store.tables.read_table` reads them.
    params : mapping
        Those of its step.

    Returns
    -------
    mapping of str to Figure

    Raises
    ------
    SatError
        If the function returns other figures than the declaration names.
    """
    module = units.module("analyses", name)
    if not module.UNIT.figures:
        return {}
    figures: Mapping[str, Figure] = module.draw(given, answer, **params)
    _check_names(name, "draw", figures, module.UNIT.figures)
    return figures


def _check_names(name: str, function: str, made: Iterable[str], declared: Iterable[str]) -> None:
    if set(made) != set(declared):
        raise SatError(
            f"analysis {name!r}: its function {function!r} returns {', '.join(sorted(made)) or 'nothing'}, but its "
            f"declaration names {', '.join(sorted(declared)) or 'nothing'}; make them the same."
        )
