"""The default study from images to report, and whether its matrix means anything."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from browser import browsing, dump
from projects import ROOT, Project, locked_copy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The default study, run to its report; one for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make(folder: Path) -> None:
        project = Project.new(folder)
        project.run()
        project.run("--report", "results/digits/report/report.html")

    project = Project(locked_copy(shared / "demo", make))
    project.results = project.folder / "results/digits"
    return project


@pytest.fixture(scope="session")
def matrix(demo: Project) -> pd.DataFrame:
    return pd.read_csv(demo.results / "similarity/sat.csv", index_col=0)


@pytest.fixture(scope="session")
def models(demo: Project) -> pd.DataFrame:
    return pd.read_csv(demo.results / "similarity/models.csv").set_index("model")


def test_every_model_is_accurate_and_its_attack_succeeds(models: pd.DataFrame):
    assert len(models) == 12 and models["family"].nunique() >= 5
    assert models["accuracy"].min() >= 0.95
    assert models["whitebox"].min() >= 0.9 and not models["low_whitebox"].any()


def test_models_of_a_family_are_more_alike(matrix: pd.DataFrame, models: pd.DataFrame):
    sat = matrix.to_numpy()
    upper = np.triu_indices(len(sat), 1)
    family = models["family"].loc[matrix.index].to_numpy()

    def gap(family: np.ndarray) -> float:
        same = (family[:, None] == family)[upper]
        return sat[upper][same].mean() - sat[upper][~same].mean()

    random = np.random.default_rng(0)
    null = [gap(random.permutation(family)) for _ in range(9999)]
    p = (1 + np.sum(np.array(null) >= gap(family))) / 10000
    assert gap(family) > 0 and p < 0.05


def test_the_diagonal_is_the_largest_of_its_row(matrix: pd.DataFrame, models: pd.DataFrame):
    for name in models.index[~models["low_whitebox"]]:
        assert matrix.loc[name].idxmax() == name
    # A model whose attack always succeeds has ln 100 there.
    sure = models.index[models["whitebox"] == 1]
    assert np.allclose([matrix.loc[name, name] for name in sure], np.log(100))


def test_sat_from_the_files_by_the_formula_alone(demo: Project, matrix: pd.DataFrame):
    """From HDF5 to one entry, without any code of the library."""
    import h5py

    with h5py.File(demo.results / "images/attack.h5") as file:
        label = file["label"][:]
    prediction = {}
    for tile in demo.results.glob("tiles/*/*.h5"):
        with h5py.File(tile) as file:
            for i, target in enumerate(file["target"].asstr()[:]):
                for j, source in enumerate(file["source"].asstr()[:]):
                    prediction[source, target] = file["prediction"][i, j]
    for a, b in [("vit", "vit2"), ("resnet", "coatnet"), ("nfnet", "nfnet")]:
        clean = {}
        for model in (a, b):
            with h5py.File(demo.results / f"clean/{model}.h5") as file:
                clean[model] = file["attack_prediction"][:] == label
        both = clean[a] & clean[b]
        errors = (prediction[a, b] != label)[both].sum() + (prediction[b, a] != label)[both].sum()
        assert matrix.loc[a, b] == pytest.approx(np.log(max(0.01, 100 * errors / (2 * both.sum()))))
        assert (prediction[a, b][both] >= 0).all(), "every image of X_AB was attacked"


def test_nothing_to_do_and_nothing_stale(demo: Project):
    assert demo.planned() == {}
    done = demo.sat("verify", "--full")
    assert done.returncode == 0, done.stdout


def test_the_summary_says_what_was_found_and_how_sure(demo: Project, matrix: pd.DataFrame):
    text = demo.sat("summary").stdout
    for name in ("similarity/sat.csv", "figures", "report/report.html"):
        assert f"results/digits/{name}" in text
    pairs = re.findall(r"^  (\w+) +(\w+) +(-?\d\.\d\d)  \[(-?\d\.\d\d), (-?\d\.\d\d)\]", text, re.MULTILINE)
    assert len(pairs) == 5
    upper = matrix.where(np.triu(np.ones(matrix.shape, bool), 1)).stack().sort_values(ascending=False)
    assert [(a, b) for a, b, *_ in pairs] == list(upper.index[:5])
    assert all(float(low) <= float(sat) <= float(high) for _, _, sat, low, high in pairs)
    for of in ("SAT", "affinity"):
        part = text.partition(f"Clusters of {of} (k = 4, as configured; ")[2].partition("\n\n")[0]
        clusters = re.findall(r"^  \d: (.*)$", part, re.MULTILINE)
        names = [name for line in clusters for name in re.findall(r"\w+", line.replace("unsure:", ""))]
        assert sorted(names) == list(matrix.index)
    assert "not firm: start agreement" in text


def test_the_report_opens_in_a_browser_without_a_network(demo: Project, tmp_path: Path):
    report = demo.results / "report/report.html"
    dom = dump(report, tmp_path / "profile")
    menu = re.findall(r">(\d [A-Z][a-z ]+)<", dom)
    assert menu[:4] == ["1 Models", "2 Similarity", "3 Clusters", "4 Stability"] and "8 Same mistakes" in menu
    text = report.read_text()
    for name in ("clustermap.svg", "tsne.svg", "sat.csv", "most_similar.csv", "models.csv", "clusters.csv"):
        assert name in text, name
    assert "Look for light blocks" in text, "captions"
    assert "The finding" in dom and 'href="atlas.html"' in dom and "are each other's most similar models" in dom


def test_the_report_describes_a_result_without_the_step_of_its_job(demo: Project):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browsing(Path(profile)) as tab:
        tab.open(demo.results / "report/report.html", "document.querySelectorAll('li a').length > 5")
        tab.run("[...document.querySelectorAll('li a')].find(one => one.textContent.includes('2 Similarity')).click()")
        tab.wait("document.querySelector('[iconname=information-circle]')")
        tab.run("document.querySelector('[iconname=information-circle]').click()")
        tab.wait("[...document.querySelectorAll('li')].some(one => one.textContent === 'Size')")
        said = tab.run(
            "[...document.querySelectorAll('li')].filter(one => one.offsetHeight).map(one => one.textContent)"
        )
    assert "Snakemake rule" in said and "Description" in said
    assert not any(text == "Job parameters" or text.startswith("step=") for text in said)


def test_the_page_is_made_again_with_the_same_bytes_and_needs_no_network(demo: Project, matrix: pd.DataFrame):
    assert "report/atlas.html: the same" in demo.sat("rerun", "results/digits/report/atlas.html").stdout
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, browsing(Path(profile)) as tab:
        tab.open(demo.results / "report/atlas.html", "document.documentElement.dataset.ready")
        models = json.loads(tab.run("JSON.stringify(JSON.parse(document.getElementById('data').textContent).models)"))
        assert models == list(matrix.index)
        tab.run("location.hash = 'pair=vit&vit2'")
        tab.wait("document.querySelectorAll('.example canvas[data-most]').length > 0")
        said = tab.text("#detail")
        assert f"{matrix.loc['vit', 'vit2']:.2f}" in said and "not recorded" not in said
        tab.screenshot("atlas-demo")
        assert tab.complaints == [] and all(url.startswith("file:") for url in tab.requests)


def test_the_picture_in_the_readme_is_small_and_of_this_study():
    picture = ROOT / "docs/clustermap.svg"
    assert picture.stat().st_size < 300_000
    for model in ("resnet", "vit_relpos", "coatnet"):
        assert model in picture.read_text()


def test_benchmarks_of_every_job_are_kept(demo: Project):
    assert len(list(demo.results.glob("benchmarks/attack/*.tsv"))) == 12
    sidecar = json.loads((demo.results / "adversarial/vit.h5.json").read_text())
    assert sidecar["run"]["device"] == "cpu" and sidecar["facts"]["n_zero_gradient_steps"] >= 0
