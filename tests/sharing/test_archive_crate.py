"""The RO-Crate of an archive: the validator's verdict, its files, and the runs of everybody who worked on the study."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from crates import fill_cache, issues
from projects import Project
from sat.store.history import Recorder, join_history

pytestmark = pytest.mark.slow
STUDY = "studies/tiny/study.yaml"


def exported(project: Project, bag: Path, *words: str) -> dict[str, dict[str, Any]]:
    """Export a study, unpack the archive, and return the entities of its crate."""
    archive = bag.with_suffix(".zip")
    done = project.sat("export", *words, "-o", str(archive))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(bag.parent)
    graph = json.loads((bag / "data/ro-crate-metadata.json").read_text())["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def ids(value: Any) -> set[str]:
    return {each["@id"] for each in (value if isinstance(value, list) else [value])}


def runs(crate: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of the history, in the order of their starts."""
    found = [crate[name] for name in sorted(ids(crate["./"]["mentions"])) if name.startswith("#run/")]
    return sorted(found, key=lambda run: run["name"])


def files(crate: dict[str, dict[str, Any]], bag: Path) -> set[str]:
    """Paths of the files that the crate says are there, each compared with its file."""
    there = {name for name, entity in crate.items() if "File" in entity["@type"] and not name.startswith("#")}
    assert there == ids(crate["./"]["hasPart"])
    for name in there:
        content = (bag / "data" / unquote(name)).read_bytes()
        assert crate[name]["contentSize"] == str(len(content)), name
        assert crate[name]["sha256"] == hashlib.sha256(content).hexdigest(), name
    return there


def test_an_archive_is_a_crate_of_its_files_and_of_all_runs(finished: Project, tmp_path: Path) -> None:
    bag, cache = tmp_path / "tiny", fill_cache(tmp_path / "http")
    crate = exported(finished, bag)
    checks, found = issues(bag, cache)
    assert found == [] and sum(check.startswith("provenance-run-crate-0.5") for check in checks) >= 15

    # The study's crate describes every result; here those that did not travel have no path.
    study = json.loads((bag / "data/results/tiny/provenance/ro-crate-metadata.json").read_text())["@graph"]
    results = {each["@id"].removeprefix("../") for each in study if each["@id"].startswith("../")}
    results |= {"provenance/Snakefile", "provenance/history.jsonl"}
    paths = files(crate, bag)
    own = {STUDY, "studies/tiny/models.csv"}
    travelled = {name for name in results if (bag / "data/results/tiny" / name).exists()}
    assert paths == {f"results/tiny/{name}" for name in travelled} | own
    absent = {name.removeprefix("#file/") for name in crate if name.startswith("#file/")}
    assert absent == results - travelled and {"adversarial/vit.h5", "images/attack.h5"} <= absent
    assert crate["#file/adversarial/vit.h5"]["description"] == "This file is not in the archive."
    job = next(each for each in crate.values() if each.get("result") == {"@id": "#file/adversarial/vit.h5"})
    assert "#file/images/attack.h5" in ids(job["object"])
    assert ids(crate["./"]["mainEntity"]) == {"results/tiny/provenance/Snakefile"}

    (run,) = runs(crate)
    start, end = map(json.loads, (finished.results / "provenance/history.jsonl").read_text().splitlines())
    assert run["description"].startswith("snakemake --cores 2 (ran ") and "3 train" in run["description"]
    assert (run["startTime"], run["endTime"]) == (start["time"], end["time"])
    assert run["actionStatus"] == "http://schema.org/CompletedActionStatus" and "error" not in run
    workflow = crate[run["instrument"]["@id"]]
    assert str(start["git"]["commit"]) in workflow["softwareVersion"].replace("no git repository", "None")
    packages = {crate[name]["name"]: crate[name]["softwareVersion"] for name in ids(workflow["softwareRequirements"])}
    assert packages == {"python": start["python"], **start["packages"]}


def test_an_imported_study_keeps_the_runs_of_those_who_made_it(finished: Project, tmp_path: Path) -> None:
    before = runs(exported(finished, tmp_path / "tiny"))
    lab = Project.new(tmp_path / "lab")
    assert lab.sat("import", str(tmp_path / "tiny.zip")).returncode == 0
    lab.run("--configfile", STUDY, "--forcerun", "crate")
    failing = Recorder(lab.results)
    failing.start(["snakemake", "--cores", "9"], {"attack": 2})
    failing.end({"attack": 1}, {"attack": 1}, whole=False)
    Recorder(lab.results).start(["snakemake"], {"attack": 1})
    third = Recorder(tmp_path / "third")
    third.start(["snakemake", "--cores", "5"], {"attack": 1})
    third.end({"attack": 1}, {}, whole=True)
    join_history(lab.results, tmp_path / "third", {"study": "third", "archive": "third.sat.zip"})
    # The crate that was made here knows no adversarial set. Now there are some, as `sat restore` brings them.
    for path in finished.results.glob("adversarial/*.h5"):
        (lab.results / "adversarial").mkdir(exist_ok=True)
        shutil.copy(path, lab.results / "adversarial")
    crate = exported(lab, tmp_path / "again", STUDY, "--with", "attacks")
    assert "results/tiny/adversarial/vit.h5" in files(crate, tmp_path / "again")
    assert "#file/images/attack.h5" in crate
    first, second, failed, killed, joined = runs(crate)
    assert [first] == before
    assert second["description"].endswith("(ran 1 of 1 job: 1 crate)") and "error" not in second
    assert failed["name"].startswith("Run 3 failed after")
    assert failed["description"] == "snakemake --cores 9 (ran 1 of 2 jobs: 1 attack; failed 1 attack)"
    assert killed["error"] == "The run did not end. It was killed, or its host failed." and "endTime" not in killed
    assert joined["description"].endswith("(ran 1 of 1 job: 1 attack; of study third, joined from third.sat.zip)")
    assert {failed["actionStatus"], killed["actionStatus"]} == {"http://schema.org/FailedActionStatus"}
    said = lab.sat("history", STUDY).stdout
    assert said.count("command   ") == 5 and all(run["startTime"].replace("T", " ")[:19] in said for run in runs(crate))
    assert issues(tmp_path / "again", fill_cache(tmp_path / "http"))[1] == []
