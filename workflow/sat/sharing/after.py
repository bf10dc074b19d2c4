"""Words about an imported study: what it holds, what is missing, and how to go on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from sat.sharing.contents import part_of, study_folder
from sat.sharing.unpacking import Unpacked
from sat.study.plan import Artefact

SHOWN = 5
"""Number of models that are named."""


def describe(found: Unpacked, into: Path) -> Iterator[str]:
    """Lines about a study that has just been imported.

    Lines that start with two spaces are commands, which are not to be wrapped.
    """
    study, file = found.plan.study, f"{study_folder(found.name)}/study.yaml"
    yield f"Study {study.name}, {len(study.used)} models: {into / file}, results in {into / 'results' / study.name}"
    if found.renamed:
        yield (
            "Files that lay outside of the study's folder have other names here, so the next run writes study.json and "
            "the page again, and nothing else."
        )
    if found.missing:
        yield from _missing(found, file)
    enter = [] if into.resolve() == Path.cwd() else [f"cd {shlex.quote(str(into))}"]
    yield "To see that nothing runs, and to add a model:"
    for command in (*enter, f"sat verify {file}", f"sat run {file} --dry-run", f"sat add MODEL --study {file}"):
        yield f"  {command}"


def _missing(found: Unpacked, file: str) -> Iterator[str]:
    by_part: dict[str, list[Artefact]] = {}
    for artefact in found.missing:
        by_part.setdefault(part_of(artefact.step.stage), []).append(artefact)
    yield (
        f"Not in the archive: {', '.join(by_part)}. The results can be read without them. Before you add a model, "
        "bring them here: it is attacked on the images, the others' weights are its targets, and their sets and "
        "predictions are compared with its own."
    )
    if images := by_part.get("images"):
        config = found.plan.config.images
        digest = next(
            found.sidecar(artefact)["content_sha256"] for artefact in images if artefact.wildcards["split"] != "train"
        )
        where = f"put the data set at {config.root} (key images.root)" if config.root else "no file is needed"
        yield f"images: {config.source}; {where}. Only images with the content digest {digest[:16]} are accepted."
    if weights := by_part.get("weights"):
        yield from _weights(found, weights)
    if others := [part for part in ("attacks", "predictions") if part in by_part]:
        yield (
            f"{' and '.join(others)}: they need the images and the weights to be made again, and on another type of "
            "processor the bytes may differ. Better ask for an archive with them."
        )
    yield "Make what can be made here; only what is the same as the sidecars say is kept:"
    yield f"  sat restore --study {file}"


def _weights(found: Unpacked, weights: list[Artefact]) -> Iterator[str]:
    """Where the missing weights of targets are from."""
    how = {
        "hub": "from the hub, at the commit and with the digest that their sidecars name",
        "checkpoint": "from a checkpoint that is not in the archive; put it where the model table says",
        "code": "from a code file; it runs only with --config trust_code=true",
        "train": "trained on the study's images; training gives the same bytes only on the same type of processor, so "
        "better ask for an archive with weights",
        "distil": "students of the distillation; only that analysis needs them",
    }
    for stage, words in how.items():
        if names := [artefact.model or artefact.path for artefact in weights if artefact.step.stage == stage]:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"weights of {', '.join(names[:SHOWN])}{more}: {words}."
