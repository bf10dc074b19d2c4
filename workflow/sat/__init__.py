"""Similarity of image classifiers by adversarial attack transferability (SAT)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sat.results import open_study

__version__ = "0.1.0"
__all__ = ["__version__", "open_study"]


def __getattr__(name: str) -> object:
    """Import the Python interface when it is asked for: every job imports this package, and none needs it."""
    if name == "open_study":
        return importlib.import_module("sat.results").open_study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
