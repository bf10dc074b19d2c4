"""The commands measures, ensembles and recommend: what they write and say, and what they make of odd input."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from analysed import analyse, results_in, vouch
from projects import Project
from sat import units
from sat.__main__ import main
from sat.analyses.ensembles.averaging import Pool, recommend
from sat.cli.recommend import choosing_half, sat_of_half
from sat.measures.matrix import similarity
from sat.seeds import key
from sat.status.recommendation import describe_recommendation
from sat.store import hdf5
from sat.store.artefact import read_sidecar
from sat.store.step import Step
from sat.store.tables import read_matrix, read_table
from sat.study.plan import Plan
from sat.study.study import load_study
from sat.units import names

CLASSES = 5
MEASURES = names("measures")


class Inputs:
    """Artefacts of models at random, as both stages read them."""

    def __init__(self, folder: Path, n_models: int = 7, n: int = 60, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.folder, self.models = folder, [f"m{place}" for place in range(n_models)]
        self.results = results_in(folder)
        self.labels = random.integers(CLASSES, size=n)
        self.logits = {
            name: (random.normal(size=(n, CLASSES)) + 1.5 * np.eye(CLASSES)[self.labels]).astype(np.float16)
            for name in self.models
        }
        self.prediction = {name: logits.argmax(1).astype(np.int16) for name, logits in self.logits.items()}
        square = random.normal(1, 1, (n_models, n_models))
        self.sat = pd.DataFrame(square + square.T, index=self.models, columns=self.models)
        self.family = {name: "even" if place % 2 == 0 else "odd" for place, name in enumerate(self.models)}
        self.cluster = {name: 1 + place % 3 for place, name in enumerate(self.models)}
        self.datasets = ("attack_prediction", "eval_prediction", "eval_logits", "attack_features")

    def write(self) -> None:
        """Write all of it; attack and evaluation images are the same."""
        for part in ("similarity", "analysis", "images", "clean", "gradients"):
            (self.results / part).mkdir(exist_ok=True)
        sat, clusters = self.results / "similarity/sat.csv", self.results / "analysis/clusters.csv"
        self.sat.rename_axis("model").reset_index().to_csv(sat, index=False)
        pd.Series(self.cluster, name="cluster").rename_axis("model").reset_index().to_csv(clusters, index=False)
        images = [self.results / f"images/{split}.h5" for split in ("attack", "eval")]
        for path in images:
            with hdf5.writing(path) as file:
                file["label"], file["id"] = self.labels, np.arange(len(self.labels))
        for name in self.models:
            arrays = (self.prediction[name], self.prediction[name], self.logits[name], self.logits[name])
            path = self.results / f"clean/{name}.h5"
            with hdf5.writing(path) as file:
                for dataset, array in zip(("attack_prediction", *self.datasets[1:]), arrays, strict=False):
                    file[dataset] = array
            vouch(path, accuracy=float((arrays[1] == self.labels).mean()))
            gradients = self.results / f"gradients/{name}.h5"
            with hdf5.writing(gradients) as file:
                file["gradient"], file["label"] = self.logits[name], self.labels
            vouch(gradients)
        for path in (sat, clusters, *images):
            vouch(path)

    def call(self, stage: str, **params: object) -> tuple[int, Step]:
        """Call an analysis' command; return its exit status and its step."""
        self.write()
        return analyse(self.folder, stage, {"seed": 0, **params})

    def run(self, stage: str, **params: object) -> dict[str, pd.DataFrame]:
        """Run an analysis; return its tables, without its own name before theirs."""
        status, step = self.call(stage, **params)
        assert status == 0
        unit = units.declarations("analyses")[stage]
        for path in unit.outputs:
            assert read_sidecar(self.results / path)["recipe"] == step.recipe
        return {
            name.removeprefix(f"{stage}_"): read_table(self.results / f"analysis/{name}.csv") for name in unit.tables
        }

    def measures(self, *names: str) -> dict[str, pd.DataFrame]:
        return self.run("measures", measures=list(names or MEASURES), models=self.family)

    def ensembles(self, *sizes: int) -> dict[str, pd.DataFrame]:
        return self.run("ensembles", models=self.models, sizes=list(sizes), sets=20)

    @property
    def figure(self) -> str:
        return next(self.results.glob("figures/*.svg")).read_text()


