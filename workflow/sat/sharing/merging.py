"""Join an unpacked study to another one. Its models get cohorts of their own there, and its files keep recipes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.sharing.contents import part_of
from sat.sharing.unpacking import Unpacked
from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.user_files import register_elsewhere
from sat.study.plan import Artefact, Plan, variant_folder
from sat.study.study import Study
from sat.study.table import Model

NEEDED = ("weights", "attacks", "predictions")
"""Parts of an archive without which models cannot be joined to another study."""
SHOWN = 6
"""Number of differences that are told."""


@dataclass(frozen=True)
class Joined:
    """A study to which the models of an archive have been joined, before anything is written.

    Parameters
    ----------
    rows : list of dict
        Cells of the new rows by column.
    moves : dict of str to str
        Files to take over: where they are in the study below its results, by where they are in the archive's.
    digests : dict of str to str
        SHA-256 of the checkpoints that the archive's models were made from.
    rerun : list of str
        Artefacts of the archive's models that will be made again, since they depend on settings that differ.
    """

    rows: list[dict[str, str]]
    moves: dict[str, str]
    digests: dict[str, str]
    rerun: list[str]


def join(found: Unpacked, ours: Plan, results: Path, tables: Mapping[str, Mapping[str, str]]) -> Joined:
    """Find out whether the models of an archive can be joined to a study, and which files that takes.

    Parameters
    ----------
    found : Unpacked
        The archive.
    ours : Plan
        The study.
    results : Path
        Folder of its results.
    tables : mapping of str to mapping
        Rows of the archive's tables: cells by column, by model.

    Raises
    ------
    SatError
        If anything differs on which a result depends; the message says what.
    """
    theirs = found.plan
    if lacking := sorted({part_of(artefact.step.stage) for artefact in found.missing} & set(NEEDED)):
        raise SatError(
            f"the archive has no {' and no '.join(lacking)}, without which its models would be attacked and compared "
            f"again; ask for one that was packed with: sat export --with {','.join(NEEDED)}."
        )
    names = {name.casefold(): name for name in ours.study.model}
    if twice := sorted(name for name in theirs.study.model if name.casefold() in names):
        raise SatError(
            f"{len(twice)} of the archive's models have names that study {ours.study.name} has too: "
            f"{', '.join(twice)}. Files are called after models. So import the archive as a study of its own, without "
            "--study, or rename yours while they have no results."
        )
    if theirs.study.landmarks and not ours.study.landmarks:
        raise SatError(
            f"study {ours.study.name} measures every pair, and the archive only those with one of its "
            f"{len(theirs.study.landmarks)} landmarks. With them, your models would be measured against these alone. "
            "Draw landmarks of your own first (sat landmarks K), or import the archive as a study of its own, without "
            "--study."
        )
    differ = _settings(found, ours, results)
    shift = {"c": max((row.cohort for row in ours.study.models), default=0)}
    shift["l"] = max((row.landmark or 0 for row in ours.study.models), default=0)
    models = [_joined_row(row, shift, theirs.study, ours.study) for row in theirs.study.models]
    if not differ:
        differ = _code(models, theirs.study, ours.study)
    if differ:
        raise _refusal(differ, ours.study.name)
    digests = {name: theirs.digests[name] for name in theirs.study.files if name in theirs.study.model}
    joined = _with(ours, models, digests)
    moves, rerun = {}, []
    for artefact, source in _pairs(joined, theirs, shift, {row.model for row in models}):
        if source is not None and source.step.recipe == artefact.step.recipe:
            moves[source.path] = artefact.path
        elif part_of(artefact.step.stage) in NEEDED and artefact.step.stage != "gradients":
            differ += _difference(artefact, source)
        else:
            rerun.append(artefact.path)
    if differ:
        raise _refusal(list(dict.fromkeys(differ)), ours.study.name)
    rows = [
        {
            **tables[row.model],
            **_training(theirs.study, ours.study, row.model),
            "cohort": str(row.cohort),
            **({"landmark": str(row.landmark)} if row.landmark else {}),
        }
        for row in models
    ]
    return Joined(rows, moves, digests, rerun)


def take_over(joined: Joined, source: Path, results: Path) -> list[Path]:
    """Move the files of an archive into a study's results; if one cannot be moved, none is.

    Returns
    -------
    list of Path
        The new files.

    Raises
    ------
    SatError
        If a file is there already.
    """
    pairs = [(source / old, results / new) for old, new in joined.moves.items()]
    pairs += [(sidecar_path(old), sidecar_path(new)) for old, new in pairs if sidecar_path(old) != old]
    if there := [new for _, new in pairs if os.path.lexists(new)]:
        raise SatError(
            f"{there[0]}: is there already, left by an earlier table of the study; 'sat prune' removes what the study "
            "does not ask for. Nothing was imported."
        )
    done: list[Path] = []
    now = time.time_ns()
    try:
        for old, new in pairs:
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(old, new)
            done.append(new)
            os.utime(new, ns=(now, now))
        if joined.digests:
            register_elsewhere(joined.digests, results)
    except BaseException:
        take_back(done)
        raise
    return done


def take_back(files: Sequence[Path]) -> None:
    """Remove files that were taken over."""
    for path in files:
        path.unlink(missing_ok=True)


def _refusal(differ: Sequence[str], name: str) -> SatError:
    more = f"; and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
    return SatError(
        f"the archive's results do not fit study {name}, so nothing was imported. What differs: "
        f"{'; '.join(differ[:SHOWN])}{more}. Give the study the archive's settings, or import the archive as a study "
        "of its own, without --study."
    )


def _settings(found: Unpacked, ours: Plan, results: Path) -> list[str]:
    """Differences of images and attack, which all results depend on."""
    theirs = found.plan
    differ = []
    if ours.config.tile_size != theirs.config.tile_size:
        differ.append(f"tile_size {ours.config.tile_size} here, {theirs.config.tile_size} in the archive")
    for split in ("attack", "eval"):
        mine, given = ours.images(split), theirs.images(split)
        differ += _steps(mine, given)
    differ += _values("attack", ours.attack().params, theirs.attack().params)
    if differ:
        return list(dict.fromkeys(differ))
    # Without them, Snakemake would make them, and then train the archive's models again.
    trained = any(map(theirs.study.trained, theirs.needed)) and "images/train.h5" in found.sidecars
    for split in ("attack", "eval", *["train"] * trained):
        path = results / f"images/{split}.h5"
        if not sidecar_path(path).is_file():
            raise SatError(
                f"{path}: is not there yet, so the images cannot be compared with the archive's. Make them first: "
                f"snakemake --configfile STUDY --cores 2 {path}"
            )
        mine, given = (
            sidecar["content_sha256"] for sidecar in (read_sidecar(path), found.sidecars[f"images/{split}.h5"])
        )
        if mine != given:
            differ.append(f"the images of images/{split}.h5 (content {mine[:16]} here, {given[:16]} in the archive)")
    return differ


def _steps(mine: Artefact, given: Artefact) -> list[str]:
    """What differs between two steps, their inputs aside."""
    differ = []
    if mine.step.version != given.step.version:
        differ.append(f"stage {mine.step.stage} version {mine.step.version} here, {given.step.version} in the archive")
    return differ + _values(mine.step.stage, mine.step.params, given.step.params)


def _values(what: str, mine: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    names = [name for name in {**mine, **given} if mine.get(name) != given.get(name)]
    return [f"{what}: {name} {mine.get(name)} here, {given.get(name)} in the archive" for name in names]


def _difference(artefact: Artefact, source: Artefact | None) -> list[str]:
    if source is None:
        return [f"{artefact.path} is not in the archive"]
    return _steps(artefact, source) or [f"what {artefact.path} is made from"]


def _code(models: Sequence[Model], theirs: Study, ours: Study) -> list[str]:
    """Code files that models of the archive need, and that the study does not have as they are there."""
    modules = sorted({row.module for row in models if row.module})
    return [
        f"the code file {theirs.code[module].path.name} (put the archive's beside the study; name it in its key 'code')"
        for module in modules
        if module not in ours.code or ours.code[module].digest != theirs.code[module].digest
    ]


def _joined_row(row: Model, shift: Mapping[str, int], theirs: Study, ours: Study) -> Model:
    """A row of the archive as it is to stand in the study's table: behind its cohorts and draws of landmarks."""
    training = {**row.training, **_differing_training(theirs, ours, row.model)}
    landmark = row.landmark and row.landmark + shift["l"]
    return row.model_copy(update={"cohort": row.cohort + shift["c"], "landmark": landmark, "training": training})


