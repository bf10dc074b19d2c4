"""The walk-through of docs/own-models.md, every command of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import forks
from projects import ROOT, SNAKEMAKE

pytestmark = pytest.mark.slow


def blocks() -> list[tuple[str, str]]:
    """Language and text of every block of the walk-through, in order."""
    page = (ROOT / "docs/own-models.md").read_text().partition("\n## The function\n")[0]
    return re.findall(r"^```(sh|python|yaml|csv)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_one_net_from_nothing_to_the_report(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CLONE": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "workflow"),
    }
    (_, setup), *rest = blocks()
    subprocess.run(["bash", "-euc", setup], cwd=tmp_path, env=environment, check=True)
    folder = tmp_path / "mine"
    said = {}
    for language, text in rest:
        if language != "sh":
            name = re.match(r"# (\S+)\n", text)
            assert name, text
            (folder / name[1]).write_text(text[name.end() :])
            continue
        for line in text.replace('"$CLONE/Snakefile"', str(ROOT / "Snakefile")).splitlines():
            program, *words = line.partition(" #")[0].split()
            if program == "snakemake":
                done = forks.snakemake(folder, tuple(words), environment)
            elif program == "sat":
                done = forks.sat(folder, tuple(words), environment, "")
            else:
                done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True)
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
            said[line.split(" study")[0]] = done.stdout
    matrix = pd.read_csv(folder / "results/mine/similarity/sat.csv", index_col=0)
    assert sorted(matrix.index) == ["my-tiny", "resnet", "vit"] and matrix.notna().all(axis=None)
    models = pd.read_csv(folder / "results/mine/similarity/models.csv", index_col=0)
    assert (models["accuracy"] > 0.8).all()
    assert "No problem was found" in said["sat check"] and "my-tiny" in said["sat summary"]
    assert (folder / "mine.html").stat().st_size > 10**5