def test_measures_against_other_libraries(tmp_path: Path):
    inputs = Inputs(tmp_path)
    tables = inputs.measures()
    pairs = tables["pairs"]
    assert pairs.columns.tolist() == ["model_a", "model_b", "sat", *MEASURES]
    assert list(zip(pairs["model_a"], pairs["model_b"], strict=True)) == list(combinations(inputs.models, 2))
    for row in pairs.itertuples():
        a, b = row.model_a, row.model_b
        right = [inputs.prediction[name] == inputs.labels for name in (a, b)]
        p, q = (softmax(inputs.logits[name].astype(float), axis=1) for name in (a, b))
        assert row.sat == inputs.sat.loc[a, b]
        assert row.agreement == pytest.approx(np.mean(inputs.prediction[a] == inputs.prediction[b]))
        assert row.error_consistency == pytest.approx(cohen_kappa_score(*right))
        assert row.jensen_shannon == pytest.approx(1 - np.mean(jensenshannon(p, q, base=2, axis=1) ** 2))
    against = tables["measures"].set_index("measure")
    assert against.index.tolist() == list(MEASURES)
    same = pairs["model_a"].map(inputs.family) == pairs["model_b"].map(inputs.family)
    separation = tables["separation"].set_index("measure")
    for name in MEASURES:
        assert against.loc[name, "spearman"] == pytest.approx(spearmanr(pairs["sat"], pairs[name])[0])
        assert separation.loc[name, "roc_auc"] == pytest.approx(roc_auc_score(same, pairs[name]))
    assert separation.index[0] == "sat"
    for text in ("SAT", "Cohen's kappa", "within a family", f"{against.loc['cka', 'spearman']:.2f}"):
        assert text in inputs.figure


