"""A study with landmarks: Snakemake measures the pairs with one, and nothing else."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import sat
from conftest import ROWS, TINY
from projects import Project, unwrapped
from sat.errors import SatError
from sat.store.tables import read_matrix, read_table

pytestmark = pytest.mark.slow
NETS = ["byobnet", "convnext", "mambaout", "nfnet", "resnet", "vit", "vit2", "vit3"]
FEW = {
    **TINY,
    "images": {**TINY["images"], "attack_images": 32},
    "training": {**TINY["training"], "epochs": 1},
    "attack": {**TINY["attack"], "steps": 1},
    "tile_size": 4,
}


def row(model: str, **cells: str) -> dict[str, str]:
    net = "test_" + model.rstrip("23")
    return {**ROWS[0], "model": model, "architecture": net, "family": model[:3], "landmark": "", **cells}


def test_a_study_with_landmarks_from_images_to_the_page_and_one_model_more(tmp_path):
    project = Project.new(tmp_path / "project", FEW, [row(model) for model in NETS])
    said = project.sat("landmarks", "6")
    assert said.returncode == 0, said.stderr
    assert "6 landmarks drawn" in said.stdout
    table = pd.read_csv(project.folder / "models.csv").set_index("model")
    landmarks = sorted(table.index[table["landmark"] == 1])
    others = sorted(set(NETS) - set(landmarks))
    assert len(landmarks) == 6
    project.run()
    assert project.planned() == {}
    assert project.sat("verify").returncode == 0
    # Every measured SAT, from the predictions in the tiles alone.
    with h5py.File(project.results / "images/attack.h5") as file:
        labels = file["label"][:]
    right, wrong = {}, {}
    for model in NETS:
        with h5py.File(project.results / f"clean/{model}.h5") as file:
            right[model] = file["attack_prediction"][:] == labels
    for path in (project.results / "tiles").rglob("*.h5"):
        with h5py.File(path) as file:
            targets, sources = file["target"].asstr()[:], file["source"].asstr()[:]
            for i, target in enumerate(targets):
                for j, source in enumerate(sources):
                    if path.stem != path.parent.name or target == source:
                        wrong[source, target] = file["prediction"][i, j] != labels
    measured = {(a, b) for a in NETS for b in NETS if a == b or {a, b} & set(landmarks)}
    assert set(wrong) == measured
    pairs = read_table(project.results / "similarity/pairs.parquet")
    assert set(zip(pairs["source"], pairs["target"], strict=True)) == measured
    matrix = read_matrix(project.results / "similarity/sat.csv")
    for a, b in measured:
        both = right[a] & right[b]
        if both.any():
            rate = 100 * (wrong[a, b][both].mean() + wrong[b, a][both].mean()) / 2
            assert matrix.loc[a, b] == pytest.approx(np.log(max(0.01, rate)))
    estimated = read_table(project.results / "similarity/estimated.csv")
    assert estimated[["model_a", "model_b"]].to_numpy().tolist() == [others]
    assert matrix.loc[others[0], others[1]] == pytest.approx(estimated["sat"][0])
    examples = pd.read_parquet(project.results / "report/examples.parquet")
    assert set(zip(examples["source"], examples["target"], strict=True)) <= measured
    # In Python and on the terminal, an estimate is marked.
    results = sat.open_study(project.results)
    pair = results.pair(*others)
    assert pair.estimated and not results.pair(landmarks[0], others[0]).estimated
    assert pair.sat_interval == pytest.approx((estimated["sat_low"][0], estimated["sat_high"][0]))
    with pytest.raises(SatError, match="neither is a landmark"):
        pair.directions  # noqa: B018
    assert (results.predictions.sel(source=others[0], target=others[1]).to_numpy() == -1).all()
    seen = results.predictions.sel(source=landmarks[0], target=others[0]).to_numpy()
    assert ((seen != labels) == wrong[landmarks[0], others[0]]).all()
    assert "estimated, not measured: 1 of 28 pairs, from 6 landmarks" in unwrapped(project.sat("summary").stdout)
    # The error is that of all left-out pairs, which landmarks.csv holds by model.
    off = read_table(project.results / "similarity/landmarks.csv").query("not landmark")
    error = np.sqrt((off["n_left_out"] * off["error"] ** 2).sum() / off["n_left_out"].sum())
    said = unwrapped(project.sat("plan", "config.yaml", "--sat-error", "9").stdout)
    assert f"with 6, SAT's estimates are off by {error:.2f} (root mean square)" in said
    assert "An error of 9 needs no more landmarks." in said
    handed_on(project, landmarks, tmp_path)
    # A further model is measured against the landmarks alone.
    rows = [{**cells, "landmark": "1" if cells["model"] in landmarks else ""} for cells in map(row, NETS)]
    project.write_table([*rows, row("coatnet", cohort="2")])
    planned = project.planned()
    assert planned["attack"] == ["adversarial/coatnet.h5"]
    assert planned["evaluate"] == [
        *(f"tiles/c2-000/{tile}.h5" for tile in ("c2-000", "l1-000", "l1-001")),
        *(f"tiles/{tile}/c2-000.h5" for tile in ("l1-000", "l1-001")),
    ]
    # The estimates are of the study before it grew, and they still tell more than another study's.
    said = unwrapped(project.sat("plan", "config.yaml", "--sat-error", f"{error / 2:.4f}").stdout)
    assert f"before the study's last change, with 6, SAT's estimates were off by {error:.2f}" in said
    assert "(this study's errors before its last change" in said


def handed_on(project: Project, landmarks: list[str], tmp_path: Path) -> None:
    """Another lab reads the archive of the study, and joins it to landmarks of its own."""
    archive = tmp_path / "tiny.sat.zip"
    assert project.sat("export", "--with", "all", "-o", str(archive)).returncode == 0
    lab = Project.new(tmp_path / "another lab")
    assert lab.sat("import", str(archive)).returncode == 0
    assert lab.planned("--configfile", "studies/tiny/study.yaml") == {}

    names = [f"our_{net}" for net in NETS]
    rows = [{**row(net), "model": name} for net, name in zip(NETS, names, strict=True)]
    ours = Project.new(tmp_path / "joined", {**FEW, "study": "mine"}, rows)
    ours.results = ours.folder / "results/mine"
    ours.run("results/mine/images/attack.h5", "results/mine/images/eval.h5")
    assert ours.sat("landmarks", "6").returncode == 0
    refused = ours.sat("import", str(archive), "--study", "config.yaml")
    assert "images/train.h5: is not there yet" in unwrapped(refused.stderr), (
        "the archive's models would be trained again"
    )
    ours.run("results/mine/images/train.h5")
    ours.write_table(rows)
    refused = ours.sat("import", str(archive), "--study", "config.yaml")
    assert refused.returncode == 1 and "study mine measures every pair" in unwrapped(refused.stderr)
    assert ours.sat("landmarks", "6").returncode == 0
    said = ours.sat("import", str(archive), "--study", "config.yaml")
    assert said.returncode == 0, said.stderr
    table = pd.read_csv(ours.folder / "models.csv").set_index("model")
    assert sorted(table.index[table["landmark"] == 2]) == landmarks
    planned = ours.planned("results/mine/similarity/sat.csv")
    tiles = {tuple(name.removeprefix("results/mine/tiles/")[:-3].split("/")) for name in planned["evaluate"]}
    # Their own pairs have come along; what is new has one of our models on a side.
    assert tiles and not [pair for pair in tiles if {tile[:2] for tile in pair} <= {"c2", "l2"}]
    assert {name[:2] for pair in tiles for name in pair} == {"c1", "l1", "c2", "l2"}
    assert sorted(Path(name).stem for name in planned["attack"]) == sorted(names)
    moved = {path.relative_to(ours.results / "tiles").with_suffix("") for path in ours.results.glob("tiles/*/*.h5")}
    assert {str(path)[:2] for path in moved} == {"c2", "l2"}
    assert len(moved) == len(list(project.results.glob("tiles/*/*.h5")))
    findings = ours.sat("verify", "--full").stdout.splitlines()
    assert not [line for line in findings if line.startswith(("stale", "changed", "downstream"))]
