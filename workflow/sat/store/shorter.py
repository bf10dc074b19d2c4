"""Results on fewer images, kept so that a study with more images goes on from them.

Attack images are a prefix of one permutation, an attack's randomness is keyed by the image, and with most attacks no
result depends on which images share a batch (`sat.units.attack.Attack.independent`). Then the first rows of an
adversarial set, or of a tile, do not depend on how many images follow. `sat grow` keeps the finished files in a hidden
folder before it raises the number of images. A job goes on from the one of its own place if nothing but the number of
images differs, and its sidecar records that. `sat.store.joining` has the rule.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat.errors import SatError
from sat.store.artefact import Job, check_content, is_made, read_sidecar, sidecar_path
from sat.store.joining import differences, digests
from sat.store.step import Step

FOLDER = ".shorter"
"""Folder below results/<study>/. Paths in it are those of the results."""
STAGES = ("attack", "evaluate")
"""Stages that go on from a result on fewer images."""


@dataclass(frozen=True)
class Shorter:
    """A finished result on fewer images."""

    path: Path
    sidecar: Mapping[str, Any]

    def account(self, images: int) -> dict[str, Any]:
        """What the sidecar of the longer result records of it.

        Parameters
        ----------
        images : int
            Number of its images.
        """
        kept = {key: self.sidecar[key] for key in ("recipe", "sha256", "content_sha256", "started", "run")}
        before = self.sidecar["facts"].get("continued")
        return {"images": images, **kept, **({"continued": before} if before else {})}


def keep(results: Path, steps: Mapping[str, Step]) -> int:
    """Keep finished results, as further names of the same files where the file system allows it.

    What was kept before is removed.

    Parameters
    ----------
    results : Path
        Folder of the study's results.
    steps : mapping of str to Step
        Steps by the path of the artefact below the results. Only what these steps have made is kept.

    Returns
    -------
    int
        Number of results.
    """
    forget(results)
    made = [path for path, step in steps.items() if step.stage in STAGES and is_made(results / path, step)]
    for path in made:
        place = results / FOLDER / path
        place.parent.mkdir(parents=True, exist_ok=True)
        for source, name in ((results / path, place), (sidecar_path(results / path), sidecar_path(place))):
            try:
                os.link(source, name)
            except OSError:
                shutil.copy2(source, name)
    return len(made)


def forget(results: Path) -> None:
    """Remove what was kept."""
    shutil.rmtree(results / FOLDER, ignore_errors=True)


def find_shorter(job: Job, images: Path | str, out: Path | str, independent: bool = True) -> Shorter | None:
    """Find the result on fewer images that a job may go on from. The caller compares the images.

    Parameters
    ----------
    job : Job
        The job; it has accepted its inputs already.
    images : path
        images/attack.h5 of the results.
    out : path
        The artefact that the job makes.
    independent : bool
        Whether no image's result depends on other images.

    Returns
    -------
    Shorter or None
        None if there is none, if images may depend on others, if it was made with another version, other params or
        weights, or computed otherwise, or if its bytes are not those that its sidecar vouches for.
    """
    try:
        results = Path(images).parents[1]
        path = results / FOLDER / Path(out).relative_to(results)
    except (IndexError, ValueError):
        return None  # The job writes elsewhere, as that of `sat rerun` does.
    if not path.exists():
        return None
    if not independent:
        skip(path, "an image's result may depend on other images")
        return None
    try:
        sidecar = read_sidecar(path)
        other = _differences(job, sidecar)
        if not other:
            check_content(path, sidecar, full=True)
            return Shorter(path, sidecar)
        reason = f"other {', '.join(other)}"
    except SatError as error:
        reason = str(error)
    skip(path, reason)
    return None


def skip(path: Path, reason: str) -> None:
    """Say why a job does not go on from a result on fewer images."""
    logging.getLogger("sat").info("%s: not used, all images are computed (%s)", path, reason)


def _differences(job: Job, sidecar: Mapping[str, Any]) -> list[str]:
    """What is not the same, beside the images."""
    step = job.step
    same = {
        "version": (sidecar["stage"], sidecar["stage_version"]) == (step.stage, step.version),
        "settings": sidecar["params"] == json.loads(json.dumps(step.params)),
        "weights": digests(sidecar["inputs"].get("weights")) == digests(job.inputs["weights"]),
    }
    return [*(name for name, equal in same.items() if not equal), *differences(sidecar["run"], job.run)]
