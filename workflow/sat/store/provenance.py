"""The settings with which a SAT matrix was measured (images, canvas and attack), read from the chain of sidecars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.artefact import read_sidecar, sidecar_path
from sat.store.lineage import find_recorded

OWN = ("model", "seed")
"""Params of an attack that are not settings: every model has its own, and another seed is another draw of the same."""


def read_settings(sat: Path | str) -> dict[str, Any] | None:
    """Find the settings with which a matrix was measured.

    Parameters
    ----------
    sat : path
        A matrix. If it is that of a study, its sidecar and the sidecars of all that it was made from must be there.

    Returns
    -------
    dict or None
        Keys images (digest of the attack images as the models saw them), canvas (px), the settings of the attack, with
        sizes in grey levels, and "evaluation precision" where it is not float32. None for a matrix without a sidecar,
        and for that of a study that started from a matrix.

    Raises
    ------
    SatError
        If a sidecar in the chain is missing.
    """
    sat = Path(sat)
    if not sidecar_path(sat).is_file():
        return None
    made = read_sidecar(sat)
    if made["stage"] != "similarity":
        return None

    def follow(account: Mapping[str, Any]) -> dict[str, Any]:
        found = find_recorded(sat, account["path"])
        if found is None:
            raise SatError(
                f"{sat}: was made from {account['path']}, and its sidecar is not there; it says which images and "
                "attack the matrix stands for. Bring the whole folder of results, sidecars at least."
            )
        return read_sidecar(found)

    images = follow(made["inputs"]["images"])
    tile = follow(made["inputs"]["tiles"][0])
    attack = follow(tile["inputs"]["adversarial"][0])
    settings = {name: value for name, value in attack["params"].items() if name not in OWN}
    if "precision" in tile["params"]:
        settings["evaluation precision"] = tile["params"]["precision"]
    return {"images": images["content_sha256"], "canvas": images["params"]["canvas"], **settings}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Say in which settings two matrices differ.

    Parameters
    ----------
    ours, theirs : mapping
        From `read_settings`.

    Returns
    -------
    list of str
        The differences; empty if there are none.
    """
    names = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    return [
        "other images" if name == "images" else f"{name} {theirs.get(name)} instead of {ours.get(name)}"
        for name in names
    ]
