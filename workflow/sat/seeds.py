"""Random numbers that depend on their purpose, and never on position or order of execution."""

from __future__ import annotations

import hashlib

import numpy as np


def key(*parts: object) -> int:
    """Make a 128-bit key from a purpose.

    Parameters
    ----------
    *parts : object
        The purpose in words, and for example the study's seed, an image id or a model name.

    Returns
    -------
    int
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def generator(*parts: object) -> np.random.Generator:
    """Make a generator of random numbers for one purpose; see `key`."""
    return np.random.Generator(np.random.Philox(key=key(*parts)))
