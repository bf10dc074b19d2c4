"""Random numbers keyed by what they are for, never by position or order of execution."""

from __future__ import annotations

import hashlib

import numpy as np


def key(*parts: object) -> int:
    """A 128-bit key of a purpose.

    Parameters
    ----------
    *parts : object
        The purpose in words, the study's seed, an image id, a model name.

    Returns
    -------
    int
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def generator(*parts: object) -> np.random.Generator:
    """A generator of its own for each purpose; see `key`."""
    return np.random.Generator(np.random.Philox(key=key(*parts)))
