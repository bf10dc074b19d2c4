"""Run the analysis that a step names."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sat import units
from sat.errors import SatError
from sat.stages.common import start
from sat.stages.given import Given
from sat.store.artefact import Job
from sat.store.files import replacing


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
    from sat.store.tables import write_csv

    name, params = job.step.stage, dict(job.step.params)
    units.bring(params.pop("units", {}))
    module = units.module("analyses", name)
    unit = module.UNIT
    with Given(unit, job, [path for path in inputs if not path.endswith(".json")], files) as given:
        answer = module.run(given, **params)
    made = {f"analysis/{table}.csv": frame for table, frame in answer.tables.items()}
    made |= {f"figures/{figure}.svg": drawn for figure, drawn in answer.figures.items()}
    if set(made) != set(unit.outputs):
        raise SatError(
            f"analysis {name!r}: its function returns {', '.join(sorted(made))}, but its declaration names "
            f"{', '.join(sorted(unit.outputs))}; make them the same."
        )
    for path in outputs:
        if path.endswith(".json"):
            continue
        content = made["/".join(Path(path).parts[-2:])]
        with replacing(path) as temporary:
            if path.endswith(".svg"):
                save(content, temporary)
            else:
                write_csv(content, temporary)
        job.finish(path, **answer.facts)
