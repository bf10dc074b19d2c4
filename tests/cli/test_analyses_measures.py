"""The commands measures, ensembles and recommend: what they write and say, and what they make of odd input."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import binomtest, spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from analysed import analyse, results_in, vouch
from projects import Project
from sat import units
from sat.__main__ import main
from sat.analyses.ensembles.averaging import Pool, recommend
from sat.cli.recommend import _given, choosing_half, similarity_of
from sat.measures.matrix import similarity
from sat.seeds import key
from sat.similarity.affinity import fit_affinity, log_odds_of_sat
from sat.similarity.predictions import predictions_of
from sat.status.recommendation import describe_recommendation, describe_splits
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
        self.affinity = fit_affinity(log_odds_of_sat(self.sat)).matrix
        self.family = {name: "even" if place % 2 == 0 else "odd" for place, name in enumerate(self.models)}
        self.cluster = {name: 1 + place % 3 for place, name in enumerate(self.models)}
        self.datasets = ("attack_prediction", "eval_prediction", "eval_logits", "attack_features")

    def write(self) -> None:
        """Write all of it; attack and evaluation images are the same."""
        for part in ("similarity", "analysis", "images", "clean", "gradients"):
            (self.results / part).mkdir(exist_ok=True)
        sat, affinity = self.results / "similarity/sat.csv", self.results / "similarity/affinity.csv"
        clusters = self.results / "analysis/clusters.csv"
        for path, matrix in ((sat, self.sat), (affinity, self.affinity)):
            matrix.rename_axis("model").reset_index().to_csv(path, index=False)
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
        vouch(affinity, no_affinity="few models" if self.affinity.isna().all(axis=None) else "")

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
        return self.run("measures", measures=list(names or MEASURES), models=self.family, confidence=0.95)

    def ensembles(self, *sizes: int) -> dict[str, pd.DataFrame]:
        return self.run("ensembles", models=self.models, sizes=list(sizes), sets=20)

    @property
    def figure(self) -> str:
        return next(self.results.glob("figures/*.svg")).read_text()


def test_measures_against_other_libraries(tmp_path: Path):
    inputs = Inputs(tmp_path)
    tables = inputs.measures()
    pairs = tables["pairs"]
    ends = ("", "_low", "_high", "_rest")
    columns = [f"{name}{end}" for name in MEASURES for end in ends]
    assert pairs.columns.tolist() == ["model_a", "model_b", "sat", "affinity", *columns]
    assert list(zip(pairs["model_a"], pairs["model_b"], strict=True)) == list(combinations(inputs.models, 2))
    for row in pairs.itertuples():
        a, b = row.model_a, row.model_b
        right = [inputs.prediction[name] == inputs.labels for name in (a, b)]
        p, q = (softmax(inputs.logits[name].astype(float), axis=1) for name in (a, b))
        assert (row.sat, row.affinity) == (inputs.sat.loc[a, b], inputs.affinity.loc[a, b])
        assert row.agreement == pytest.approx(np.mean(inputs.prediction[a] == inputs.prediction[b]))
        assert row.error_consistency == pytest.approx(cohen_kappa_score(*right))
        assert row.jensen_shannon == pytest.approx(1 - np.mean(jensenshannon(p, q, base=2, axis=1) ** 2))
    table = tables["measures"]
    assert table["measure"].tolist() == [name for name in MEASURES for _ in range(2)]
    against = {of: table[table["of"] == of].set_index("measure") for of in ("sat", "affinity")}
    same = pairs["model_a"].map(inputs.family) == pairs["model_b"].map(inputs.family)
    separation = tables["separation"].set_index(["measure", "rest"])
    effects = np.array([[name in pair for name in inputs.models] for pair in combinations(inputs.models, 2)], float)
    for name in MEASURES:
        assert against["sat"].loc[name, "spearman"] == pytest.approx(spearmanr(pairs["sat"], pairs[name])[0])
        left = [y - effects @ np.linalg.lstsq(effects, y, rcond=None)[0] for y in (pairs["affinity"], pairs[name])]
        assert pairs[f"{name}_rest"].to_numpy() == pytest.approx(left[1], abs=1e-9)
        # Ties up to rounding may be ranked differently.
        assert against["affinity"].loc[name, "spearman"] == pytest.approx(spearmanr(*left)[0], abs=0.01)
        assert separation.loc[(name, False), "roc_auc"] == pytest.approx(roc_auc_score(same, pairs[name]))
        assert separation.loc[(name, True), "roc_auc"] == pytest.approx(roc_auc_score(same, left[1]), abs=0.02)
        if units.declarations("measures")[name].interval == "none":
            assert pairs[[f"{name}_low", f"{name}_high"]].isna().all(axis=None)
            continue
        assert (pairs[f"{name}_low"] < pairs[name]).all() and (pairs[name] < pairs[f"{name}_high"]).all()
    assert separation.index.tolist()[:2] == [("sat", False), ("affinity", True)]
    score = against["affinity"].loc["cka", "spearman"]
    for text in ("SAT", "affinity", "error consistency", "within a family", f"{score:.2f}"):
        assert text in inputs.figure


def test_agreement_has_the_interval_of_a_share(tmp_path: Path):
    inputs = Inputs(tmp_path)
    for row in inputs.measures("agreement")["pairs"].itertuples():
        hits = int((inputs.prediction[row.model_a] == inputs.prediction[row.model_b]).sum())
        expected = binomtest(hits, len(inputs.labels)).proportion_ci(method="wilson")
        assert (row.agreement_low, row.agreement_high) == pytest.approx((expected.low, expected.high))


def test_one_model_with_other_classes_is_left_out_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path)
    inputs.logits["m3"] = np.hstack([inputs.logits["m3"], inputs.logits["m3"][:, :1]])
    tables = inputs.measures("jensen_shannon", "agreement")
    assert tables["measures"].set_index("measure").loc["jensen_shannon", "n_models"].tolist() == [6, 6]
    assert tables["measures"].set_index("measure").loc["agreement", "n_models"].tolist() == [7, 7]
    pairs = tables["pairs"]
    others = (pairs["model_a"] == "m3") | (pairs["model_b"] == "m3")
    for column in ("jensen_shannon", "jensen_shannon_low", "jensen_shannon_rest"):
        assert (pairs[column].isna() == others).all()
    assert "m3: has other classes than most models, and is left out of jensen_shannon" in caplog.text


def test_measures_of_two_models(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    tables = Inputs(tmp_path, n_models=2).measures()
    assert tables["measures"]["spearman"].isna().all()
    assert len(tables["pairs"]) == 1
    assert "no correlation with SAT: 2 models" in caplog.text
    assert "compared with SAT only: few models" in caplog.text
    assert tables["pairs"]["affinity"].isna().all() and ">affinity<" not in Inputs(tmp_path).figure
    assert "sat: families cannot be told apart" in caplog.text


def test_a_measure_that_does_not_vary(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path)
    inputs.prediction = dict.fromkeys(inputs.models, inputs.prediction["m0"])
    table = inputs.measures("agreement", "cka")["measures"].set_index("measure")
    assert table.loc["agreement", "spearman"].isna().all() and table.loc["cka", "spearman"].notna().all()
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
    assert tables["measures"]["measure"].tolist() == ["agreement"] * 2
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
        for mean, matrix in ((row.mean_sat, inputs.sat), (row.mean_affinity, inputs.affinity)):
            assert mean == pytest.approx(np.mean([matrix.loc[a, b] for a, b in combinations(members, 2)]))
        assert row.n_clusters == len({inputs.cluster[name] for name in members})
    pairs = table[table["size"] == 2]
    relation = tables["relation"].set_index(["size", "of"])
    for name in ("sat", "affinity"):
        expected = spearmanr(pairs[f"mean_{name}"].round(12), pairs["error_reduction"].round(12))[0]
        assert relation.loc[(2, name), "spearman"] == pytest.approx(expected)
    means = tables["clusters"].set_index(["size", "n_clusters"])
    assert means.loc[(2, 1), "accuracy"] == pytest.approx(pairs[pairs["n_clusters"] == 1]["accuracy"].mean())
    for text in (
        "mean SAT of members",
        "mean affinity of members",
        "(%)",
        "2 members",
        "3 members",
        "clusters that the members come from",
    ):
        assert text in inputs.figure


def test_ensembles_of_few_models_in_one_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    inputs = Inputs(tmp_path, n_models=2)
    inputs.cluster = dict.fromkeys(inputs.models, 1)
    tables = inputs.ensembles(2, 3)
    assert len(tables["ensembles"]) == 1 and tables["relation"]["spearman"].isna().all()
    for warning in (
        "no ensembles of 3 members: only 2 models can be combined",
        "only one cluster",
        "no correlation of gain with SAT",
        "no affinity (few models)",
    ):
        assert warning in caplog.text
    assert "gain with affinity" not in caplog.text and "mean affinity" not in inputs.figure


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
    few = choosing_half(ids, ids[:30], 0)
    assert few[:30].all() and few.sum() == 51
    every = choosing_half(ids, ids, 0)
    assert every.sum() == 51
    # Neither the order of images nor that of the attack images counts; the seed does.
    order = np.random.default_rng(0).permutation(len(ids))
    assert np.array_equal(choosing_half(ids[order], ids, 0), every[order])
    assert not np.array_equal(choosing_half(ids, ids, 1), every)


def words_of(found, images=(200, 200), no_affinity="", weak=()):
    text = describe_recommendation(found, "mine", 7, images, 0.95, no_affinity, list(weak))
    assert max(map(len, text.splitlines())) <= 80
    return text, " ".join(text.split())


@pytest.mark.parametrize("by", ["affinity", "sat"])
def test_words_of_a_recommendation(tmp_path: Path, by: str):
    inputs = Inputs(tmp_path, n=400)
    pool = Pool.of(inputs.logits, inputs.prediction, inputs.labels)
    affinity = inputs.affinity if by == "affinity" else inputs.affinity * np.nan
    similarities = {"sat": inputs.sat, "affinity": affinity}
    found = recommend(pool, np.arange(400) < 200, similarities, 3, 0.02, inputs.cluster, seed=0)
    text, words = words_of(found, no_affinity="" if by == "affinity" else "3 models: too few", weak=["m1"])
    name = {"affinity": "affinity", "sat": "SAT"}[by]
    assert "Study mine: 3 of 7 models" in words and ", ".join(found.members) in words
    row = found.choices.set_index("choice").loc[f"low_{by}"]
    line = next(line for line in text.splitlines() if line.startswith(f"  {name} "))
    assert f"{100 * row.accuracy:.2f} [{100 * row.accuracy_low:.2f}, {100 * row.accuracy_high:.2f}]" in line
    assert f"{row.mean_sat:.2f}" in line
    assert f"lowest mean {name} of the" in words and f"Choice by {name} minus the others" in words
    assert ("chosen by SAT, which favours models that are hard to fool: 3 models: too few" in words) == (by == "sat")
    for expected in ("95% intervals", "accuracy: ", "matched: mean of", "greedy: ", "m1: low white-box success"):
        assert expected in words
    matched = found.choices.set_index("choice").loc["matched"]
    gap = 100 * (matched["chosen_on_accuracy"] - row["chosen_on_accuracy"])
    assert (
        f"mean gap {round(gap, 2) + 0.0:+.2f} points" in words and f"within {100 * found.caliper:.2f} points" in words
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict", "gain"),
    [
        (0.001, 0.02, "Better: the ensemble's accuracy is +1.00 [+0.10, +2.00] points above", "Yes: +1.00"),
        (
            -0.02,
            0.03,
            "No difference shown: the ensemble's accuracy differs by +1.00 [-2.00, +3.00]",
            "Not shown: +1.00",
        ),
        (-0.03, -0.001, "Worse: the ensemble's accuracy differs by", "No, it loses:"),
        (0.0, 0.02, "No difference shown", "Not shown"),
    ],
)
def test_a_verdict_follows_the_interval(tmp_path: Path, low: float, high: float, verdict: str, gain: str):
    inputs = Inputs(tmp_path, n=400)
    pool = Pool.of(inputs.logits, inputs.prediction, inputs.labels)
    found = recommend(pool, np.arange(400) < 200, {"sat": inputs.sat, "affinity": inputs.affinity}, 3, 0.2, seed=0)
    ends = {"accuracy": 0.01, "accuracy_low": low, "accuracy_high": high}
    for than, expected, other in (("most_accurate", verdict, gain), ("matched", gain, verdict)):
        chosen = found.differences["than"] == than
        changed = found.differences.assign(
            **{key: found.differences[key].mask(chosen, end) for key, end in ends.items()}
        )
        changed.loc[~chosen, ["accuracy_low", "accuracy_high"]] = [-1.0, 1.0]
        words = words_of(replace(found, differences=changed))[1]
        assert expected in words
        if low > 0 or high < 0:
            assert other not in words


def test_words_where_there_is_nothing_to_compare(tmp_path: Path):
    inputs = Inputs(tmp_path, n=400)
    pool = Pool.of(inputs.logits, inputs.prediction, inputs.labels)
    found = recommend(pool, np.arange(400) < 200, {"sat": inputs.sat, "affinity": inputs.affinity}, 7, seed=0)
    words = words_of(found)[1]
    assert "These are the most accurate models, so there is nothing to compare." in words
    assert "no other set's mean accuracy lies within 0.00 points of this one's" in words
    assert "at the same accuracy?" not in words and "only one set was near the best accuracy" in words


def test_words_of_several_splits(tmp_path: Path):
    inputs = Inputs(tmp_path, n=400)
    pool = Pool.of(inputs.logits, inputs.prediction, inputs.labels)
    given = {"sat": inputs.sat, "affinity": inputs.affinity}
    halves = [np.random.default_rng(seed).permutation(400) < 200 for seed in range(6)]
    found = [recommend(pool, half, given, 3, 0.1, resamples=5) for half in halves]
    text = describe_splits(found)
    assert max(map(len, text.splitlines())) <= 80 and "over 6 splits" in " ".join(text.split())
    # Right or wrong, image by image, without the project's averaging.
    differences = []
    for half, one in zip(halves, found, strict=True):
        hits = []
        for row in ("low_affinity", "most_accurate"):
            members = one.choices.set_index("choice").loc[row, "members"].split(";")
            mean = np.mean([softmax(inputs.logits[m].astype(float), axis=1) for m in members], axis=0)
            hits.append(np.mean(mean.argmax(1)[~half] == inputs.labels[~half]))
        differences.append(round(100 * (hits[0] - hits[1]), 9))
    counts = [sum(np.sign(differences) == sign) for sign in (1, 0, -1)]
    line = next(line for line in text.splitlines() if line.startswith("  accuracy"))
    assert line.split() == ["accuracy", f"{np.mean(differences):+.2f}", *map(str, counts)]
    assert "--splits 20" in describe_splits(found[:1])


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
    def test_similarity_on_some_images(self, finished: Project, seed: int | None):
        plan = Plan(load_study(["config.yaml"]))
        models = list(plan.study.used)
        counted = np.ones(48, bool) if seed is None else np.random.default_rng(seed).random(48) < 0.5
        with _given(plan, Path("results/tiny"), "stability") as given:
            measured = similarity_of(plan, predictions_of(given), counted)
        found = measured.sat
        assert measured.affinity.isna().all(axis=None) and measured.no_affinity.startswith("3 models")
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
        own = {name: wrong[name, name][right[name] & counted].mean() for name in models}
        assert measured.weak == {name for name in models if not own[name] >= plan.config.min_whitebox}

    def test_a_recommendation(self, capsys: pytest.CaptureFixture[str]):
        assert main(["recommend", "ensemble", "--size", "2", "--from", "byobnet", "vit"]) == 0
        said = capsys.readouterr().out
        assert "2 of 2 models" in said and "  byobnet, vit\n" in said
        words = " ".join(said.split())
        assert "chosen on 360 evaluation images, by the SAT of the attack images" in words and "other 359" in words
        assert "only one set was near the best accuracy" in words
        assert "chosen by SAT, which favours models that are hard to fool: 3 models" in words

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--size", "1"], "two members or more"),
            (["--size", "4"], "only 3 model(s) to choose among"),
            (["--size", "2", "--from", "vit"], "or name more models after --from"),
            (["--size", "2", "--from", "vitt", "resnet"], "did you mean vit"),
            (["--size", "2", "--tolerance", "-1"], "percentage points from 0 to 100"),
            (["--size", "2", "--splits", "0"], "--splits 0: write 1 or more"),
            (["--size", "2", "--config", "study=other"], "results/other: is not in this folder"),
            (["--size", "2", "--config", "eps_s=0.5"], "was made by another step"),
        ],
    )
    def test_what_cannot_be_recommended(self, capsys: pytest.CaptureFixture[str], words: list[str], message: str):
        assert main(["recommend", "ensemble", *words]) == 1
        assert message in capsys.readouterr().err

    def test_models_of_low_white_box_success_are_candidates_like_others(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ):
        """Their rates depend on the settings of the attack; it does not follow that their SAT is too low."""
        import sat.cli.recommend as command

        measure = command.similarity_of
        monkeypatch.setattr(command, "similarity_of", lambda *given: replace(measure(*given), weak=frozenset({"vit"})))
        assert main(["recommend", "ensemble", "--size", "3"]) == 0
        said = capsys.readouterr().out
        assert "byobnet, resnet, vit" in said and "vit: low white-box success" in said

    def test_logs_say_what_could_not_be_done(self, finished: Project):
        logs = finished.results / "logs/analysis"
        assert "no ensembles of 4 members: only 3 models can be combined" in (logs / "ensembles.log").read_text()
        facts = json.loads((finished.results / "analysis/ensembles.csv.json").read_text())["facts"]
        assert facts["sizes"] == [2, 3]