def _differing_training(theirs: Study, ours: Study, model: str) -> dict[str, Any]:
    """Settings of a model's training that its row must say, since the study's own are others."""
    if not theirs.trained(model):
        return {"fine_tune": False} if ours.config.training.fine_tune else {}
    given = theirs.training(model).model_dump(mode="json")
    return {key: value for key, value in given.items() if ours.config.training.model_dump(mode="json")[key] != value}


def _training(theirs: Study, ours: Study, model: str) -> dict[str, str]:
    cells = _differing_training(theirs, ours, model)
    return {f"training.{key}": value if isinstance(value, str) else json.dumps(value) for key, value in cells.items()}


def _with(ours: Plan, models: Sequence[Model], digests: Mapping[str, str]) -> Plan:
    """The plan of the study with further models."""
    rows = tuple(sorted([*ours.study.models, *models], key=lambda row: row.model))
    files = {**ours.study.files, **{name: Path(name) for name in digests}}
    study = Study.model_construct(
        config=ours.config, models=rows, declared=ours.study.declared, files=files, code=ours.study.code
    )
    return Plan(study, {**ours.digests, **digests}, ours.versions)


def _pairs(
    joined: Plan, theirs: Plan, shift: Mapping[str, int], names: set[str]
) -> Iterator[tuple[Artefact, Artefact | None]]:
    """Artefacts of the archive's models alone, and what they are in the archive."""
    given = theirs.artefacts()
    tiles = {}
    for tile in theirs.blocks:
        number, place = tile[1:].split("-")
        tiles[f"{tile[0]}{int(number) + shift[tile[0]]}-{place}"] = tile
    for artefact in joined.artefacts().values():
        target, source = artefact.wildcards.get("target", ""), artefact.wildcards.get("source", "")
        if artefact.model in names:
            yield artefact, given.get(artefact.path)
        elif target in tiles and source in tiles:
            old = f"{variant_folder(artefact.variant)}tiles/{tiles[target]}/{tiles[source]}.h5"
            yield artefact, given.get(old)