def test_measures_of_two_models(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tables = Inputs(tmp_path, n_models=2).measures()
    assert tables["measures"]["spearman"].isna().all()
    assert len(tables["pairs"]) == 1
    assert "no correlation with SAT: 2 models" in caplog.text
    assert "sat: families cannot be told apart" in caplog.text


def test_a_measure_that_does_not_vary(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path)
    inputs.prediction = dict.fromkeys(inputs.models, inputs.prediction["m0"])
    table = inputs.measures("agreement", "cka")["measures"].set_index("measure")
    assert np.isnan(table.loc["agreement", "spearman"]) and not np.isnan(table.loc["cka", "spearman"])
    assert "agreement: no correlation with SAT" in caplog.text


@pytest.mark.parametrize("stage", ["measures", "ensembles"])
def test_without_logits(tmp_path: Path, caplog: pytest.LogCaptureFixture, stage: str):
    inputs = Inputs(tmp_path)
    inputs.datasets = inputs.datasets[:2]
    tables = inputs.measures("jensen_shannon") if stage == "measures" else inputs.ensembles(2, 3)
    assert "has no eval_logits" in caplog.text
    assert tables[stage].empty and "spearman" in tables["measures" if stage == "measures" else "relation"]
    assert "No " in inputs.figure


def test_too_few_images_for_cka(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tables = Inputs(tmp_path, n=3).measures("cka", "agreement")
    assert tables["measures"]["measure"].tolist() == ["agreement"]
    assert "cka is left out: cka needs at least 4 images, not 3" in caplog.text


def test_features_of_a_sample_of_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sat.analyses.measures.MOST_FEATURES", 40)
    inputs = Inputs(tmp_path)
    row = inputs.measures("cka", "agreement")["pairs"].iloc[0]
    ids = list(range(len(inputs.labels)))
    rows = sorted(sorted(ids, key=lambda image: key("images for features", 0, image))[:40])
    assert row["cka"] == pytest.approx(similarity("cka", *(inputs.logits[name][rows] for name in ("m0", "m1"))))
    assert row["agreement"] == pytest.approx(np.mean(inputs.prediction["m0"] == inputs.prediction["m1"]))
    assert read_sidecar(tmp_path / "results/tiny/analysis/measures_pairs.csv")["facts"]["n_images"] == {
        "prediction": 60,
        "feature": 40,
    }


def test_ensembles_by_the_book(tmp_path: Path):
    inputs = Inputs(tmp_path)
    tables = inputs.ensembles(2, 3)
    table = tables["ensembles"]
    # 21 pairs and 35 triples, of which 20 are drawn.
    assert table["size"].value_counts().to_dict() == {2: 20, 3: 20}
    for row in table.iloc[[0, 7, -1]].itertuples():
        members = row.members.split(";")
        mean = np.mean([softmax(inputs.logits[name].astype(float), axis=1) for name in members], axis=0)
        alone = np.mean([inputs.prediction[name] == inputs.labels for name in members])
        accuracy = np.mean(mean.argmax(1) == inputs.labels)
        assert (row.accuracy, row.member_accuracy) == pytest.approx((accuracy, alone))
        assert row.error_reduction == pytest.approx((accuracy - alone) / (1 - alone))
        assert row.mean_sat == pytest.approx(np.mean([inputs.sat.loc[a, b] for a, b in combinations(members, 2)]))
        assert row.n_clusters == len({inputs.cluster[name] for name in members})
    pairs = table[table["size"] == 2]
    relation = tables["relation"].set_index("size")
    assert relation.loc[2, "spearman"] == pytest.approx(spearmanr(pairs["mean_sat"], pairs["error_reduction"])[0])
    means = tables["clusters"].set_index(["size", "n_clusters"])
    assert means.loc[(2, 1), "accuracy"] == pytest.approx(pairs[pairs["n_clusters"] == 1]["accuracy"].mean())
    for text in ("mean SAT of the members", "(%)", "2 members", "3 members", "clusters that the members come from"):
        assert text in inputs.figure


def test_ensembles_of_few_models_in_one_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path, n_models=2)
    inputs.cluster = dict.fromkeys(inputs.models, 1)
    tables = inputs.ensembles(2, 3)
    assert len(tables["ensembles"]) == 1 and tables["relation"]["spearman"].isna().all()
    for warning in ("3 members: are skipped", "one cluster only", "no correlation of gain with SAT"):
        assert warning in caplog.text


def test_no_ensemble_at_all(tmp_path: Path):
    inputs = Inputs(tmp_path, n_models=2)
    tables = inputs.ensembles(4)
    assert all(table.empty for table in tables.values())
    assert tables["clusters"].columns.tolist()[:3] == ["size", "n_clusters", "n_sets"]
    assert "No ensemble" in inputs.figure


def test_ensembles_of_models_that_never_err(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path, n_models=4)
    inputs.prediction = dict.fromkeys(inputs.models, inputs.labels.astype(np.int16))
    assert inputs.ensembles(2)["ensembles"]["error_reduction"].isna().all()
    assert "nothing for an ensemble to gain" in caplog.text


def test_half_to_choose_on():
    ids = np.arange(100, 201)
    few, remeasured = choosing_half(ids, ids[:30], 0)
    assert few[:30].all() and few.sum() == 51 and not remeasured
    every, remeasured = choosing_half(ids, ids, 0)
    assert every.sum() == 51 and remeasured
    # Neither the order of images nor that of the attack images counts; the seed does.
    order = np.random.default_rng(0).permutation(len(ids))
    assert np.array_equal(choosing_half(ids[order], ids, 0)[0], every[order])
    assert not np.array_equal(choosing_half(ids, ids, 1)[0], every)


def test_words_of_a_recommendation(tmp_path: Path):
    inputs = Inputs(tmp_path, n=400)
    pool = Pool.of(inputs.logits, inputs.prediction, inputs.labels)
    half = np.arange(400) < 200
    found = recommend(pool, half, inputs.sat, 3, 0.02, inputs.cluster, seed=0)
    text = describe_recommendation(found, "mine", 7, (200, 200), True, 0.95, ["m1"])
    assert "Study mine: 3 of 7 models" in text and ", ".join(found.members) in text
    row = found.choices.set_index("choice").loc["low_sat"]
    expected = f"{100 * row.accuracy:.2f} % [{100 * row.accuracy_low:.2f}, {100 * row.accuracy_high:.2f}]"
    line = next(line for line in text.splitlines() if line.startswith("  lowest SAT"))
    assert expected in line and f"{row.mean_sat:.2f}" in line
    for words in (
        "95% intervals",
        "Lowest SAT minus",
        "most accurate",
        "same accuracy",
        "greedy",
        "m1: low white-box success",
    ):
        assert words in text


@pytest.mark.slow
class TestFinished:
    """On the tiny study."""

    @pytest.fixture(autouse=True)
    def within(self, finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(finished.folder)

    def test_tables_are_those_of_the_models(self, finished: Project):
        pairs = read_table(finished.results / "analysis/measures_pairs.csv")
        prediction = {}
        for name in ("resnet", "vit"):
            with hdf5.reading(finished.results / f"clean/{name}.h5") as file:
                prediction[name] = file["eval_prediction"][:]
        row = pairs.set_index(["model_a", "model_b"]).loc[("resnet", "vit")]
        assert row["agreement"] == pytest.approx(np.mean(prediction["resnet"] == prediction["vit"]))
        sat = read_matrix(finished.results / "similarity/sat.csv")
        assert row["sat"] == pytest.approx(sat.loc["resnet", "vit"], nan_ok=True)
        table = read_table(finished.results / "analysis/ensembles.csv")
        assert table["members"].tolist() == ["byobnet;resnet", "byobnet;vit", "resnet;vit", "byobnet;resnet;vit"]

    @pytest.mark.parametrize("seed", [None, 0])
    def test_sat_of_some_images(self, finished: Project, seed: int | None):
        plan = Plan(load_study(["config.yaml"]))
        models = list(plan.study.used)
        counted = np.ones(48, bool) if seed is None else np.random.default_rng(seed).random(48) < 0.5
        found = sat_of_half(plan, Path("results/tiny"), models, counted)
        if seed is None:
            pd.testing.assert_frame_equal(found, read_matrix("results/tiny/similarity/sat.csv"), check_names=False)
        with hdf5.reading("results/tiny/images/attack.h5") as file:
            labels = file["label"][:]
        right, wrong = {}, {}
        for name in models:
            with hdf5.reading(f"results/tiny/clean/{name}.h5") as file:
                right[name] = file["attack_prediction"][:] == labels
        for target, source in plan.used_tiles:
            with hdf5.reading(f"results/tiny/tiles/{target}/{source}.h5") as file:
                for row, a in enumerate(file["target"].asstr()[:]):
                    for column, b in enumerate(file["source"].asstr()[:]):
                        wrong[b, a] = file["prediction"][row, column] != labels
        for a, b in (("byobnet", "vit"), ("vit", "vit")):
            both = right[a] & right[b] & counted
            mean = (wrong[a, b][both].sum() + wrong[b, a][both].sum()) / (2 * both.sum())
            assert found.loc[a, b] == pytest.approx(np.log(max(100 * mean, 0.01)))

    def test_a_recommendation(self, capsys: pytest.CaptureFixture[str]):
        assert main(["recommend", "ensemble", "--size", "2", "--from", "byobnet", "vit"]) == 0
        said = capsys.readouterr().out
        assert "2 of 2 models" in said and "  byobnet, vit\n" in said
        assert "Chosen on 360 evaluation images" in said and "all in that half" in said
        assert "one set was to be had" in said

    def test_where_all_images_are_attacked_sat_is_measured_anew(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        import sat.cli.recommend as command

        half = choosing_half

        def as_if(ids: np.ndarray, attacked: np.ndarray, seed: int) -> tuple[np.ndarray, bool]:
            return half(ids, attacked, seed)[0], True

        monkeypatch.setattr(command, "choosing_half", as_if)
        assert main(["recommend", "ensemble", "--size", "2", "--tolerance", "100", "--from", "byobnet", "vit"]) == 0
        assert "its attack images" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--size", "1"], "two members or more"),
            (["--size", "4"], "only 3 model(s) are there to choose among"),
            (["--size", "2", "--from", "vit"], "or name more models after --from"),
            (["--size", "2", "--from", "vitt", "resnet"], "did you mean vit"),
            (["--size", "2", "--tolerance", "-1"], "percentage points from 0 to 100"),
            (["--size", "2", "--config", "study=other"], "results/other: is not in this folder"),
            (["--size", "2", "--config", "eps_s=0.5"], "was made by another step"),
        ],
    )
    def test_what_cannot_be_recommended(self, capsys: pytest.CaptureFixture[str], words: list[str], message: str):
        assert main(["recommend", "ensemble", *words]) == 1
        assert message in capsys.readouterr().err

    def test_models_of_low_white_box_success_are_candidates_like_others(self, project: Project):
        """A stronger attack would raise their rates; it does not follow that their SAT is too low."""
        path = project.results / "similarity/models.csv"
        table = read_table(path)
        table.loc[table["model"] == "vit", "low_whitebox"] = True
        table.to_csv(path, index=False)
        done = project.sat("recommend", "ensemble", "--size", "3")
        assert done.returncode == 0 and "byobnet, resnet, vit" in done.stdout, done.stderr
        assert "vit: low white-box success" in done.stdout

    def test_logs_say_what_could_not_be_done(self, finished: Project):
        logs = finished.results / "logs/analysis"
        assert "4 members: are skipped" in (logs / "ensembles.log").read_text()
        facts = json.loads((finished.results / "analysis/ensembles.csv.json").read_text())["facts"]
        assert facts["sizes"] == [2, 3]
