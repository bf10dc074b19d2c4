"""A step, which determines an artefact's content, and its digest, the recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sat.errors import SatError

_RISKY = re.compile(r'[<>&]|\{(?=[^"}])')
"""Characters that stand in texts alone: JSON's own brace is followed by a quote or by the brace that closes it."""
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
        return _digest(self._plain())

    @cached_property
    def json(self) -> str:
        """The step as one line of JSON, as rules hand it to commands.

        Free text of a model table is part of it. Snakemake's report holds this line within a script, which `</script>`
        would end, and Snakemake takes `{x}` for a wildcard. So it has escapes of JSON there, which mean the same.
        """
        return _RISKY.sub(lambda found: f"\\u{ord(found[0]):04x}", self._plain())

    def _plain(self) -> str:
        """The step as one line of JSON without further escapes."""
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
            raise SatError(f"--step {text[:80]!r} is not a step; copy the command from 'snakemake -n -p'.") from None


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
