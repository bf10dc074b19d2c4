"""What a file was made from, down to images, weights and code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from html import escape
from typing import Any

from sat.results.reading import Folder
from sat.store.artefact import accounts
from sat.store.lineage import difference, lineage


class Provenance:
    """The record of how a file was made, with those of the files that it was made from.

    Parameters
    ----------
    folder : Folder
    name : str
        Path below the folder of results.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self.name = name
        """Path below the folder of results."""
        self.sidecar: Mapping[str, Any] = folder.sidecar(name)
        """The whole record, as it stands beside the file."""

    @property
    def stage(self) -> str:
        """The stage, which is also the name of the Snakemake rule, that made the file."""
        return str(self.sidecar["stage"])

    @property
    def version(self) -> int:
        """Version of the stage."""
        return int(self.sidecar["stage_version"])

    @property
    def params(self) -> Mapping[str, Any]:
        """All settings that the content depends on. Sizes of perturbations are in grey levels."""
        found: Mapping[str, Any] = self.sidecar.get("params", {})
        return found

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the stage found: counts, accuracies, warnings."""
        found: Mapping[str, Any] = self.sidecar["facts"]
        return found

    @property
    def sha256(self) -> str | None:
        """Digest of the file; None for a file that is its own record."""
        found: str | None = self.sidecar.get("sha256")
        return found

    @property
    def git(self) -> Mapping[str, Any]:
        """Commit of the code that made the file, and whether it had changes that were not committed."""
        found: Mapping[str, Any] = self.sidecar.get("git") or {}
        return found

    @property
    def packages(self) -> Mapping[str, str]:
        """Versions of the packages that were installed."""
        found: Mapping[str, str] = self.sidecar.get("packages") or {}
        return found

    @cached_property
    def inputs(self) -> tuple[Provenance, ...]:
        """The records of the files that this one was made from; those that are not there are left out."""
        names = (self._folder.below(account["path"]) for account in accounts(self.sidecar))
        return tuple(Provenance(self._folder, name) for name in names if name and name in self._folder)

    @property
    def changed(self) -> tuple[str, ...]:
        """Inputs that are not what they were when this file was made. The file is stale then."""
        found = []
        for account in accounts(self.sidecar):
            name = self._folder.below(account["path"])
            if name and (name not in self._folder or difference(account, self._folder.sidecar(name))):
                found.append(name)
        return tuple(found)

    def chain(self) -> dict[str, Provenance]:
        """Collect the records of everything that the file was made from, itself first.

        Returns
        -------
        dict of str to Provenance
            Records by path below the folder of results; each comes after all that were made from it.
        """
        root = self._folder.path.resolve()
        there = (origin.place.resolve() for origin in lineage(self._folder.path / self.name) if origin.place)
        names = (place.relative_to(root).as_posix() for place in there if place.is_relative_to(root))
        return {name: Provenance(self._folder, name) for name in names if name in self._folder}

    def of_stage(self, *stages: str) -> tuple[Provenance, ...]:
        """Records of the chain that some stages have made."""
        return tuple(each for each in self.chain().values() if each.stage in stages)

    @property
    def images(self) -> tuple[Provenance, ...]:
        """Records of the image files in the chain."""
        return self.of_stage("images")

    @property
    def weights(self) -> tuple[Provenance, ...]:
        """Records of the weights in the chain."""
        return tuple(each for each in self.chain().values() if each.name.endswith(".safetensors"))

    @property
    def code(self) -> Mapping[str, str]:
        """Digest of the code file of each net in the chain that timm does not have, by model."""
        return {each.params["model"]: each.params["code"] for each in self.weights if "code" in each.params}

    @property
    def commits(self) -> tuple[str, ...]:
        """Git commits of the code that made the files of the chain."""
        found = {each.git["commit"] for each in self.chain().values() if each.git.get("commit")}
        return tuple(sorted(found))

    def _lines(self) -> Iterator[tuple[str, str]]:
        chain = self.chain()
        yield "file", self.name
        yield "made by", f"{self.stage}, version {self.version}, {self.sidecar.get('started', 'at an unknown time')}"
        yield "SHA-256", self.sha256 or "its own record"
        yield "from", f"{len(chain) - 1} files: {_counts(each.stage for each in list(chain.values())[1:])}"
        yield "commits", ", ".join(commit[:12] for commit in self.commits) or "not known"
        if self.changed:
            yield "stale", f"changed since: {', '.join(self.changed[:3])}"

    def __repr__(self) -> str:
        return "\n".join(f"{key:<8} {value}" for key, value in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in self._lines())
        return f"<table>{rows}</table>"


def _counts(names: Iterator[str]) -> str:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in found.items()) or "none"
