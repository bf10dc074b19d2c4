"""Write the shipped lists of timm's names again: `PYTHONPATH=workflow python -m sat.models.names`."""

from __future__ import annotations

from collections.abc import Iterable

import timm
from timm.models import _registry
from timm.optim._optim_factory import list_optimizers

from sat.study.names import ARCHITECTURES, OPTIMISERS, UNUSABLE


def architectures() -> str:
    """Content of the list of architectures."""
    return _list([*_registry._model_entrypoints, *timm.list_pretrained()])


def optimisers() -> str:
    """Content of the list of optimisers."""
    return _list(name for name in map(str, list_optimizers()) if not name.startswith(UNUSABLE))


def _list(names: Iterable[str]) -> str:
    command = "PYTHONPATH=workflow python -m sat.models.names"
    return "\n".join([f"# timm {timm.__version__}, written by: {command}", *sorted(set(names)), ""])


if __name__ == "__main__":
    ARCHITECTURES.write_text(architectures(), encoding="utf-8")
    OPTIMISERS.write_text(optimisers(), encoding="utf-8")
