"""A step, which determines an artefact's content, and its digest, the recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sat.errors import SatError

ALONE = "_alone"
"""Stands for the teacher of a student without a teacher. No model can have this name."""


@dataclass(frozen=True)
class Step:
    """All that determines the content of one artefact."""

    stage: str
    """Name of the stage."""
    version: int
    """Version of the stage."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """All settings that change the result, as JSON values. Sizes of perturbations are in grey levels."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Recipe of each input. A group of inputs has one recipe, made from those of all its members in order."""

    @cached_property
    def recipe(self) -> str:
        """Digest of the step: 16 hexadecimal digits."""
        return _digest(self.json)

    @cached_property
    def json(self) -> str:
        """The step as one line of JSON, as rules hand it to commands."""
        return json.dumps(
            {"stage": self.stage, "version": self.version, "params": self.params, "inputs": self.inputs}, sort_keys=True
        )

    @classmethod
    def parse(cls, text: str) -> Step:
        """Read a step from its line of JSON.

        Raises
        ------
        SatError
            If it is not a step.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            raise SatError(f"--step {text[:80]!r} is no step; copy the command from 'snakemake -n -p'.") from None


def group_recipe(recipes: Iterable[str]) -> str:
    """Compute the recipe of several inputs that a stage takes as one list.

    Parameters
    ----------
    recipes : iterable of str
        Recipes in the order in which the stage gets the files.

    Returns
    -------
    str
    """
    return _digest("\n".join(recipes))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
