"""What is known of the networks and images of a study: from its table and config, and from what is made already."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sat.errors import SatError
from sat.store.artefact import read_sidecar
from sat.study.plan import Artefact, Plan
from sat.study.resources import Size

N_DIGITS = 1797
UNKNOWN_IMAGES, UNKNOWN_LISTED = 50_000, 5_000
"""Assumed number of images of a data set (that of ImageNet) and of a list of attack images (that of the paper), before
they are read."""
UNKNOWN_TRAINING = 1_281_167
"""Assumed number of images in a folder of training images (that of ImageNet), before it is read."""
NET = ("architecture", "input_size", "code", "options", "classes")
"""Params of the stages that make weights, on which the numbers of the network depend."""


class Known:
    """Sizes of networks and numbers of images, as far as they are known when they are asked for.

    A sidecar is read where table and config do not say a number, and again until it is there: Snakemake asks while it
    plans, and again before it starts a job. A sidecar counts if the same params made it, whatever its version.

    Parameters
    ----------
    plan : Plan
    results : Path, optional
        Folder of the study's results; without it, no sidecar is read.
    n_images : mapping of str to int, optional
        Number of images of every split, if they have been counted.
    """

    def __init__(self, plan: Plan, results: Path | None = None, n_images: Mapping[str, int] | None = None) -> None:
        self.plan, self.results = plan, results
        self._sizes: dict[str, Size] = {}
        # Of a thousand models, Snakemake asks a hundred thousand times before anything is made.
        self._in_table = cache(self._size_of)
        self._counts: dict[str, int] = dict(n_images or {})

    def size(self, model: str) -> Size:
        """Numbers of a model's network: those of its row, or else those that its weights' sidecar records."""
        if model not in self._sizes:
            facts = self._facts(self.plan.weights(model), NET)
            if not facts and self.plan.study.fine_tuned(model):
                facts = self._facts(self.plan.pretrained(model), NET)
            if not facts:
                return self._in_table(model)
            self._sizes[model] = self._size_of(model, facts)
        return self._sizes[model]

    def _size_of(self, model: str, facts: Mapping[str, Any] = MappingProxyType({})) -> Size:
        row = self.plan.study.model[model]
        counted = {field.name: _number(facts, field.name) for field in fields(Size)}
        given = {name: getattr(row, name) for name in ("n_parameters", "gmacs", "input_size")}
        return Size(**{**counted, **{name: value for name, value in given.items() if value}})

    @property
    def n_images(self) -> dict[str, int]:
        """Number of images of every split: counted, or else expected from the number of all images."""
        counts = {split: self._count(split, self.plan.images(split)) for split in ("train", "eval", "attack")}
        if None not in counts.values():
            return {split: count or 0 for split, count in counts.items()}
        expected = self._expected(self._count("all", self.plan.manifest))
        if counts["eval"]:
            expected["attack"] = min(expected["attack"], counts["eval"])
        return {split: expected[split] if count is None else count for split, count in counts.items()}

    @property
    def counted(self) -> bool:
        """Whether the images have been counted, or are those of a fixed data set."""
        images = self.plan.config.images
        return images.source == "digits" or bool(
            self._count("eval", self.plan.images("eval")) or self._count("all", self.plan.manifest)
        )

    def _expected(self, total: int | None) -> dict[str, int]:
        """Expected number of images of every split."""
        images = self.plan.config.images
        if images.train_folder:
            # The manifest does not say which images are in the folder of training images.
            most = math.inf if total is None else total
            train, evaluation = round(min(UNKNOWN_TRAINING, most)), round(min(UNKNOWN_IMAGES, most))
        else:
            total = N_DIGITS if images.source == "digits" else total or UNKNOWN_IMAGES
            train = round(images.train_fraction * total)
            evaluation = total - train
        if isinstance(images.eval_images, int):
            evaluation = min(evaluation, images.eval_images)
        attack = UNKNOWN_LISTED if images.id_list else images.attack_images
        return {
            "train": train,
            "eval": evaluation,
            "attack": min(evaluation, attack) if isinstance(attack, int) else evaluation,
        }

    def _count(self, name: str, artefact: Artefact) -> int | None:
        if name not in self._counts:
            count = _number(self._facts(artefact), "n_images")
            if count is None:
                return None
            self._counts[name] = int(count)
        return self._counts[name]

    def _facts(self, artefact: Artefact, names: Iterable[str] | None = None) -> Mapping[str, Any]:
        """Facts of an artefact's sidecar, if it was made with the params, or those of some names, that the plan has."""
        # Before anything is made, Snakemake asks many thousand times, so the usual answer must be quick.
        if self.results is None or not os.path.exists(f"{self.results}/{artefact.path}.json"):  # noqa: PTH110
            return {}
        try:
            sidecar = read_sidecar(self.results / artefact.path)
        except SatError:
            return {}
        made, asked = sidecar.get("params"), json.loads(json.dumps(artefact.step.params))
        if not isinstance(made, dict):
            return {}
        same = all(made.get(name) == asked.get(name) for name in (names or {*made, *asked}))
        facts: Mapping[str, Any] = sidecar["facts"] if same else {}
        return facts


def _number(facts: Mapping[str, Any], name: str) -> Any:
    """A number above 0 among facts; None if there is none."""
    found = facts.get(name)
    return found if isinstance(found, int | float) and found > 0 else None
