"""How a result came to be, in words, compared with sidecars read by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from projects import Project
from sat.store.lineage import lineage

pytestmark = pytest.mark.slow


def recorded(folder: Path, path: str) -> set[str]:
    """All that an artefact was made from, by recursion over the sidecars."""
    sidecar = path if path.endswith(".json") else f"{path}.json"
    inputs = json.loads((folder / sidecar).read_text())["inputs"].values()
    paths = [entry["path"] for given in inputs for entry in (given if isinstance(given, list) else [given])]
    return set(paths).union(*(recorded(folder, each) for each in paths))


@pytest.mark.parametrize("name", ["analysis/groups.csv", "adversarial/vit.h5", "clean/vit.gate.json", "study.json"])
def test_the_chain_is_that_of_the_sidecars_and_every_file_comes_after_its_consumers(
    finished: Project, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(finished.folder)
    path = f"results/tiny/{name}"
    order = [origin.path for origin in lineage(path)]
    assert order[0] == path and len(order) == len(set(order))
    assert set(order[1:]) == recorded(finished.folder, path)
    for place, each in enumerate(order):
        assert recorded(finished.folder, each) <= set(order[place + 1 :])


def test_one_screen_says_settings_images_weights_and_code(finished: Project):
    done = finished.sat("why", "results/tiny/similarity/sat.csv", "--full")
    assert done.returncode == 0, done.stderr
    sidecar = json.loads((finished.results / "similarity/sat.csv.json").read_text())
    whitebox = [
        json.loads(path.read_text())["facts"]["whitebox"] for path in finished.results.glob("adversarial/*.json")
    ]
    said = " ".join(done.stdout.split())
    for words in (
        sidecar["sha256"],
        "eps_s 0.01",
        "eps 24, method pgd_linf, random_start yes, seed 0, step 8, steps 3",
        f"whitebox {min(whitebox):.4g} to {max(whitebox):.4g}",
        "source digits",
        "attack_images 48",
        f"torch {sidecar['packages']['torch']}",
        "all are as they were read (their bytes were hashed)",
    ):
        assert words in said
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_results_that_were_moved_elsewhere_can_be_asked(finished: Project, tmp_path: Path):
    shutil.copytree(finished.folder / "results", tmp_path / "elsewhere/results")
    here = finished.sat("why", str(tmp_path / "elsewhere/results/tiny/analysis/groups.csv.json"), "--full")
    assert here.returncode == 0, here.stdout + here.stderr
    assert "source digits" in here.stdout


def test_a_renamed_folder_of_results_is_not_mistaken_for_the_one_that_has_its_name_now(project: Project):
    kept = project.results.parent / "before"
    project.results.rename(kept)
    shutil.copytree(kept, project.results)
    shutil.copy(project.results / "adversarial/resnet.h5.json", project.results / "adversarial/vit.h5.json")
    assert project.sat("why", "results/before/similarity/sat.csv").returncode == 0
    assert project.sat("why", "results/tiny/similarity/sat.csv").returncode == 1


def test_what_is_not_as_it_was_read_is_named(project: Project):
    def faults(*words: str) -> list[str]:
        done = project.sat("why", "results/tiny/similarity/sat.csv", *words)
        assert done.returncode == 1
        return done.stdout.partition("not what was read:\n")[2].splitlines()

    tile = project.results / "tiles/c1-000/c1-000.h5"
    content = bytearray(tile.read_bytes())
    content[-1] ^= 1
    tile.write_bytes(content)
    assert project.sat("why", "results/tiny/similarity/sat.csv").returncode == 0
    (line, *_) = faults("--full")
    assert line.startswith("- results/tiny/tiles/c1-000/c1-000.h5: its content differs from the digest in")

    made_again = project.results / "adversarial/vit.h5.json"
    shutil.copy(project.results / "adversarial/resnet.h5.json", made_again)
    (project.results / "clean/vit.h5.json").unlink()
    said = "\n".join(faults())
    assert "results/tiny/adversarial/vit.h5: has been made again since" in said
    assert "results/tiny/clean/vit.h5: its sidecar is not there" in said


def test_a_file_that_is_no_result_is_refused(finished: Project):
    done = finished.sat("why", "config.yaml")
    assert done.returncode == 1 and "config.yaml: there is no sidecar config.yaml.json beside it" in done.stderr
