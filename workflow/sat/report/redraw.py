"""Figures drawn anew from the tables of a finished analysis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sat.errors import SatError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.study.plan import Plan


def redrawn(plan: Plan, results: Path, name: str) -> Mapping[str, Figure]:
    """Draw the figures of an analysis from its tables; nothing is computed again.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results.
    name : str
        The analysis.

    Returns
    -------
    mapping of str to Figure

    Raises
    ------
    SatError
        If a table is missing, or is not what the study asks for.
    """
    from sat import units
    from sat.stages.analysis import draw
    from sat.stages.given import Given
    from sat.store.artefact import Job, read_sidecar
    from sat.store.step import Step
    from sat.store.tables import read_table
    from sat.study.code import COPIES, FOLDER
    from sat.units.analysis import Answer

    unit, step = plan.analyses[name], plan.analysis(name)[0].step
    inputs = {key: recipe for key, recipe in step.inputs.items() if key in unit.drawn_from}
    tables = {table: results / f"analysis/{table}.csv" for table in unit.tables}
    paths = [results / artefact.path for key in inputs for artefact in plan.find(unit.inputs[key])]
    for path in [*tables.values(), *paths]:
        if not path.exists():
            raise SatError(f"{path}: is not there yet; run snakemake first.")
    # Measures of code files are imported from their copy in the results.
    os.environ[COPIES] = str(results / FOLDER)
    params = dict(step.params)
    units.bring(params.pop("units", {}))
    # The tables are inputs of the drawing, with the same checks as those of a job.
    job = Job(Step(name, step.version, step.params, {**inputs, **dict.fromkeys(tables, step.recipe)}))
    read = {table: read_table(job.input(table, path)) for table, path in tables.items()}
    facts = read_sidecar(next(iter(tables.values())))["facts"] if tables else {}
    with Given(unit, job, paths) as given:
        return draw(name, given, Answer(read, facts), params)
