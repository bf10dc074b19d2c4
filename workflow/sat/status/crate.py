"""Describe a study's results as a Provenance Run Crate: https://w3id.org/ro/wfrun/provenance/0.5.

The crate says what each file is, with its digest and size, which step made it from what and when, and with which
settings and software. All of it comes from the sidecars, so the same results give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sat import __version__
from sat.errors import SatError
from sat.store.artefact import sidecar_path
from sat.store.files import file_digest
from sat.store.lineage import Origin, changed, lineage

Entity = dict[str, Any]

VERSION = "1.1"
"""Version of RO-Crate that the profiles extend."""
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    WORKFLOW_CRATE: "Workflow RO-Crate",
}
PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
MIT = "https://spdx.org/licenses/MIT"
UNSTATED = (
    "No licence is stated for these results: ask those who made them. Images and pretrained weights have licences of "
    "their own. The workflow has the MIT licence."
)
TYPES = {bool: "Boolean", int: "Integer", float: "Float"}
"""Types of settings. All others are text: words, or JSON."""
FORMATS = {
    ".csv": "text/csv",
    ".h5": "application/x-hdf5",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".rst": "text/x-rst",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
}


def collect(results: Iterable[Path | str]) -> list[Origin]:
    """Find some results and everything that they were made from.

    Parameters
    ----------
    results : iterable of path
        Artefacts at results/<study>/.

    Returns
    -------
    list of Origin
        Sorted by path. Every one has a sidecar.

    Raises
    ------
    SatError
        If an artefact of the chain has no valid sidecar, or has been made again since it was read.
    """
    found: dict[str, Origin] = {}
    for result in results:
        for origin in lineage(result):
            if reason := changed(origin):
                raise SatError(f"{origin.path}: {reason}. 'sat verify' says how to repair it.")
            found.setdefault(origin.path, origin)
    return [found[path] for path in sorted(found)]


def make_crate(origins: Sequence[Origin], snakefile: Path, about: Mapping[str, str]) -> str:
    """Write the crate of some results.

    Parameters
    ----------
    origins : sequence of Origin
        From `collect`.
    snakefile : Path
        Copy of the workflow's Snakefile, which lies beside the crate.
    about : mapping of str to str
        What each stage does, by its name.

    Returns
    -------
    str
        Content of ro-crate-metadata.json. Paths in it start from its folder, results/<study>/provenance/.
    """
    from rocrate.model.computationalworkflow import ComputationalWorkflow
    from rocrate.model.file import File
    from rocrate.rocrate import ROCrate

    graph = _Graph(origins, about)
    main = graph.workflow(snakefile)
    crate = ROCrate(version=VERSION)
    crate.metadata["conformsTo"] = references([crate.metadata.profile, WORKFLOW_CRATE])
    for key, value in graph.root().items():
        crate.root_dataset[key] = value
    for name, entity in sorted(graph.entities.items()):
        # JSON-LD's compact form: a list of one thing is written as the thing.
        entity = {
            key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in entity.items()
        }
        if name.startswith("#") or "File" not in entity["@type"]:
            crate.add_jsonld({"@id": name, **entity})
        else:
            kind = ComputationalWorkflow if name == main else File
            crate.add(kind(crate, dest_path=unquote(name), properties=entity))
    crate.mainEntity = {"@id": main}
    return as_text(crate.metadata.generate())


def agent(host: str) -> tuple[str, Entity]:
    """Id and entity of whoever ran something on a host. Sidecars and the history record the host, and no person."""
    return f"#agent/{quote(host)}", {"@type": "Organization", "name": f"Users of the host {host}"}


def software(package: str, version: str) -> tuple[str, Entity]:
    """Id and entity of a package."""
    entity = {"@type": "SoftwareApplication", "name": package, "softwareVersion": version}
    return f"#software/{package}-{quote(version)}", entity


def commit_of(git: Mapping[str, Any]) -> str:
    """Words about the code that ran."""
    commit = f"commit {git['commit']}" if git["commit"] else "no git repository"
    return commit + (" with uncommitted changes" if git["dirty"] else "")


def references(names: Iterable[str]) -> list[Entity]:
    """Refer to entities by their ids."""
    return [{"@id": name} for name in names]


def digest_of(value: Any) -> str:
    """The part of an id that stands for a value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def as_text(crate: Mapping[str, Any]) -> str:
    """Content of ro-crate-metadata.json. The same crate gives the same bytes."""
    return json.dumps(crate, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


class _Graph:
    """The entities of a crate, by their ids."""

    def __init__(self, origins: Sequence[Origin], about: Mapping[str, str]) -> None:
        self.about = about
        self.entities: dict[str, Entity] = {}
        self.files = {origin.path: _file_id(origin) for origin in origins}
        self.steps: dict[str, list[Origin]] = {}
        for origin in origins:
            self.entities[self.files[origin.path]] = _file(origin)
            # All that one job has made has the same recipe.
            self.steps.setdefault(_of(origin)["recipe"], []).append(origin)
        self.actions = [self._action(made) for made in self.steps.values()]

    @cached_property
    def study(self) -> Mapping[str, Any]:
        """The effective config."""
        found = (_of(made[0]) for made in self.steps.values())
        return next((sidecar["params"]["config"] for sidecar in found if sidecar["stage"] == "study"), {})

    def root(self) -> Entity:
        """Properties of the crate itself; call it last."""
        name = self.study.get("study", "")
        for profile, title in PROFILES.items():
            self.entities[profile] = {"@type": "CreativeWork", "name": title, "version": profile.rpartition("/")[2]}
        return {
            "name": f"Similarity of image classifiers by attack transferability: study {name}",
            "description": f"Results of the study {name}, with the steps that made them. Beside every file x lies "
            "x.json, its sidecar: the record of all inputs with their digests, settings, findings and software.",
            "datePublished": max(map(_ended, self._sidecars())).isoformat(),
            "license": UNSTATED,
            "conformsTo": [{"@id": profile} for profile in PROFILES],
            "mentions": references(["#run", *self.actions]),
        }

    def workflow(self, snakefile: Path) -> str:
        """Add the Snakefile, and its run as a whole; return its id."""
        name = quote(snakefile.name)
        tools = sorted(key for key in self.entities if key.startswith("#tool/"))
        stages = dict.fromkeys(sidecar["stage"] for sidecar in sorted(self._sidecars(), key=_started))
        for position, stage in enumerate(stages, 1):
            ran = [tool for tool in tools if tool.startswith(f"#tool/{quote(stage)}/")]
            self.entities[f"#step/{quote(stage)}"] = {
                "@type": "HowToStep",
                "name": stage,
                "position": str(position),
                "workExample": references(ran),
            }
        settings = self._settings("study", dict(_flat(self.study)))
        last = self._last()
        packages = {key: entity for key, entity in self.entities.items() if key.startswith("#software/snakemake-")}
        self.entities[LANGUAGE] = {"@type": "ComputerLanguage", "name": "Snakemake"}
        self.entities[name] = {
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": "SAT: similarity of image classifiers by attack transferability",
            "description": "The Snakefile of the workflow, which includes its rules, as it was when the results were "
            "finished. Each tool names the commit whose code it ran.",
            "conformsTo": {"@id": WORKFLOW},
            "version": __version__,
            "programmingLanguage": {"@id": LANGUAGE},
            "license": MIT,
            "sha256": file_digest(snakefile),
            "contentSize": str(snakefile.stat().st_size),
            "encodingFormat": "text/plain",
            "hasPart": references(tools),
            "step": references(f"#step/{quote(stage)}" for stage in stages),
            "input": references(self.entities[setting]["exampleOfWork"]["@id"] for setting in settings),
            "output": references(sorted({_parameter(_of(origin)["stage"], "result") for origin in last})),
            "softwareRequirements": references(sorted(packages)),
        }
        self.entities["#run"] = {
            "@type": "CreateAction",
            "name": f"Run of the study {self.study.get('study', '')}",
            "description": "All jobs whose results are in this crate. They may belong to several calls of Snakemake: "
            "history.jsonl lists those.",
            "instrument": {"@id": name},
            "agent": references(sorted({self._agent(sidecar) for sidecar in self._sidecars()})),
            "object": references(settings),
            "result": references(self.files[origin.path] for origin in last),
            "startTime": min(map(_started, self._sidecars())).isoformat(),
            "endTime": max(map(_ended, self._sidecars())).isoformat(),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
        return name

    def _sidecars(self) -> Iterator[Mapping[str, Any]]:
        return (_of(origin) for made in self.steps.values() for origin in made)

    def _last(self) -> list[Origin]:
        """What nothing was made from, and what that was made from: tables, figures, the page, and the gates."""
        origins = {origin.path: origin for made in self.steps.values() for origin in made}
        leaves = [origin for origin in origins.values() if not origin.read]
        paths = {origin.path for origin in leaves} | {path for leaf in leaves for _, path in _inputs(_of(leaf))}
        return [origins[path] for path in sorted(paths)]

    def _action(self, made: Sequence[Origin]) -> str:
        """Add what one job did; return its id."""
        sidecar = _of(made[0])
        stage = sidecar["stage"]
        params = dict(_flat(sidecar["params"]["config"])) if stage == "study" else sidecar["params"]
        settings = self._settings(stage, params)
        inputs = list(_inputs(sidecar))
        for name, path in inputs:
            self._example(path, self._formal(stage, name, "File"))
        for origin in made:
            self._example(origin.path, self._formal(stage, "result", "File"))
        parameters = [_parameter(stage, name) for name in dict.fromkeys(name for name, _ in inputs)]
        parameters += [self.entities[setting]["exampleOfWork"]["@id"] for setting in settings]
        machine, run = sidecar["machine"], sidecar["run"]
        how = [run.get("device_name") if run.get("device") != "cpu" else None, machine["cpu"], machine["system"]]
        load = [
            f"{run[key]} {words}"
            for key, words in (("threads", "CPU threads"), ("batch", "images at once"))
            if key in run
        ]
        name = f"#action/{quote(stage)}/{sidecar['recipe']}"
        self.entities[name] = {
            "@type": "CreateAction",
            "name": f"{stage}: {_below(made[0].path)}" + (f" and {len(made) - 1} more" if len(made) > 1 else ""),
            "description": f"On {machine['host']}: {', '.join(filter(None, [*how, *load]))}.",
            "instrument": {"@id": self._tool(sidecar, parameters)},
            "agent": {"@id": self._agent(sidecar)},
            "object": references([*(self.files[path] for _, path in inputs), *settings]),
            "result": references(self.files[origin.path] for origin in made),
            "startTime": min(_started(_of(origin)) for origin in made).isoformat(),
            "endTime": max(_ended(_of(origin)) for origin in made).isoformat(),
            "actionStatus": "http://schema.org/CompletedActionStatus",
        }
        return name

    def _tool(self, sidecar: Mapping[str, Any], parameters: Sequence[str]) -> str:
        """Add a stage as one commit ran it with some packages; return its id."""
        stage, git = sidecar["stage"], sidecar["git"]
        packages = {"python": sidecar["python"], **sidecar["packages"]}
        code = [sidecar["stage_version"], git, packages]
        name = f"#tool/{quote(stage)}/{digest_of(code)}"
        tool = self.entities.setdefault(
            name,
            {
                "@type": "SoftwareApplication",
                "name": f"sat {stage}",
                "description": self.about.get(stage, "An analysis of the study's own."),
                "softwareVersion": f"{sidecar['stage_version']}, {commit_of(git)}",
                "license": MIT,
                "softwareRequirements": references(self._add(software(*package)) for package in packages.items()),
                "input": [],
                "output": references([_parameter(stage, "result")]),
            },
        )
        known = {reference["@id"] for reference in tool["input"]}
        tool["input"] += references(parameter for parameter in parameters if parameter not in known)
        return name

    def _agent(self, sidecar: Mapping[str, Any]) -> str:
        """Add who ran a job; return the id."""
        return self._add(agent(sidecar["machine"]["host"]))

    def _add(self, named: tuple[str, Entity]) -> str:
        """Add an entity; return its id."""
        name, self.entities[name] = named
        return name

    def _settings(self, stage: str, params: Mapping[str, Any]) -> list[str]:
        """Add settings of a stage; return their ids. A setting that is not set is left out."""
        found = []
        for key, value in params.items():
            if value is None:
                continue
            kind = TYPES.get(type(value), "Text")
            plain = value if kind != "Text" or isinstance(value, str) else json.dumps(value, sort_keys=True)
            name = f"#setting/{quote(stage)}/{quote(key)}/{digest_of(value)}"
            parameter = self._formal(stage, key, kind)
            self.entities[name] = {
                "@type": "PropertyValue",
                "name": key,
                "value": plain,
                "exampleOfWork": {"@id": parameter},
            }
            found.append(name)
        return found

    def _formal(self, stage: str, name: str, kind: str) -> str:
        """Add a parameter of a stage; return its id. Values of several types are text."""
        identifier = _parameter(stage, name)
        entity = self.entities.setdefault(
            identifier,
            {"@type": "FormalParameter", "name": name, "additionalType": kind, "conformsTo": {"@id": PARAMETER}},
        )
        if entity["additionalType"] != kind:
            entity["additionalType"] = "Text"
        return identifier

    def _example(self, path: str, parameter: str) -> None:
        """Say that a file was the value of a parameter."""
        examples = self.entities[self.files[path]].setdefault("exampleOfWork", [])
        if {"@id": parameter} not in examples:
            examples.append({"@id": parameter})


def _of(origin: Origin) -> Mapping[str, Any]:
    assert origin.sidecar is not None, "collected without a sidecar"
    return origin.sidecar


def _below(path: str) -> str:
    """A recorded path, from the folder of the study's results."""
    return Path(*Path(path).parts[2:]).as_posix()


def _there(origin: Origin) -> Path | None:
    return origin.place if origin.place and origin.place.is_file() else None


def _file_id(origin: Origin) -> str:
    # A file that is not there (as in a study that came without its adversarial sets) has an id that is no path.
    return quote(f"../{_below(origin.path)}") if _there(origin) else f"#file/{quote(_below(origin.path))}"


def _file(origin: Origin) -> Entity:
    sidecar, place = _of(origin), _there(origin)
    entity = {
        "@type": "File",
        "name": _below(origin.path),
        "encodingFormat": FORMATS.get(Path(origin.path).suffix, "application/octet-stream"),
        "dateModified": _ended(sidecar).isoformat(),
    }
    if place:
        entity["contentSize"] = str(place.stat().st_size)
    if "sha256" in sidecar:
        entity["sha256"] = sidecar["sha256"]
    elif place and sidecar_path(place) == place:
        entity["sha256"] = file_digest(place)
    return entity


def _inputs(sidecar: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and path of every input."""
    for name, given in sidecar["inputs"].items():
        yield from ((name, entry["path"]) for entry in (given if isinstance(given, list) else [given]))


def _started(sidecar: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(sidecar["started"])


def _ended(sidecar: Mapping[str, Any]) -> datetime:
    return _started(sidecar) + timedelta(seconds=round(sidecar["seconds"]))


def _flat(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Keys of a config with their sections, as in attack.eps."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _parameter(stage: str, name: str) -> str:
    return f"#parameter/{quote(stage)}/{quote(name)}"
