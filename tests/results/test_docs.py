"""What the pages on Python show runs, on the tiny study."""

from __future__ import annotations

import base64
import doctest
import io
import os

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from conftest import ROOT


def on_tiny(text):
    """The demo's study and its second ViT stand for the tiny study and its other model, and so does a second study."""
    return (
        text.replace("results/digits_5steps", "results/tiny")
        .replace("results/digits", "results/tiny")
        .replace("vit2", "resnet")
    )


def test_every_line_of_the_page_runs(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    examples = doctest.DocTestParser().get_examples(on_tiny((ROOT / "docs/python.md").read_text()))
    assert len(examples) > 15
    names = {}
    for example in examples:
        exec(compile(example.source, "docs/python.md", "single"), names)
    assert names["r"].matrix.shape == (3, 3)
    # It is compared with itself.
    assert names["comparison"].sat.p_any == 1 and names["changed"].empty


@pytest.mark.slow
def test_the_notebook_runs_and_shows_a_picture(finished, monkeypatch):
    # The notebook's kernel finds the library as this process does.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "docs/results.ipynb", 4)
    committed = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in committed} == {"execute_result"}, "no warnings, no paths of a machine"
    for cell in notebook.cells:
        cell["source"] = on_tiny(cell["source"])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(finished.folder)}}).execute()
    found = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    pictures = [output["data"]["image/png"] for output in found if "image/png" in output["data"]]
    assert len(pictures) == 1
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))))
    assert picture.std() > 10, "something is drawn"
    assert any(output["data"].get("text/plain") == "True" for output in found), "the model says what was recorded"
