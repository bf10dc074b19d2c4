"""A study that starts from a matrix: no images, no GPU, in seconds."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from projects import Project

pytestmark = pytest.mark.slow
NAMES = [f"net{number:02d}" for number in range(14)]


def write_matrix(folder, change=None) -> None:
    """Two families by stem, with noise; and a table of three components, one of which decides."""
    random = np.random.default_rng(0)
    stem = np.array(["7s2", "16s16"])[np.arange(14) % 2]
    square = 2 + 0.8 * (stem[:, None] == stem) + 0.1 * random.standard_normal((14, 14))
    square = (square + square.T) / 2
    np.fill_diagonal(square, 4.6)
    matrix = pd.DataFrame(square, NAMES, NAMES)
    if change:
        matrix = change(matrix)
    matrix.to_csv(folder / "matrix.csv")
    table = pd.DataFrame(
        {"Stem": stem, "Colour": random.choice(["red", "blue"], 14), "Constant": "same"}, index=NAMES
    ).rename_axis("Model name")
    table.to_csv(folder / "table.csv")


CONFIG = {
    "study": "tiny",
    "matrix": "matrix.csv",
    "components": "table.csv",
    "groups": ["Stem"],
    "clusters": {"k": 2},
    "importance": {"permutations": 19},
}


@pytest.fixture
def published(tmp_path) -> Project:
    project = Project.new(tmp_path / "p", CONFIG)
    write_matrix(project.folder)
    return project


def test_from_a_matrix_to_answers(published: Project) -> None:
    assert "attack" not in published.planned()
    published.run()
    analysis = published.results / "analysis"
    clusters = pd.read_csv(analysis / "clusters.csv").set_index("model")["cluster"]
    assert clusters[NAMES[::2]].nunique() == clusters[NAMES[1::2]].nunique() == 1 and clusters.nunique() == 2
    ranked = pd.read_csv(analysis / "components.csv")
    for of in ("sat", "affinity"):
        first = ranked[ranked["of"] == of].iloc[0]
        assert first["component"] == "Stem" and first["p"] == 0.05 and first["p_adjusted"] <= 0.1
    assert ranked.set_index(["of", "component"]).loc[("sat", "Constant"), "note"].startswith("constant")
    differences = pd.read_csv(analysis / "components_differences.csv").set_index(["of", "component"])["difference"]
    difference = differences["sat"]
    matrix = pd.read_csv(published.folder / "matrix.csv", index_col=0).to_numpy()
    first, second = np.triu_indices(14, 1)
    same = first % 2 == second % 2
    pairs = matrix[first, second]
    assert difference["Stem"] == pytest.approx(pairs[same].mean() - pairs[~same].mean())
    assert differences["affinity"]["Stem"] > 0 and set(pd.read_csv(analysis / "components_r2.csv")["of"]) == {
        "sat",
        "affinity",
    }
    # A component and a grouping of the same column are one contrast.
    by_component = pd.read_csv(analysis / "components_contrasts.csv").set_index("component").loc["Stem"]
    by_group = pd.read_csv(analysis / "groups_overall.csv").set_index("column").loc["Stem"]
    assert by_component["half_contrast"] == pytest.approx(by_group["half_contrast"]) and by_group["p"] <= 0.01
    groups = pd.read_csv(analysis / "groups.csv").set_index(["kind", "group"])["mean"]
    assert groups["all"].iloc[0] == pytest.approx(pairs.mean())
    assert {path.stem for path in (published.results / "figures").glob("*.svg")} >= {
        "clustermap",
        "tsne",
        "components",
        "groups",
    }
    assert published.sat("verify", "--full").returncode == 0
    assert published.planned() == {}
    summary = published.sat("summary")
    assert summary.returncode == 0, summary.stderr
    assert "Study tiny: 14 models." in summary.stdout and "no intervals available" in summary.stdout
    best = pairs.argmax()
    assert f"  {NAMES[first[best]]}  {NAMES[second[best]]}  {pairs[best]:.2f}\n" in summary.stdout
    for of in ("SAT", "affinity"):
        head = f"Clusters of {of} (k = 2, as configured; firm: start agreement 1.00)"
        told = summary.stdout[summary.stdout.index(head) :]
        members = re.findall(r"^  [12]: (.*)$", told, re.MULTILINE)[:2]
        assert sorted(text.split(", ") for text in members) == [NAMES[::2], NAMES[1::2]]
    assert "pair table" not in summary.stdout and "Be careful" not in summary.stdout
    # The same matrix elsewhere is the same matrix; another one is not.
    (published.folder / "matrix.csv").rename(published.folder / "moved.csv")
    published.configure(matrix="moved.csv")
    assert set(published.planned()) <= {"study", "atlas", "crate"}
    write_matrix(published.folder, lambda matrix: matrix.mul(1.01))
    published.configure(matrix="matrix.csv")
    published.configure(seed=1)
    assert "components" in published.planned()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda matrix: matrix.assign(net03=matrix["net03"] + 0.01), "symmetr"),
        (lambda matrix: matrix.where(~np.outer(np.arange(14) == 3, np.arange(14) == 5)), "net03"),
        (lambda matrix: matrix.rename(index={"net01": "other"}), "net01"),
    ],
    ids=["asymmetric", "hole", "names"],
)
def test_what_is_no_matrix_is_said_with_its_cells(published: Project, change, message) -> None:
    write_matrix(published.folder, change)
    done = published.snakemake()
    assert done.returncode != 0
    log = (published.results / "logs/similarity/matrix.log").read_text()
    assert "is not a SAT matrix" in log and message in log and "Traceback" not in log


def test_a_model_without_components_is_named_before_any_job(published: Project) -> None:
    table = published.folder / "table.csv"
    table.write_text("\n".join(line for line in table.read_text().splitlines() if "net07" not in line))
    done = published.snakemake("--dry-run")
    assert done.returncode != 0
    assert "has no row for 1 of the 14 models" in done.stdout + done.stderr and "net07" in done.stdout + done.stderr
