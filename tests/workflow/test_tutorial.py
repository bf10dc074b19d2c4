"""The tutorial, every command of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from projects import ROOT, Project

pytestmark = pytest.mark.slow


def blocks() -> list[tuple[str, str]]:
    """Language and text of every block of code, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", (ROOT / "docs/tutorial.md").read_text(), re.MULTILINE | re.DOTALL)


def test_from_a_folder_and_two_checkpoints_to_a_report(tmp_path: Path) -> None:
    project = Project.new(tmp_path / "clone")
    (project.folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    found = blocks()
    assert [language for language, _ in found].count("sh") >= 5
    # The first installs what runs this test already.
    assert found[0][1].startswith("make install ")
    setup = found[0][1].splitlines()[-1]
    # Where this environment was made without the project, its command is this.
    command = tmp_path / "bin/sat"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={project.folder}/workflow exec {sys.executable} -m sat "$@"\n')
    command.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    for language, text in found[1:]:
        if language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"{setup}\n{text}"],
                cwd=project.folder,
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, text + done.stdout[-2000:] + done.stderr[-3000:]
        elif language != "text":
            name = re.match(r"# (\S+)\n", text)
            assert name, f"a block of {language} without the file's name"
            # A table has no comments.
            body = text if language == "yaml" else text[name.end() :]
            (project.folder / name[1]).write_text(body)
    results = project.folder / "results/mine"
    matrix = pd.read_csv(results / "similarity/sat.csv", index_col=0)
    assert sorted(matrix.index) == ["my-resnet", "my-vit", "third"]
    assert matrix.loc["my-resnet", "third"] > matrix.loc["my-resnet", "my-vit"]
    assert np.isfinite(matrix).all(axis=None)
    models = pd.read_csv(results / "similarity/models.csv")
    assert (models["accuracy"] > 0.85).all()
    assert "my-resnet  third" in project.sat("summary", "--study", "studies/mine.yaml").stdout
    assert (project.folder / "figures/mine/clustermap.pdf").read_bytes().startswith(b"%PDF")
    assert (project.folder / "mine.html").stat().st_size > 10**5
