"""A study from somebody else, whose names and texts try to run something."""

from __future__ import annotations

import csv
import html
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from browser import dump
from projects import Project
from sat.store.tables import read_table

pytestmark = pytest.mark.slow
RUN = "document.title='stolen'"
FAMILIES = (
    f'</script><script>{RUN}</script><img src=x onerror="{RUN}">',
    "=cmd|' /C calc'!A0",
    "{x} %s \\n $\\frac{1}{$ {model, .*}",
    "_hidden ]]> <!-- &lt;b&gt;",
)
COLUMN = f"=Fam<svg onload={RUN}>"
FAMILY = np.array(FAMILIES)[np.arange(12) % 4]
OTHERS = ["_p", "-0.3", "@SUM(A1)"] * 4
NAMES = [f"net {number}/$\\frac$ &amp; '\" x" for number in range(12)]
VISIT = """
<script>
const seen = [], stops = [];
for (const [category, parts] of Object.entries(categories))
  for (const [subcategory, paths] of Object.entries(parts))
    for (const resultPath of paths) stops.push({category, subcategory, resultPath});
function visit(place) {
  const [stop, result] = [stops[place], results[stops[place].resultPath]];
  const content = result.mime_type.startsWith("image") ? "img" : "rulegraph";
  app.setView({navbarMode: "resultinfo", content, contentPath: result.data_uri, ...stop});
  setTimeout(() => {
    // The step of each job is there too, but not displayed.
    const app = document.querySelector("#app");
    seen.push(app.innerText, app.textContent);
    if (place + 1 < stops.length) return visit(place + 1);
    const text = document.createElement("pre");
    text.id = "seen";
    text.textContent = seen.join("\\n");
    document.body.appendChild(text);
  }, 20);
}
setTimeout(() => visit(0), 100);
</script>
"""
"""Opens every result of Snakemake's report, as a reader would, and keeps the text that is shown."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study whose names, texts and files' names are hostile, run to its report."""
    matrix = "m {x} $(touch stolen) '<script>.csv"
    config = {"study": "tiny", "matrix": matrix, "reference": matrix, "components": "table.csv"}
    config |= {"groups": [COLUMN, "_x{y}"], "clusters": {"k": 2}, "importance": {"permutations": 19}}
    project = Project.new(tmp_path_factory.mktemp("hostile") / "p", config)
    random = np.random.default_rng(0)
    square = 2 + 0.8 * (FAMILY[:, None] == FAMILY) + 0.1 * random.standard_normal((12, 12))
    square = (square + square.T) / 2
    np.fill_diagonal(square, 4.6)
    pd.DataFrame(square, NAMES, NAMES).to_csv(project.folder / matrix)
    pd.DataFrame({COLUMN: FAMILY, "_x{y}": OTHERS}, NAMES).to_csv(project.folder / "table.csv")
    targets = ("study", "figures", "groups", "reference")
    project.run(*targets)
    project.run("--report", "report.html", *targets)
    return project


def test_no_script_of_the_study_runs_in_the_report(hostile: Project, tmp_path: Path):
    page = tmp_path / "report.html"
    start, end, rest = (hostile.folder / "report.html").read_text().rpartition("</body>")
    page.write_text(start + VISIT + end + rest)
    dom = dump(page, tmp_path / "profile")
    assert "<title>Snakemake Report</title>" in dom
    assert '<img src="x"' not in dom
    seen = html.unescape(re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)[1])
    for title in ("the SAT matrix", "contrasts of groups"):
        assert title in seen
    # Snakemake shows the step as Python and JSON quote it.
    assert "\\u003c/script\\u003e\\u003cscript\\u003e" + RUN in seen
    assert not (hostile.folder / "stolen").exists()


def test_figures_show_texts_as_texts(hostile: Project):
    shown = ""
    for path in hostile.results.glob("figures/*.svg"):
        for element in ElementTree.parse(path).iter():
            assert not element.tag.endswith(("script", "foreignObject"))
            assert not any(name.rpartition("}")[2].startswith("on") for name in element.attrib)
            shown += f"{element.text}\n"
    for text in (*NAMES, *FAMILIES, *OTHERS, COLUMN):
        assert text in shown, text


def test_tables_run_nothing_in_a_spreadsheet_and_read_back_as_they_were(hostile: Project):
    for path in hostile.results.rglob("*.csv"):
        with path.open(newline="") as stream:
            for cell in (cell for row in csv.reader(stream) for cell in row):
                assert not cell.startswith(("=", "@", "+")), path
    groups = read_table(hostile.results / "analysis/groups.csv")
    assert set(groups["column"]) == {COLUMN, "_x{y}"}
    assert set(groups["group"].dropna()) == {*FAMILIES, *OTHERS}


def test_the_step_that_jobs_record_holds_the_texts_as_they_were(hostile: Project):
    recorded = json.loads((hostile.results / "study.json").read_text())["params"]
    assert {row["family"] for row in recorded["models"]} == set(FAMILIES)
    assert recorded["config"]["matrix"].startswith("m {x}")
    assert hostile.planned("study", "figures", "groups", "reference") == {}
