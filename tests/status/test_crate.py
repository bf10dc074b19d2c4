"""The RO-Crate of a study: the validator's verdict, and every digest and step compared with files and sidecars."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from crates import fill_cache, issues
from projects import Project
from sat.errors import SatError
from sat.status.crate import collect, make_crate

pytestmark = pytest.mark.slow
Entities = dict[str, dict[str, Any]]


def entities(text: str) -> Entities:
    graph = json.loads(text)["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def ids(value: Any) -> set[str]:
    """Ids of one reference, or of a list of them."""
    return {each["@id"] for each in (value if isinstance(value, list) else [value])}


@pytest.fixture
def crate(finished: Project) -> Entities:
    return entities((finished.results / "provenance/ro-crate-metadata.json").read_text())


def test_the_validator_accepts_it_and_refuses_what_is_spoiled(finished: Project, tmp_path: Path):
    # The validator takes a path with a space for no valid one.
    project = finished.copy(tmp_path / "copy")
    folder, cache = project.results / "provenance", fill_cache(tmp_path / "http")
    checks, found = issues(folder, cache)
    assert found == [] and sum(check.startswith("provenance-run-crate-0.5") for check in checks) >= 15

    spoiled = json.loads((folder / "ro-crate-metadata.json").read_text())
    by_id = {entity["@id"]: entity for entity in spoiled["@graph"]}
    del by_id["./"]["license"]
    del next(entity for name, entity in by_id.items() if name.startswith("#action/attack/"))["instrument"]
    del next(entity for name, entity in by_id.items() if name.startswith("#step/"))["workExample"]
    del by_id["#parameter/attack/eps"]["additionalType"]
    _, found = issues(folder, cache, spoiled)
    for words in (
        "The Crate (Root Data Entity) must specify a license",
        "The Action MUST have an instrument",
        "A HowToStep must refer to its corresponding tool",
        "FormalParameter MUST have an additionalType",
    ):
        assert any(words in issue for issue in found), words


def test_every_file_of_the_study_is_in_it_with_its_digest(finished: Project, crate: Entities):
    described = {name.removeprefix("../") for name in crate if name.startswith("../")}
    elsewhere = ("logs/", "benchmarks/", "provenance/", ".")
    lie_there = {
        path.relative_to(finished.results).as_posix() for path in finished.results.rglob("*") if path.is_file()
    }
    sidecars = {name for name in lie_there if name.endswith(".json") and name.removesuffix(".json") in lie_there}
    assert described == {name for name in lie_there - sidecars if not name.startswith(elsewhere)}
    for name in described:
        content = (finished.results / name).read_bytes()
        assert crate[f"../{name}"]["sha256"] == hashlib.sha256(content).hexdigest(), name
        assert crate[f"../{name}"]["contentSize"] == str(len(content))
        sidecar = finished.results / f"{name}.json"
        assert not sidecar.exists() or json.loads(sidecar.read_text())["sha256"] == crate[f"../{name}"]["sha256"]


def test_every_step_names_what_its_sidecars_name(finished: Project, crate: Entities):
    actions = [entity for name, entity in crate.items() if name.startswith("#action/")]
    made = [name for action in actions for name in ids(action["result"])]
    assert len(made) == len(set(made)) and set(made) == {name for name in crate if name.startswith("../")}
    for action in actions:
        for name in ids(action["result"]):
            path = finished.results / "provenance" / name
            sidecar = json.loads((path if path.suffix == ".json" else path.with_name(path.name + ".json")).read_text())
            given = [each for one in sidecar["inputs"].values() for each in (one if isinstance(one, list) else [one])]
            paths = {each["path"].replace("results/tiny/", "../", 1) for each in given}
            things = ids(action.get("object", []))
            assert {thing for thing in things if thing.startswith("../")} == paths
            assert action["startTime"] == sidecar["started"]
            settings = {
                crate[thing]["name"]: crate[thing]["value"] for thing in things if thing.startswith("#setting/")
            }
            if sidecar["stage"] == "attack":
                assert settings == sidecar["params"]
            tool = crate[action["instrument"]["@id"]]
            software = {
                crate[each]["name"]: crate[each]["softwareVersion"] for each in ids(tool["softwareRequirements"])
            }
            assert software == {"python": sidecar["python"], **sidecar["packages"]}
            assert tool["name"] == f"sat {sidecar['stage']}"
            assert tool["softwareVersion"].startswith(f"{sidecar['stage_version']}, ")
    run = crate["#run"]
    values = {crate[thing]["name"]: crate[thing]["value"] for thing in ids(run["object"])}
    assert values["attack.eps"] == "24/255" and values["study"] == "tiny"
    assert {"../similarity/sat.csv", "../report/atlas.html", "../clean/vit.gate.json"} <= ids(run["result"])
    assert ids(crate["./"]["mainEntity"]) == ids(run["instrument"]) == {"Snakefile"}


def test_the_same_results_give_the_same_bytes(finished: Project):
    again = finished.sat("rerun", "results/tiny/provenance/ro-crate-metadata.json")
    assert again.stdout.count(": the same") == 2, again.stdout + again.stderr


def test_a_file_that_is_not_there_is_described_and_one_that_was_made_again_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(project.folder)
    page, snakefile = "results/tiny/report/atlas.html", project.results / "provenance/Snakefile"
    gone = project.results / "adversarial/vit.h5"
    gone.unlink()
    found = entities(make_crate(collect([page]), snakefile, {}))
    sidecar = gone.with_name("vit.h5.json")
    assert "../adversarial/vit.h5" not in found
    assert found["#file/adversarial/vit.h5"]["sha256"] == json.loads(sidecar.read_text())["sha256"]
    sidecar.write_text((project.results / "adversarial/resnet.h5.json").read_text())
    with pytest.raises(SatError, match=r"adversarial/vit.h5: has been made again since"):
        collect([page])
    sidecar.unlink()
    with pytest.raises(SatError, match=r"adversarial/vit.h5: its sidecar is not there"):
        collect([page])
