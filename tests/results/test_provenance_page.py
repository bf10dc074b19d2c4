"""What docs/provenance.md shows, on the tiny study."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from projects import ROOT, Project

pytestmark = pytest.mark.slow
LABEL = re.compile(r"^ {2,3}([A-Za-z][\w-]*(?: \w+)?)  ", re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    """Language and text of every block of code, in order."""
    text = (ROOT / "docs/provenance.md").read_text().replace("results/digits", "results/tiny")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page_says_what_the_page_shows(finished: Project):
    found, compared = blocks(), 0
    for (language, command), (following, shown) in pairwise(found):
        if language != "sh":
            continue
        assert following == "text"
        done = finished.sat(*command.split()[1:])
        assert done.returncode == 0, done.stderr
        labels = LABEL.findall(shown)
        assert set(labels) <= set(LABEL.findall(done.stdout)), command
        # The last line is the same but for numbers.
        last = [re.sub(r"\d+", "1", text.replace("\n", " ")).split()[-5:] for text in (shown, done.stdout)]
        assert labels or last[0] == last[1]
        compared += len(labels)
    assert compared > 10


def test_the_crate_is_read_as_the_page_reads_it(finished: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.folder)
    (code,) = (text for language, text in blocks() if language == "python")
    names: dict[str, object] = {}
    exec(compile(code, "docs/provenance.md", "exec"), names)
    sidecar = json.loads((finished.results / "adversarial/vit.h5.json").read_text())
    assert names["settings"] == sidecar["params"]
    assert names["files"] == ["weights/vit.safetensors", "clean/vit.h5", "images/attack.h5"]
