"""Fixtures that several tests share."""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from browser import Tab, browsing
from projects import ROOT, Project, locked_copy

if TYPE_CHECKING:
    from sat.report.atlas.results import Results

# Two torch threads on two busy cores are several times slower than one; the workers fill the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY = {
    "study": "tiny",
    "models": "models.csv",
    "images": {"source": "digits", "canvas": 32, "crop_pct": 1.0, "train_fraction": 0.6, "attack_images": 48},
    "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.002},
    "attack": {"eps": "24/255", "step": "8/255", "steps": 3},
    "tile_size": 2,
    "clusters": {"k": 2},
    "compute": {"batch_size": 32},
}
ROWS = [
    {
        "model": "resnet",
        "architecture": "test_resnet",
        "weights": "train",
        "family": "conv",
        "cohort": "1",
        "use": "yes",
    },
    {"model": "vit", "architecture": "test_vit", "weights": "train", "family": "vit", "cohort": "1", "use": "yes"},
    {
        "model": "byobnet",
        "architecture": "test_byobnet",
        "weights": "train",
        "family": "conv",
        "cohort": "1",
        "use": "yes",
    },
]
ADDED = {
    "model": "mambaout",
    "architecture": "test_mambaout",
    "weights": "train",
    "family": "conv",
    "cohort": "2",
    "use": "yes",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where there is a GPU, the nets of the paper's study can be tried on it."""
    parser.addoption("--gpu", action="store_true", help="run the nets of the 69-model study on a GPU")


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a config file and its table; keywords replace keys of the tiny study."""

    def write(rows: list[dict[str, str]] | None = None, **changes: object) -> Path:
        rows = ROWS if rows is None else rows
        with (tmp_path / "models.csv").open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0].keys())
            table.writeheader()
            table.writerows(rows)
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**TINY, **changes}))
        return path

    return write


@pytest.fixture
def sat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, called from a folder, without a process of its own."""
    from sat.__main__ import main

    monkeypatch.setattr("gc.disable", lambda: None)

    def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(folder)
        capsys.readouterr()
        try:
            status: Any = main(list(words))
        except SystemExit as end:
            status = end.code
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose tiny study has been run; not to be changed. One for all workers."""
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )

    def make(folder: Path) -> None:
        project = Project.new(folder, TINY, ROWS)
        project.run()

    return Project(locked_copy(shared / "finished", make))


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, with all times kept, to do anything to."""
    return finished.copy(tmp_path / "a project")


READY = "document.documentElement.dataset.ready"
"""Holds once report/atlas.html is drawn."""


@pytest.fixture(scope="module")
def page(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page report/atlas.html of the results that the module has."""
    from sat.report.atlas.page import make_page

    path = tmp_path_factory.mktemp("atlas") / "atlas.html"
    path.write_text(make_page(results), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shared() -> Iterator[Tab]:
    """One browser for all tests of a module."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browsing(Path(folder)) as tab:
        yield tab


@pytest.fixture
def tab(shared: Tab, page: Path) -> Iterator[Tab]:
    """The page, freshly opened; afterwards it has asked for nothing, complained of nothing, and run no text."""
    shared.open(page, READY)
    shared.complaints.clear()
    yield shared
    assert shared.complaints == []
    assert {url.split("#")[0].removeprefix("file://") for url in shared.requests} == {str(page)}
    assert shared.run("document.title") == "made: atlas"
    shared.run("document.documentElement.dataset.ready = ''")


LONGEST = (
    "test_slurm.py",
    "test_demo.py",
    "test_interruptions.py",
    "test_tutorial.py",
    "test_studies.py",
    "test_own_models.py",
    "test_distillation.py",
    "test_variants.py",
    "test_incremental.py",
)
# What their fixtures make takes minutes, and is made by each worker or waited for by all but one.
TOGETHER = ("test_slurm.py", "test_demo.py", "test_studies.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than cores: the one that has the tests on SLURM mostly waits."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no worker ends long before the others."""

    def place(item: pytest.Item) -> tuple[bool, int]:
        rank = LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)
        return item.get_closest_marker("slow") is None, rank

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Some files as a whole for one worker, and all other tests one by one for whoever is free.

    The groups of pytest-xdist 3.8 do nothing with pytest 9.2, whose names of tests do not change.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if Path(file).name in TOGETHER else nodeid

    return Scheduling(config, log) if config.getoption("dist") == "load" else None


__all__ = ["ADDED", "ROOT"]
