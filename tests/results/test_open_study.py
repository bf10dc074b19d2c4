"""The Python interface, beside the same files read by hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import h5py
import hdf5plugin  # noqa: F401 - images are packed with it
import numpy as np
import pandas as pd
import pytest

import sat as library
from conftest import ROOT
from sat.errors import SatError

MODELS = ["byobnet", "resnet", "vit"]


@pytest.fixture
def results(finished):
    return library.open_study(finished.results)


def by_hand(finished, name):
    with h5py.File(finished.results / name, "r") as file:
        return {key: data[:] for key, data in file.items()}


def test_matrices_and_tables_are_those_of_the_files(finished, results):
    for found, name in ((results.matrix, "sat.csv"), (results.affinity, "affinity.csv")):
        pd.testing.assert_frame_equal(
            found, pd.read_csv(finished.results / "similarity" / name, index_col=0), check_names=False
        )
    pd.testing.assert_frame_equal(results.pairs, pd.read_parquet(finished.results / "similarity/pairs.parquet"))
    for found, name in (
        (results.models, "similarity/models.csv"),
        (results.most_similar, "similarity/most_similar.csv"),
        (results.clusters, "analysis/clusters.csv"),
        (results.tables["groups"], "analysis/groups.csv"),
    ):
        by_pandas = pd.read_csv(finished.results / name)
        assert list(found) == list(by_pandas) and len(found) == len(by_pandas)
        pd.testing.assert_frame_equal(found, by_pandas, check_dtype=False)


def test_all_tables_that_are_there_are_listed_and_can_be_read(finished, results):
    assert set(results.tables) == {path.stem for path in finished.results.glob("analysis/*.csv")}
    assert len(results.tables) == len(dict(results.tables)) > 20
    assert "groups" in results.tables and "components" not in results.tables


def test_a_table_that_is_not_there_says_why_and_what_is(project, sat):
    results = library.open_study(project.results)
    with pytest.raises(SatError, match=r"no analysis makes a table 'group'; did you mean groups\?"):
        results.tables["group"]
    with pytest.raises(KeyError, match=r"'components' makes: the study's config file does not ask for .*groups"):
        results.tables["components"]
    (project.results / "analysis/groups.csv").unlink()
    with pytest.raises(SatError, match=r"has not been run to its end. Run snakemake"):
        results.tables["groups"]
    assert results.tables.get("groups") is None


def test_predictions_are_those_of_all_tiles(finished, results):
    found = results.predictions
    images = by_hand(finished, "images/attack.h5")
    assert found.dims == ("target", "source", "image")
    assert found["target"].to_numpy().tolist() == found["source"].to_numpy().tolist() == MODELS
    assert (found["image"].to_numpy() == images["id"]).all() and (found["label"].to_numpy() == images["label"]).all()
    tiles = sorted(finished.results.glob("tiles/*/*.h5"))
    assert len(tiles) == 4
    seen = 0
    for path in tiles:
        tile = by_hand(finished, path.relative_to(finished.results))
        for row, target in enumerate(tile["target"].astype(str)):
            for column, source in enumerate(tile["source"].astype(str)):
                assert (found.sel(target=target, source=source).to_numpy() == tile["prediction"][row, column]).all()
                seen += 1
    assert seen == 9
    whole = found.to_numpy()
    assert whole.shape == (3, 3, 48) and whole.dtype == np.int16
    right = np.stack([by_hand(finished, f"clean/{name}.h5")["attack_prediction"] == images["label"] for name in MODELS])
    assert ((whole == -1) == ~right).all(), "-1 where the source did not attack, whoever the target is"


@pytest.mark.parametrize(
    "pick",
    [
        (slice(None), 1, slice(5, 30, 3)),
        ([2, 0], [1], [40, 3, 3]),
        (0, 2, 7),
        (slice(None, None, -1), slice(0, 0), slice(None)),
        ([1, 1], slice(None), -1),
    ],
)
def test_any_selection_is_that_of_the_whole_array(results, pick):
    whole = results.predictions.to_numpy()
    wanted = [np.atleast_1d(np.arange(size)[part]) for size, part in zip(whole.shape, pick, strict=True)]
    axes = tuple(0 if isinstance(part, int) else slice(None) for part in pick)
    assert (results.predictions[pick].to_numpy() == whole[np.ix_(*wanted)][axes]).all()


def test_only_the_tiles_that_a_selection_touches_are_read(project):
    results = library.open_study(project.results)
    (kept,) = project.results.glob("tiles/c1-000/c1-001.h5")
    for path in project.results.glob("tiles/*/*.h5"):
        if path != kept:
            path.unlink()
    predictions = results.predictions
    assert predictions.shape == (3, 3, 48) and "prediction" in repr(predictions)
    assert (predictions.sel(target=["byobnet", "resnet"], source="vit") != -2).all()
    with pytest.raises(SatError, match=r"tiles/c1-000/c1-000.h5: is not there"):
        predictions.sel(target="byobnet", source="resnet").load()


def test_clean_predictions_and_images_are_those_of_the_files(finished, results):
    images = by_hand(finished, "images/attack.h5")
    for name in MODELS:
        found = results.clean.sel(model=name)
        assert (found.to_numpy() == by_hand(finished, f"clean/{name}.h5")["attack_prediction"]).all()
    assert (results.labels == images["label"]).all()
    found = results.images("attack")
    assert found.image.dtype == np.uint8 and (found.image == images["image"]).all()
    assert (found.label == images["label"]).all() and (found.id == images["id"]).all()
    assert found.name.tolist() == [name.decode() for name in images["name"]]
    assert results.classes == tuple("0123456789") and found.class_name(3) == "3"
    some = results.images("train", rows=slice(10, 20, 5))
    assert (some.image == by_hand(finished, "images/train.h5")["image"][[10, 15]]).all() and some.row.tolist() == [
        10,
        15,
    ]


def test_adversarial_images_are_clean_ones_plus_the_perturbation(finished, results):
    images, stored = by_hand(finished, "images/attack.h5"), by_hand(finished, "adversarial/vit.h5")
    found = results.adversarial("vit")
    expected = images["image"].astype(int) + stored["perturbation"]
    assert found.image.dtype == np.uint8 and (found.image == expected[stored["attacked"]]).all()
    assert (found.clean == images["image"][stored["attacked"]]).all()
    assert (found.id == images["id"][stored["attacked"]]).all() and found.source == "vit"
    assert 0 < abs(found.perturbation.astype(int)).max() <= 24


def test_a_study_file_finds_its_results_from_anywhere(finished, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = library.open_study(finished.folder / "config.yaml")
    assert found.path.samefile(finished.results)
    assert found.matrix.shape == (3, 3)
    with pytest.raises(SatError, match=r"is neither a folder of results .* nor a study's config file"):
        library.open_study("nowhere")
    with pytest.raises(SatError, match=r"holds no study.json"):
        library.open_study(tmp_path)


def test_results_that_the_study_file_does_not_ask_for_any_more_are_refused(project):
    project.configure(eps_s=0.02)
    with pytest.raises(SatError, match="was made by another step than this study asks for"):
        _ = library.open_study(project.folder / "config.yaml").matrix
    assert library.open_study(project.results).matrix.shape == (3, 3), "the folder itself is consistent"
    changed = library.open_study(project.folder / "config.yaml", config={"eps_s": 0.01})
    assert changed.matrix.shape == (3, 3)


def test_results_may_have_moved(finished, tmp_path):
    shutil.copytree(finished.results, tmp_path / "moved")
    results = library.open_study(tmp_path / "moved")
    assert results.matrix.shape == (3, 3)
    assert len(results.provenance("similarity/sat.csv").weights) == 3


def test_bytes_that_no_sidecar_vouches_for_are_refused(project):
    results = library.open_study(project.results)
    path = project.results / "similarity/sat.csv"
    path.write_text(path.read_text().replace("4", "5", 1))
    with pytest.raises(SatError, match=r"its content is not what its sidecar sat\.csv\.json says"):
        _ = results.matrix
    # An analysis of the matrix that lay there before is stale as soon as another one lies there.
    sidecar = project.results / "similarity/sat.csv.json"
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**record, "facts": {}}))
    with pytest.raises(SatError, match="the sidecar has been edited"):
        _ = results.matrix


def test_a_result_of_other_inputs_than_those_that_lie_there_is_refused(project):
    from sat.store.artefact import SEAL, write_sidecar

    results = library.open_study(project.results)
    assert len(results.tables["groups"])
    sidecar = project.results / "similarity/sat.csv.json"
    record = {key: value for key, value in json.loads(sidecar.read_text()).items() if key != SEAL}
    write_sidecar(sidecar, {**record, "sha256": "0" * 64})
    with pytest.raises(
        SatError, match=r"groups.csv: was made from another similarity/sat.csv than the one that is there"
    ):
        _ = results.tables["groups"]


def test_a_tile_of_other_content_is_refused(project):
    with h5py.File(project.results / "tiles/c1-000/c1-000.h5", "r+") as file:
        file.attrs["content_sha256"] = "0" * 64
    with pytest.raises(SatError, match="its content is not what its sidecar"):
        library.open_study(project.results).predictions.sel(target="byobnet", source="byobnet").load()


def test_provenance_leads_down_to_images_weights_and_code(finished, results):
    found = results.provenance("similarity/sat.csv")
    recorded = json.loads((finished.results / "similarity/sat.csv.json").read_text())
    assert found.sha256 == recorded["sha256"] and found.stage == "similarity" and found.params == recorded["params"]
    assert {each.name for each in found.weights} == {f"weights/{name}.safetensors" for name in MODELS}
    assert {each.name for each in found.images} == {f"images/{split}.h5" for split in ("attack", "eval", "train")}
    assert found.changed == () and found.code == {}
    assert found.commits in ((), (recorded["git"]["commit"],))
    tile = next(each for each in found.inputs if each.stage == "evaluate")
    assert {each.stage for each in tile.inputs} == {"images", "train", "attack"}
    assert results.provenance(finished.results / "clean/vit.gate.json").facts["passed"]
    with pytest.raises(SatError, match="is not there"):
        results.provenance("similarity/sta.csv")


def test_representations_are_short(results):
    for shown in (results, results.tables, results.pair("vit", "resnet"), results.provenance("similarity/sat.csv")):
        assert len(repr(shown).splitlines()) < 12 and "<table>" in shown._repr_html_()


def test_tables_need_neither_torch_nor_snakemake(finished):
    heavy = ("torch", "timm", "snakemake", "matplotlib", "xarray", "h5py", "scipy", "sklearn")
    code = (
        f"import sat, sys\nr = sat.open_study({str(finished.results)!r})\n"
        "r.matrix, r.affinity, r.pairs, r.models, r.clusters, r.tables['groups'], repr(r), r.provenance('study.json')\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "r.predictions.sel(target='vit', source='resnet').to_numpy(), r.images(), r.adversarial('vit')\n"
        "r.pair('vit', 'resnet').examples()\n"
        "print([name for name in ('torch', 'timm', 'snakemake', 'matplotlib') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]
    with pytest.raises(AttributeError, match="no attribute 'open_studies'"):
        _ = library.open_studies


def test_the_results_beside_a_config_file_are_found_past_what_a_dry_run_left(finished, tmp_path, monkeypatch):
    # Earlier versions left this where a dry run was called.
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/registered.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert len(library.open_study(finished.folder / "config.yaml").matrix) == len(MODELS)


@pytest.mark.slow
def test_a_study_is_compared_with_the_path_of_another_as_with_the_study(finished, results):
    by_path = results.compare(finished.results, draws=9)
    opened = results.compare(library.open_study(finished.results), draws=9)
    assert by_path.models == opened.models and by_path.n_images == opened.n_images > 0
    pd.testing.assert_frame_equal(by_path.sat.pairs, opened.sat.pairs)
    with pytest.raises(SatError, match="nowhere: is neither a folder of results"):
        results.compare("nowhere")
