"""What no study needs any more: named with sizes, and removed only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from conftest import ROWS
from projects import Project, locked_copy

pytestmark = pytest.mark.slow


@pytest.fixture
def retiled(finished: Project, tmp_path: Path) -> Project:
    """A finished project whose study has asked for larger tiles since; they are not made yet."""

    def make(folder: Path) -> None:
        project = finished.copy(folder)
        project.configure(tile_size=3)
        project.run("--until", "study")

    return Project(locked_copy(finished.folder.with_name("retiled"), make)).copy(tmp_path / "a project")


def files(project: Project) -> set[str]:
    found = (path for path in project.results.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(project.results)) for path in found}


def listed(said: str) -> set[str]:
    return {
        line.strip().removeprefix("results/tiny/")
        for line in said.splitlines()
        if line.startswith("     ") and "/" in line
    }


def test_a_finished_study_needs_all_that_it_has(finished: Project):
    done = finished.sat("prune")
    assert done.returncode == 0 and "all files are needed" in done.stdout, done.stdout + done.stderr


def test_tiles_of_another_size_go_and_all_else_stays(retiled: Project):
    project = retiled
    # A file of the user's own, and one that a killed job was writing.
    (project.results / "analysis/notes.csv").write_text("mine\n")
    (project.results / "images/.attack.h5.host.1.tmp").write_bytes(b"x" * 2500)
    before = files(project)
    said = project.sat("prune", "--files").stdout
    gone = {name for name in before if name.startswith("tiles/") and "c1-001" in name}
    assert len(gone) == 6 and listed(said) == gone | {"images/.attack.h5.host.1.tmp"}
    assert files(project) == before, "nothing was removed yet"
    assert "2.5 kB      1 files  tiny: left by jobs that were killed" in said

    size = sum((project.results / name).stat().st_size for name in gone) + 2500
    removed = project.sat("prune", "--remove").stdout
    assert f"Removed; {size / 1000:.1f} kB are free now." in removed
    assert files(project) == before - gone
    assert "all files are needed" in project.sat("prune").stdout
    # What is left is what the new run builds on.
    assert set(project.planned("results/tiny/tiles/c1-000/c1-000.h5")) == {"evaluate"}


def test_files_of_a_model_that_left_the_table_go_and_those_of_a_retired_one_stay(project: Project):
    rows = [dict(row) for row in ROWS]
    project.write_table([row if row["model"] != "vit" else {**row, "use": "no"} for row in rows])
    assert "vit" not in project.sat("prune").stdout
    project.write_table([row for row in rows if row["model"] != "vit"])
    project.run("--until", "study")
    said = project.sat("prune", "--files").stdout
    own = {name for name in listed(said) if Path(name).name.split(".")[0] == "vit"}
    assert own == {name for name in files(project) if Path(name).name.split(".")[0] == "vit" and "/" in name} - {
        name for name in files(project) if name.startswith(("logs/", "benchmarks/"))
    }
    assert "model vit is not in the table" in said


def test_the_sets_of_a_variant_that_was_removed_go_and_those_of_a_variant_that_is_there_stay(project: Project):
    weak = {"weak": {"attack": {"eps": "12/255", "step": "4/255"}}}
    project.configure(variants=weak)
    project.run("results/tiny/variants/weak/adversarial/vit.h5", "results/tiny/study.json")
    rows = [{**row, "use": "no"} if row["model"] == "vit" else dict(row) for row in ROWS]
    project.write_table(rows)
    assert "variants/weak" not in project.sat("prune", "--files").stdout, "vit may come back"
    project.configure(variants={})
    project.run("--until", "study")
    sets = {"variants/weak/adversarial/vit.h5", "variants/weak/adversarial/vit.h5.json"}
    for table in (rows, ROWS):
        project.write_table(table)
        said = project.sat("prune", "--files").stdout
        assert {name for name in listed(said) if name.startswith("variants/")} == sets
        assert "tiny: attack: the study does not ask for it" in said


def test_what_the_last_run_needed_stays_and_nothing_goes_while_a_run_is_at_work(project: Project):
    from sat.store.runs import hold_run

    project.configure(tile_size=3)
    (project.results / "images/.attack.h5.host.1.tmp").touch()
    waiting = project.sat("prune", "--files").stdout
    assert "the last run needed" in waiting and listed(waiting) == {"images/.attack.h5.host.1.tmp"}
    hold_run(project.results)
    done = project.sat("prune", "--remove")
    assert done.returncode == 1 and "left alone, since a run is at work" in done.stdout
    assert (project.results / "tiles/c1-001/c1-001.h5").exists()


def test_parts_of_a_finished_attack_go_and_those_of_one_that_was_stopped_stay(project: Project):
    parts = [project.results / f"adversarial/.{name}.h5.parts-0123456789abcdef" for name in ("vit", "resnet", "left")]
    for folder in parts:
        folder.mkdir()
        (folder / "000000000-000000032.part").write_bytes(b"x" * 1500)
    # This set is not made, so its attack resumes from the parts.
    (project.results / "adversarial/resnet.h5").unlink()
    said = project.sat("prune", "--files").stdout
    assert "1.5 kB      1 files  tiny: parts of jobs that are finished" in said
    assert "1.5 kB      1 files  tiny: parts of jobs whose result the study does not ask for" in said
    project.sat("prune", "--remove")
    assert [folder.exists() for folder in parts] == [False, True, False]
    assert (project.results / "adversarial/vit.h5").exists()


def test_every_study_in_the_folder_counts_and_one_that_cannot_be_read_keeps_its_results(retiled: Project):
    project = retiled
    studies = project.folder / "studies"
    studies.mkdir(exist_ok=True)
    (studies / "small.yaml").write_text(
        (project.folder / "config.yaml").read_text().replace("tile_size: 3", "tile_size: 2")
    )
    (studies / "models.csv").write_text((project.folder / "models.csv").read_text())
    assert "all files are needed" in project.sat("prune").stdout, "another config of the same study asks for the tiles"
    (studies / "small.yaml").write_text("study: tiny\nmodels: nowhere.csv\n")
    done = project.sat("prune", "--remove")
    assert done.returncode == 1 and "results/tiny: left alone, since studies/small.yaml cannot be read" in done.stdout
    (studies / "small.yaml").unlink()
    assert "evaluate: the study does not ask for it" in project.sat("prune").stdout


def test_what_another_study_compares_with_stays(retiled: Project):
    project = retiled
    studies = project.folder / "studies"
    studies.mkdir(exist_ok=True)
    (studies / "models.csv").write_text((project.folder / "models.csv").read_text())
    other = {**project.config, "study": "other", "compare_to": "../results/tiny"}
    (studies / "other.yaml").write_text(yaml.safe_dump(other))
    said = project.sat("prune", "--files").stdout
    assert "all files are needed" in said, "tiny's matrix was made from its tiles of two"
