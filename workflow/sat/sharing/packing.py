"""Pack a study into one archive."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sat import __version__
from sat.errors import SatError
from sat.sharing.archive_crate import ROOT_CRATE, STUDY_CRATE, archive_crate
from sat.sharing.contents import ABOUT, FORMAT, KEPT, OwnFiles, own_files, part_of, study_folder
from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.bag import Entry, write_bag
from sat.store.history import HISTORY, parse_history
from sat.store.runs import is_running
from sat.store.user_files import REGISTRY, elsewhere
from sat.study.plan import Artefact, Plan
from sat.study.study import merged_config

LICENCE = (
    "The images are not ours, and their licence is that of the data set ({source}). Pass them on only if it allows "
    "that; many data sets, ImageNet among them, restrict it."
)
EXAMPLES = "report/examples.parquet"
SHOWN = (
    "The page report/atlas.html and {examples} show some images of the data set ({source}), whose licence applies to "
    "them. A study with the key atlas.example_bytes: 0 has none."
)


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Parameters
    ----------
    size : int
        Bytes of the archive.
    files : int
        Number of the files in it.
    left_out : dict of str to int
        Bytes of the artefacts that did not travel, by part.
    remarks : list of str
        What to know about licences.
    """

    size: int
    files: int
    left_out: dict[str, int]
    remarks: list[str]


def pack(
    plan: Plan, results: Path, files: Sequence[Path], overrides: Mapping[str, Any], parts: Collection[str], path: Path
) -> Packed:
    """Pack a finished study.

    Parameters
    ----------
    plan : Plan
    results : Path
        Folder of its results.
    files : sequence of Path
        Its config files.
    overrides : mapping
        Settings over those of the files.
    parts : collection of str
        What travels on request: keys of `PARTS`.
    path : Path
        The archive.

    Raises
    ------
    SatError
        If the study is not finished, or a file is not what its sidecar says.
    """
    study = plan.study
    if files[0].suffix == ".json":
        raise SatError(f"{files[0]}: is not a config file; name the study's own file, so that others can extend it.")
    artefacts = plan.artefacts().values()
    sidecars = _sidecars(artefacts, results)
    home, place = f"results/{study.name}", study_folder(study.name)
    entries: dict[str, Entry] = {}
    left_out: dict[str, int] = {}
    for artefact in artefacts:
        source, part = results / artefact.path, part_of(artefact.step.stage)
        own = sidecar_path(source) == source
        if part and part not in parts:
            left_out[part] = left_out.get(part, 0) + (source.stat().st_size if source.is_file() else 0)
        elif not source.is_file():
            raise SatError(f"{source}: is not there, and --with {part} asks for it. 'sat verify' says how to make it.")
        else:
            entries[f"{home}/{artefact.path}"] = Entry(source, "" if own else sidecars[artefact.path]["sha256"])
        if not own:
            entries[f"{home}/{artefact.path}.json"] = Entry(sidecar_path(source))
    entries |= {f"{home}/{name}": Entry(results / name) for name in KEPT if (results / name).is_file()}
    if registered := elsewhere({name: plan.digests[name] for name in study.files if name in study.model}):
        entries[f"{home}/{REGISTRY}"] = Entry(registered)
    config = merged_config(files, overrides)
    own_entries = own_files(study, config, files[0].parent)
    entries |= {f"{place}/{name}": entry for name, entry in own_entries.entries.items()}
    entries[f"{place}/study.yaml"] = Entry(study_text(files, config, own_entries))
    entries[ROOT_CRATE] = Entry(_crate(results, home, entries))
    data_set = study.config.images.source
    remarks = [LICENCE.format(source=data_set)] if "images" in parts else []
    remarks += [SHOWN.format(examples=EXAMPLES, source=data_set)] if f"{home}/{EXAMPLES}" in entries else []
    about = {
        "format": FORMAT,
        "sat": __version__,
        "study": study.name,
        "with": [part for part in left_out | dict.fromkeys(parts) if part in parts],
        "images": {
            artefact.wildcards["split"]: sidecars[artefact.path]["content_sha256"]
            for artefact in artefacts
            if artefact.step.stage == "images"
        },
        "weights": _weights(artefacts, sidecars),
        "licence": remarks,
    }
    tags = {ABOUT: json.dumps(about, indent=1) + "\n", "README.txt": _read_me(study.name, path.name, remarks)}
    info = {"Bag-Software-Agent": f"sat {__version__}", "External-Identifier": study.name}
    size = write_bag(path, entries, tags, info)
    return Packed(size, len(entries), left_out, remarks)


