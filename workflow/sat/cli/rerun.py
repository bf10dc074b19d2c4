"""Run one result's job by hand in a temporary folder, and compare."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.study.plan import Artefact, Plan

GROUP = "Develop SAT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument(
        "artefact", metavar="ARTEFACT", help="path of a result, such as results/digits/analysis/groups.csv"
    )
    add_study(parser, positional=False)
    parser.add_argument("--keep", metavar="FOLDER", help="folder to write to; the files there are kept")
    parser.epilog = "Under a debugger: python -m pdb -m sat rerun ARTEFACT, or breakpoint() in the code."


def run(arguments: argparse.Namespace) -> int:
    """Run the job in this process; the status is 1 if a result differs from the existing one."""
    from tempfile import TemporaryDirectory

    from sat.cli.tools import plan_of, results_folder, study_of

    study = study_of(arguments)
    plan, results = plan_of(study), results_folder(study)
    artefact = _find(plan, results, arguments.artefact)
    made = plan.jobs()[artefact.job]
    if arguments.keep:
        return _run(plan, results, made, Path(arguments.keep))
    with TemporaryDirectory(prefix="sat-rerun-") as folder:
        return _run(plan, results, made, Path(folder))


def _find(plan: Plan, results: Path, path: str) -> Artefact:
    from sat.errors import SatError
    from sat.study.section import closest

    # A sidecar stands for its artefact; a gate and study.json are their own sidecars.
    name = path.removeprefix(f"{results}/").removesuffix(".json")
    artefacts = plan.artefacts()
    found = artefacts.get(name) or artefacts.get(f"{name}.json")
    if not found:
        near = closest(name, artefacts)
        meant = f" Did you mean {' or '.join(str(results / word) for word in near)}?" if near else ""
        raise SatError(f"{path}: is no result of study {plan.study.name}.{meant}")
    return found


def _run(plan: Plan, results: Path, made: list[Artefact], folder: Path) -> int:
    from sat.errors import SatError
    from sat.study.code import COPIES, FOLDER
    from sat.study.plan import Artefact

    inputs = {
        name: [results / artefact.path for artefact in ([given] if isinstance(given, Artefact) else given)]
        for name, given in made[0].inputs.items()
    }
    if missing := [path for paths in inputs.values() for path in paths if not path.exists()]:
        raise SatError(f"{missing[0]}: is not there yet, but the job reads it; run snakemake {missing[0]} first.")
    outputs = [folder / results / artefact.path for artefact in made]
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Nets of code files are made from the copy in the results.
    os.environ[COPIES] = str(results / FOLDER)
    files = {argument: str(plan.study.files.get(key, "")) for argument, key in made[0].files.items()}
    if made[0].step.stage in plan.analyses:
        from sat.stages.analysis import analyse
        from sat.store.artefact import Job

        flat = [str(path) for paths in inputs.values() for path in paths]
        analyse(Job(made[0].step), flat, list(map(str, outputs)), files)
    else:
        _call(plan, made[0], inputs, outputs, files)
    same = [_compare(results / artefact.path, path) for artefact, path in zip(made, outputs, strict=True)]
    return 0 if all(same) else 1


def _call(
    plan: Plan, artefact: Artefact, inputs: Mapping[str, list[Path]], outputs: list[Path], files: Mapping[str, str]
) -> None:
    """Call a stage's command; its arguments have the names of the step's inputs and outputs."""
    import importlib

    module = importlib.import_module(f"sat.stages.{artefact.step.stage}")
    parser = argparse.ArgumentParser(prog=f"sat {artefact.step.stage}")
    module.add_arguments(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    compute = plan.config.compute
    words: list[str] = []
    for name, paths in inputs.items():
        words += [f"--{name.replace('_', '-')}", *map(str, paths)]
    for name, path in files.items():
        words += [f"--{name.replace('_', '-')}", path] if path else []
    places = {"out": outputs[0]} if "--out" in known else {path.stem.lower(): path for path in outputs}
    for name, place in places.items():
        words += [f"--{name.replace('_', '-')}", str(place)]
    if "--device" in known:
        words += ["--device", compute.device, "--threads", str(compute.threads), "--batch", str(compute.batch_size)]
    if "--max-megapixels" in known:
        words += ["--max-megapixels", str(compute.max_megapixels)]
    parsed = parser.parse_args(words)
    parsed.step = artefact.json
    module.run(parsed)


def _compare(before: Path, now: Path) -> bool:
    """Print whether two artefacts have the same content, and return it."""
    from sat.store.artefact import content_account, read_sidecar, sidecar_path

    if not before.exists():
        print(f"{now}: made; there is no {before} to compare it with")
        return True
    if sidecar_path(before) == before:
        # A gate or study.json is its own sidecar: compare it without the circumstances of the run.
        old, new = ({key: read_sidecar(path)[key] for key in ("recipe", "facts")} for path in (before, now))
    else:
        old, new = ({**content_account(path)} for path in (before, now))
        # Another codec gives other bytes for the same arrays, so the digest of the content counts where there is one.
        old, new = ({"content_sha256": account.get("content_sha256", account["sha256"])} for account in (old, new))
    print(f"{before}: {'the same' if old == new else f'not the same as {now}'}")
    return old == new
