"""What a statement of the finding is, and the words that statements share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One sentence, and how sure it is."""

    topic: str
    """Name of the table that it is made from."""
    text: str
    sure: str
    """The numbers that it rests on; of an open question, why it is open."""
    open: bool = False
    """Whether it says what could not be said."""
    margin: float = 0.0
    """If a topic has several statements, the one with the largest margin is said first."""


def listed(names: list[str], most: int = 6) -> str:
    """Write names as a list of at most a few."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
