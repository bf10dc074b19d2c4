"""What a study does not need any more: named with sizes, and removed only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROWS
from projects import Project

pytestmark = pytest.mark.slow


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
    assert done.returncode == 0 and "needs every file" in done.stdout, done.stdout + done.stderr


def test_tiles_of_another_size_go_and_all_else_stays(project: Project):
    before = files(project)
    project.configure(tile_size=3)
    # A file of the user's own, and one that a killed job was writing.
    (project.results / "analysis/notes.csv").write_text("mine\n")
    (project.results / "images/.attack.h5.host.1.tmp").write_bytes(b"x" * 2500)
    said = project.sat("prune", "--files").stdout
    gone = {name for name in before if name.startswith("tiles/") and "c1-001" in name}
    assert len(gone) == 6 and listed(said) == gone | {"images/.attack.h5.host.1.tmp"}
    assert files(project) == before | {"analysis/notes.csv"}, "nothing was removed yet"
    assert "2.5 kB      1 files  left by jobs that were killed" in said

    size = sum((project.results / name).stat().st_size for name in gone) + 2500
    removed = project.sat("prune", "--delete").stdout
    assert f"Removed; {size / 1000:.1f} kB are free now." in removed
    assert files(project) == (before - gone) | {"analysis/notes.csv"}
    assert "needs every file" in project.sat("prune").stdout
    # What is left is what the new run builds on.
    assert set(project.planned("results/tiny/tiles/c1-000/c1-000.h5")) == {"evaluate"}


def test_files_of_a_model_that_left_the_table_go_and_those_of_a_retired_one_stay(project: Project):
    rows = [dict(row) for row in ROWS]
    project.write_table([row if row["model"] != "vit" else {**row, "use": "no"} for row in rows])
    assert "vit" not in project.sat("prune").stdout
    project.write_table([row for row in rows if row["model"] != "vit"])
    said = project.sat("prune", "--files").stdout
    own = {name for name in listed(said) if Path(name).name.split(".")[0] == "vit"}
    assert own == {name for name in files(project) if Path(name).name.split(".")[0] == "vit" and "/" in name} - {
        name for name in files(project) if name.startswith(("logs/", "benchmarks/"))
    }
    assert "model vit is not in the table" in said


def test_nothing_is_removed_while_a_run_is_at_work(project: Project):
    from sat.store.runs import hold_run

    project.configure(tile_size=3)
    hold_run(project.results)
    done = project.sat("prune", "--delete")
    assert done.returncode == 1 and "another run is at work" in done.stderr
    assert (project.results / "tiles/c1-001/c1-001.h5").exists()
