"""A study that is killed at random moments makes what an undisturbed one makes. Many kills: tests/kills.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import ROWS, TINY
from kills import disturb
from projects import Project

pytestmark = pytest.mark.slow


def test_a_study_that_is_killed_makes_the_same_and_nothing_twice(finished: Project, tmp_path: Path) -> None:
    project = Project.new(tmp_path / "killed", TINY, ROWS)
    account = disturb(project, finished, kills=6, seed=6)
    assert not account.faults, str(account)
    assert sum(account.kills.values()) == 6 and account.ends and account.compared > 40 and account.kept
