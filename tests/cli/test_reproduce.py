"""Results are made again by the commands of the rules: the same ones agree, and one that was forged is found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 (makes HDF5 know the filter)
import pytest

from projects import Project, unwrapped
from sat.store.artefact import write_sidecar
from sat.store.files import file_digest
from sat.store.hdf5 import content_digest
from sat.study.plan import Plan
from sat.study.study import load_study

pytestmark = pytest.mark.slow


def lines(said: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+): (.*)$", said, re.MULTILINE))


def forge(results: Path, name: str) -> None:
    """Make sidecars, digests and the records of all consumers agree with the bytes that lie there now."""
    path = results / name
    with h5py.File(path, "r+") as file:
        content = file.attrs["content_sha256"] = content_digest(file)
    digests = {"sha256": file_digest(path), "content_sha256": content}
    for sidecar in results.rglob("*.json"):
        record = json.loads(sidecar.read_text())
        if "inputs" not in record:
            continue
        groups = [given if isinstance(given, list) else [given] for given in record["inputs"].values()]
        mine = [entry for group in groups for entry in group if entry["path"].endswith(name)]
        for entry in mine:
            entry.update(digests)
        if sidecar == path.with_name(f"{path.name}.json"):
            record.update(digests)
        elif not mine:
            continue
        del record["sidecar_sha256"]
        write_sidecar(sidecar, record)


def test_all_stages_are_made_again_the_same_and_the_results_stay_untouched(finished: Project):
    before = finished.state("**/*")
    done = finished.sat("reproduce", "--sample", "1", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    stages = {
        artefact.step.stage for artefact in Plan(load_study([finished.folder / "config.yaml"])).artefacts().values()
    }
    said = lines(done.stdout)
    assert stages <= set(said)
    assert {
        stage: said[stage] for stage in stages if not re.fullmatch(r"(\d+) of \1 the same, byte for byte", said[stage])
    } == {}
    assert finished.state("**/*") == before


def test_a_forged_set_passes_verify_and_is_found(project: Project):
    name = "adversarial/vit.h5"
    with h5py.File(project.results / name, "r+") as file:
        row = int(file["attacked"][:].argmax())
        pixels = file["perturbation"][row]
        pixels[0, :3] = -pixels[0, :3]
        file["perturbation"][row] = pixels
        changed = int((pixels[0, :3] != 0).sum())
    forge(project.results, name)
    assert project.sat("verify", "--full").returncode == 0, "the forgery is consistent"
    done = project.sat("reproduce", "--sample", "3", "--stages", "attack", "clean")
    said = lines(done.stdout)
    assert done.returncode == 1 and said["clean"] == "3 of 3 the same, byte for byte"
    assert said["attack"] == "2 of 3 the same, 1 of 3 DIFFERS"
    assert re.search(
        rf"{name}: perturbation: {changed} of [\d,]+ values differ, by \d+ at most", unwrapped(done.stdout)
    )
