"""docs/sharing.md, every command of it, on the tiny study."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd
import pytest

import forks
from projects import ROOT, Project, unwrapped

pytestmark = pytest.mark.slow


def blocks() -> list[tuple[str, str]]:
    """Language and text of every block, in order; the page's study is the demo."""
    page = (ROOT / "docs/sharing.md").read_text().replace("digits.sat", "tiny.sat")
    page = page.replace("studies/digits", "studies/tiny").replace("results/digits", "results/tiny")
    page = page.replace("study digits", "study tiny")
    return re.findall(r"^```(sh|text)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def masked(text: str) -> str:
    """The words without numbers: the tiny study has fewer models than the demo."""
    return re.sub(r"\d[\d,.]*", "#", unwrapped(text))


def test_the_page_of_sharing_does_what_it_says(project: Project) -> None:
    folder = project.folder
    environment = {**os.environ, "PYTHONPATH": str(folder / "workflow"), "OMP_NUM_THREADS": "1"}
    before = pd.read_csv(project.results / "similarity/sat.csv", index_col=0)
    said = ""
    for language, text in blocks():
        if language == "text":
            assert masked(text.replace("Study digits", "Study tiny")) in masked(said), said
            continue
        said = ""
        for line in text.splitlines():
            program, *rest = line.split()
            if program == "cd":
                folder = Path(os.path.normpath(folder / rest[0]))
                continue
            if rest[0] == "run":
                # As `sat run` calls it; its own way of doing so is tested elsewhere.
                profile = ("--workflow-profile", str(project.folder / "profiles/default"))
                call = ("-s", str(project.folder / "Snakefile"), *profile, "--configfile", rest[1], *rest[2:])
                done = forks.snakemake(folder, call if "--cores" in call else (*call, "--cores", "1"), environment)
                assert "--dry-run" not in call or "Nothing to be done" in done.stdout + done.stderr
            else:
                done = forks.sat(folder, tuple(rest), environment, "")
            assert done.returncode == 0, line + done.stdout[-3000:] + done.stderr[-3000:]
            said += done.stdout
    after = pd.read_csv(project.folder / "theirs/results/tiny/similarity/sat.csv", index_col=0)
    assert sorted(after.index) == sorted([*before.index, "newcomer"])
    pd.testing.assert_frame_equal(after.loc[before.index, before.columns], before, check_exact=True)
