"""When the work of two jobs may be joined into one result: parts of a killed job, or a result on fewer images.

The result must be the one that a single job makes, to the last bit, and its sidecar names one run. So both jobs must
have computed alike (`differences`). And no image may depend on an image of the other job. Parts of a killed job keep
that, as they end with a whole slice of 16 images. A result on fewer images keeps it where the attack's declaration says
`independent`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

COMPUTED = ("device", "device_name", "threads", "build", "precision")
"""What of a job's run may change the last bits of a gradient."""


def computed(run: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a job's run what may change the last bits of a result.

    On a GPU, threads only bring the images, so their number does not count. The batch size never does.

    Parameters
    ----------
    run : mapping
        `Job.run`, or what a sidecar records of it.

    Returns
    -------
    dict
        As JSON reads it.
    """
    names = [name for name in COMPUTED if name != "threads" or run.get("device") != "cuda"]
    found: dict[str, Any] = json.loads(json.dumps({name: run.get(name) for name in names}))
    # This says how a run went. It is not known when the next one begins.
    if isinstance(found["precision"], dict):
        found["precision"].pop("deterministic", None)
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say in words what keeps the work of two jobs from being joined; nothing if both computed alike.

    Parameters
    ----------
    before, now : mapping
        The runs of both, or what `computed` takes from them.
    """
    first, second = _flat(computed(before)), _flat(computed(now))
    return [
        f"{name} ({first.get(name)}, now {second.get(name)})"
        for name in {**first, **second}
        if first.get(name) != second.get(name)
    ]


def digests(given: Any) -> list[str]:
    """Digests of one of a job's inputs, which may be several files, or absent in an older sidecar."""
    entries = given if isinstance(given, list) else [given] if given else []
    return [entry["sha256"] for entry in entries]


def _flat(found: Mapping[str, Any]) -> dict[str, Any]:
    inner = found["precision"] if isinstance(found["precision"], dict) else {}
    return {**found, "precision": None, **{f"precision.{name}": value for name, value in inner.items()}}
