"""On a read-only file system, commands that only look work, and others say in one line what they cannot write."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from projects import Project, unwrapped
from sat.store.runs import JOBS

slow = pytest.mark.slow


@pytest.fixture
def read_only(project: Project) -> Iterator[Project]:
    """A finished project that nobody may change."""
    (project.results / JOBS).touch()
    mounts = [["--bind", project.folder, project.folder], ["-o", "remount,ro,bind", project.folder]]
    if any(subprocess.run(["mount", *words], capture_output=True, check=False).returncode for words in mounts):
        pytest.skip("mounting a folder needs the administrator")
    yield project
    subprocess.run(["umount", "--lazy", project.folder], check=True)


@slow
def test_prune_only_looks(read_only):
    done = read_only.sat("prune")
    assert done.returncode == 0 and "all files are needed" in done.stdout, done.stderr


@slow
@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("prune --remove", "results/tiny/.run.lock"),
        ("run config.yaml --dry-run", ".snakemake/studies"),
        ("export --out tiny.sat.zip", "."),
        ("restore", "results/tiny/.run.lock"),
        ("figure all", "figures"),
    ],
)
def test_commands_that_write_name_the_place_in_one_line(read_only, words, path):
    done = read_only.sat(*words.split())
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert lines[-1].startswith(f"Error: {path}") and "cannot be written (Read-only file system)" in lines[-1], lines


@slow
def test_snakemake_names_the_place_in_one_line(read_only):
    done = read_only.snakemake()
    assert done.returncode and "Traceback" not in done.stderr
    assert "results/tiny/.run.lock: cannot be written (Read-only file system)" in unwrapped(done.stderr)
