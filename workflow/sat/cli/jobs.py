"""How jobs are called by hand: with the arguments that their rules give them, and outputs in another folder."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.study.lock import RUNNER
from sat.study.plan import Artefact, Plan


@dataclass(frozen=True)
class Call:
    """A stage's command as its rule calls it, with outputs in another folder."""

    made: Sequence[Artefact]
    """The artefacts that the job makes."""
    command: str
    """Name of the command; that of all analyses is `analysis`."""
    words: Sequence[str]
    """Its arguments."""
    inputs: Sequence[Path]
    outputs: Sequence[Path]
    """One for each of `made`."""
    files: Mapping[str, str]
    """The user's own files that it reads, by the command's arguments."""

    @property
    def given(self) -> str:
        """What the command reads from its standard input."""
        lines = [self.made[0].json]
        if self.command == RUNNER:
            lines += [shlex.join(map(str, self.inputs)), shlex.join(map(str, self.outputs))]
            lines.append(shlex.join(f"{key}={path}" for key, path in self.files.items()))
        return "\n".join(lines) + "\n"


def call_of(
    plan: Plan, results: Path, made: Sequence[Artefact], folder: Path, run: Mapping[str, Any] | None = None
) -> Call:
    """Work out how a job is called.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of the study's results, which holds the inputs.
    made : sequence of Artefact
        What the job makes, from `Plan.jobs`.
    folder : Path
        Outputs go to folder/results/<study>/.
    run : mapping, optional
        Device, threads and batch size, as a sidecar records them; those of the study by default.

    Raises
    ------
    SatError
        If an input is not there.
    """
    first = made[0]
    inputs = {
        name: [results / artefact.path for artefact in ([given] if isinstance(given, Artefact) else given)]
        for name, given in first.inputs.items()
    }
    flat = [path for paths in inputs.values() for path in paths]
    if missing := [path for path in flat if not path.exists()]:
        raise SatError(f"{missing[0]}: is not there yet, but the job reads it; run snakemake {missing[0]} first.")
    outputs = [folder / results / artefact.path for artefact in made]
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
    files = {argument: str(plan.study.files.get(key, "")) for argument, key in first.files.items()}
    if first.step.stage in plan.analyses:
        return Call(made, RUNNER, [], flat, outputs, files)
    known = {option for action in parser_of(first.step.stage)._actions for option in action.option_strings}
    words: list[str] = []

    def add(name: str, *values: object) -> None:
        words.extend([f"--{name.replace('_', '-')}", *map(str, values)])

    # A command's arguments have the names of the step's inputs and of the outputs.
    for name, paths in inputs.items():
        add(name, *paths)
    for name, file in files.items():
        if file:
            add(name, file)
    for name, place in (
        {"out": outputs[0]} if "--out" in known else {path.stem.lower(): path for path in outputs}
    ).items():
        add(name, place)
    compute = plan.config.compute
    if "--device" in known:
        usual = {"device": compute.device, "threads": compute.threads, "batch": compute.batch_size}
        run = {**usual, **(run or {})}
        add("device", run["device"])
        add("threads", run["threads"])
        add("batch", run.get("batch_asked", run["batch"]))
    if "--max-megapixels" in known:
        add("max_megapixels", compute.max_megapixels)
    return Call(made, first.step.stage, words, flat, outputs, files)


def parser_of(stage: str) -> argparse.ArgumentParser:
    """Make the parser of a stage's command."""
    parser = argparse.ArgumentParser(prog=f"sat {stage}")
    importlib.import_module(f"sat.stages.{stage}").add_arguments(parser)
    return parser