def _crate(results: Path, home: str, entries: dict[str, Entry]) -> bytes:
    """The crate of the archive."""
    runs, at_work = [], is_running(results)
    if (history := f"{home}/{HISTORY}") in entries:
        # It may grow while the archive is written.
        content = (results / HISTORY).read_bytes()
        entries[history] = Entry(content)
        runs = parse_history(content.decode(errors="replace"))
    crate = (results / STUDY_CRATE).read_text(encoding="utf-8")
    return archive_crate(crate, home, entries, runs, at_work).encode()


def _sidecars(artefacts: Collection[Artefact], results: Path) -> dict[str, dict[str, Any]]:
    """Sidecars by path, all of which must say that the study's own steps made the artefacts."""
    found, faulty = {}, []
    for artefact in artefacts:
        try:
            found[artefact.path] = read_sidecar(results / artefact.path)
        except SatError:
            faulty.append(artefact.path)
            continue
        if found[artefact.path]["recipe"] != artefact.step.recipe:
            faulty.append(artefact.path)
    if faulty:
        raise SatError(
            f"{results}: {len(faulty)} of {len(artefacts)} results are not as the study asks, {faulty[0]} among them, "
            "so nothing was packed. Run the study to its end first; 'sat verify' names them all."
        )
    return found


def study_text(files: Sequence[Path], config: Mapping[str, Any], own: OwnFiles) -> bytes:
    """The config file as its author wrote it, unless several files or settings, or other names, make another one."""
    if len(files) == 1 and own.config == merged_config(files):
        return files[0].read_bytes()
    return (
        "# Written by 'sat export' from all config files and settings of the study.\n"
        + yaml.safe_dump(own.config, sort_keys=False, allow_unicode=True)
    ).encode()


def _weights(artefacts: Collection[Artefact], sidecars: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Where the weights of each model are from, with their digests."""
    found = {}
    for artefact in artefacts:
        if not artefact.path.startswith("weights/"):
            continue
        sidecar = sidecars[artefact.path]
        facts = {key: sidecar["facts"][key] for key in ("repository", "revision", "file") if key in sidecar["facts"]}
        found[artefact.model] = {"from": artefact.step.stage, **facts, "sha256": sidecar["sha256"]}
    return found


def _read_me(name: str, archive: str, remarks: list[str]) -> str:
    return "\n".join(
        [
            f"This is the study {name} of SAT (similarity of image classifiers by attack transferability).",
            "",
            f"  sat import {archive}         makes it a study that you can extend with models of your own",
            "  sha256sum -c manifest-sha256.txt   checks the files, once the archive is unpacked",
            "  data/ro-crate-metadata.json        says what each file is and which job made it, and lists all runs",
            "",
            *remarks,
            "",
        ]
    )


def describe(packed: Packed) -> Iterator[str]:
    """Lines about what was packed, and what was left out."""
    if packed.left_out:
        sizes = ", ".join(f"{part} ({size / 1e6:.1f} MB)" for part, size in packed.left_out.items())
        yield f"Left out: {sizes}. To pack them too: --with {','.join(packed.left_out)}"
        yield (
            "Results can be read without them. To add models of their own, others need all four: images to attack, "
            "weights as targets, attacks and predictions to compare with."
        )
    yield from packed.remarks
