"""An analysis that one new file adds (and one caption): run, shown, planned, watched and verified like ours."""

from __future__ import annotations

import json
import re
import zipfile

import pandas as pd
import pytest

from projects import Project

pytestmark = pytest.mark.slow

ANALYSIS = '''
"""How far SAT spreads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sat.logs import log
from sat.study.section import Section
from sat.units.analysis import Analysis, Answer, Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat.stages.given import Given


class Spread(Section):
    """The spread of SAT."""

    quantile: Annotated[float, Field(gt=0, lt=0.5)] = 0.25
    """Share of the pairs that is left out at either end."""


class Settings(Section):
    """Keys of the config file."""

    spread: Spread = Spread()


UNIT = Analysis(
    inputs={"sat": "similarity/sat.csv", "clean": "clean/{model}.h5", "clusters": "analysis/clusters.csv"},
    tables={"spread": Shown("Similarity", "how far SAT spreads"), "spread_models": None},
    figures={"spread": Shown("Similarity", "how far SAT spreads")},
    settings=Settings,
    params=lambda plan: {"quantile": plan.config.spread.quantile},
    mem_mb=700,
    minutes=7,
)


def run(given: Given, *, quantile: float) -> Answer:
    """Take two quantiles."""
    import numpy as np
    import pandas as pd

    sat = given["sat"].to_numpy(float)
    low, high = np.quantile(sat[np.triu_indices(len(sat), 1)], [quantile, 1 - quantile])
    log.info("spread: %.3f", high - low)
    table = pd.DataFrame({"quantile": [quantile], "spread": [high - low]})
    models = pd.DataFrame(
        [(name, len(file["attack_prediction"])) for name, file in given["clean"].items()],
        columns=["model", "n_images"],
    )
    models["accuracy"] = [facts["accuracy"] for facts in given.facts("clean").values()]
    return Answer({"spread": table, "spread_models": models}, {"spread": high - low})


def draw(given: Given, answer: Answer, *, quantile: float) -> dict[str, Figure]:
    """Draw it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot(answer.tables["spread"]["spread"])
    return {"spread": figure}
'''


def test_an_analysis_is_one_file_and_a_caption(project: Project):
    (project.folder / "workflow/sat/analyses/spread.py").write_text(ANALYSIS)
    (project.folder / "workflow/report/spread.rst").write_text("Half of the pairs lie no farther apart than this.\n")
    results = project.results

    # The study's effective settings hold its key, so that is written again. Else the analysis and the page run alone.
    shown = {"atlas": ["report/atlas.html"], "crate": ["provenance/ro-crate-metadata.json"]}
    assert project.planned() == {"spread": ["analysis/spread.csv"], "study": ["study.json"], **shown}
    plan = project.sat("plan").stdout
    assert re.search(r"^spread +1 +0 +1 ", plan, re.MULTILINE), plan
    project.run()
    assert project.planned() == {}

    # What it was given is what lies there.
    sat = pd.read_csv(results / "similarity/sat.csv", index_col=0)
    pairs = [sat.iloc[a, b] for a in range(len(sat)) for b in range(a + 1, len(sat))]
    found = pd.read_csv(results / "analysis/spread.csv")
    assert found["spread"][0] == pytest.approx(pd.Series(pairs).quantile(0.75) - pd.Series(pairs).quantile(0.25))
    models = pd.read_csv(results / "analysis/spread_models.csv", index_col="model")
    assert list(models.index) == list(sat.index) and set(models["n_images"]) == {48}
    assert (results / "figures/spread.svg").read_text().startswith("<?xml")
    sidecar = json.loads((results / "analysis/spread_models.csv.json").read_text())
    assert sidecar["stage"] == "spread" and set(sidecar["inputs"]) == {"sat", "clean", "clusters"}
    assert "spread: " in (results / "logs/analysis/spread.log").read_text()

    # Watched and verified like the others.
    assert re.search(r"^spread +1 +1 ", project.sat("status").stdout, re.MULTILINE)
    assert project.sat("verify").returncode == 0
    again = project.sat("rerun", "results/tiny/analysis/spread.csv")
    assert again.returncode == 0 and again.stdout.count("the same") == 3, again.stdout + again.stderr

    # In the report, with its caption; the table without a place is not.
    project.run("--report", "report.zip")
    with zipfile.ZipFile(project.folder / "report.zip") as archive:
        page = "".join(archive.read(name).decode() for name in archive.namelist() if name.endswith((".html", ".js")))
    assert "how far SAT spreads" in page and "Half of the pairs lie no farther apart" in page

    # Its settings are settings of the study: checked, in the schema, and a change runs it again and nothing else.
    assert '"quantile"' in project.sat("schema").stdout
    wrong = project.sat("plan", "--config", "spread={quantile: 0.7}")
    assert wrong.returncode == 1 and "spread.quantile" in wrong.stderr
    assert project.planned("--config", "spread={quantile: 0.1}") == {
        "spread": ["analysis/spread.csv"],
        "study": ["study.json"],
        **shown,
    }


def test_an_analysis_that_returns_what_it_does_not_declare_says_so(project: Project):
    text = ANALYSIS.replace('tables={"spread": Shown("Similarity", "how far SAT spreads"), ', "tables={")
    (project.folder / "workflow/sat/analyses/spread.py").write_text(text)
    (project.folder / "workflow/report/spread.rst").write_text("Half of the pairs lie no farther apart than this.\n")
    done = project.snakemake()
    assert done.returncode != 0
    log = (project.results / "logs/analysis/spread.log").read_text()
    said = "its function 'run' returns spread, spread_models, but its declaration names spread_models"
    assert said in log and "Traceback" not in log
