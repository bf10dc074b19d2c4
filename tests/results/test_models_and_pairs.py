"""Models, pairs, variants, and studies that start from a matrix, as Python users get them."""

from __future__ import annotations

import itertools
import os

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

import analysed
import sat as library
from sat.errors import SatError
from sat.models.classifier import Blueprint, build, save_classifier
from sat.store.artefact import Job
from sat.store.step import Step
from sat.store.user_files import register
from sat.study.code import CONSENT, keep_code, read_code
from sat.study.plan import Plan
from sat.study.study import load_study


@pytest.fixture
def results(finished):
    return library.open_study(finished.results)


def test_a_classifier_predicts_what_the_study_recorded(results):
    classifier = results.classifier("vit")
    clean = torch.from_numpy(results.images("attack").image).float() / 255
    assert (classifier(clean).argmax(1).numpy() == results.clean.sel(model="vit").to_numpy()).all()
    # The adversarial images, too, are those that the tile's predictions are of.
    other = results.adversarial("resnet")
    said = classifier(torch.from_numpy(other.image).float() / 255).argmax(1).numpy()
    assert (said == results.predictions.sel(target="vit", source="resnet", image=other.id).to_numpy()).all()
    clean.requires_grad_()
    classifier(clean).sum().backward()
    assert clean.grad.abs().max() > 0 and not any(each.requires_grad for each in classifier.parameters())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: torch.from_numpy(image), r"type torch\.uint8.*It takes a float tensor.*/ 255\."),
        (lambda image: torch.from_numpy(image).float(), r"values from 0 to 255.*Divide grey levels by 255"),
        (lambda image: torch.from_numpy(image).float() / 127.5 - 1, r"values from -1 to 1.*do not normalise"),
        (lambda image: torch.full(image.shape, torch.nan), "values from nan to nan"),
        (lambda image: torch.from_numpy(image[0]).float() / 255, r"images of shape \(3, 32, 32\)"),
        (lambda image: image / 255, "ndarray instead of a tensor"),
    ],
)
def test_a_classifier_refuses_what_is_no_image_in_0_to_1(results, change, words):
    with pytest.raises(SatError, match=f"model 'vit': got .*?{words}"):
        results.classifier("vit")(change(results.images(rows=slice(4)).image))


def test_damaged_weights_are_refused(project):
    path = project.results / "weights/vit.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(SatError, match="its content is not what its sidecar"):
        library.open_study(project.results).classifier("vit")


def test_code_of_a_study_runs_only_where_the_caller_trusts_it(project, tmp_path, monkeypatch):
    monkeypatch.delenv(CONSENT, raising=False)
    monkeypatch.delenv("SAT_CODE", raising=False)
    file = tmp_path / "nets_of_this_test.py"
    file.write_text(
        "from torch import nn\n"
        "def plain(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))\n"
    )
    code = read_code([file])["nets_of_this_test"]
    keep_code([code], project.results)
    name, path = "nets_of_this_test:plain", project.results / "weights/vit.safetensors"
    with monkeypatch.context() as consent:
        consent.setenv(CONSENT, "1")
        net = build(Blueprint(name, 10, 8, (0.5,) * 3, (0.5,) * 3, code=code.digest), near=path)
    save_classifier(net, path)
    params = {"model": "vit", "architecture": name, "code": code.digest}
    Job(Step("train", 1, params)).finish(path)
    with pytest.raises(SatError, match=rf"code/{code.digest}/nets_of_this_test\.py \(digest .*trust_code=True"):
        library.open_study(project.results).classifier("vit")
    trusting = library.open_study(project.results, trust_code=True)
    assert trusting.classifier("vit")(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert CONSENT not in os.environ, "the consent is for this study"
    assert trusting.provenance("weights/vit.safetensors").code == {"vit": code.digest}


def test_a_pair_has_the_numbers_of_the_tables(finished, results):
    pair = results.pair("vit", "resnet")
    rows = pd.read_parquet(finished.results / "similarity/pairs.parquet").set_index(["source", "target"])
    for source, target in (("vit", "resnet"), ("resnet", "vit")):
        assert pair.directions.loc[source, "n_fooled"] == rows.loc[(source, target), "n_fooled"]
        assert pair.directions.loc[source, "target"] == target
    similar = pd.read_csv(finished.results / "similarity/most_similar.csv").set_index(["model_a", "model_b"])
    names = sorted(set(rows.index.get_level_values("source")))
    assert sorted(similar.index) == list(itertools.combinations(names, 2)), "no model with itself"
    row = similar.loc[("resnet", "vit")]
    assert pair.sat == pytest.approx(row["sat"]) and pair.sat_interval == (row["sat_low"], row["sat_high"])
    assert pair.above_noise == row["above_noise"]
    counts = pair.directions
    by_hand = np.log(100 * counts["n_fooled"].sum() / counts["n_both_correct"].sum())
    assert pair.sat == pytest.approx(by_hand)
    affinity = pd.read_csv(finished.results / "similarity/affinity.csv", index_col=0)
    assert pair.affinity == pytest.approx(affinity.loc["vit", "resnet"], nan_ok=True)
    with pytest.raises(SatError, match=r"has no model 'vitt' in use; did you mean vit\?"):
        results.pair("vitt", "resnet")
    with pytest.raises(SatError, match="a pair has two different models"):
        results.pair("vit", "vit")


@pytest.mark.parametrize("source", ["vit", "resnet"])
def test_examples_follow_their_rule(results, source):
    pair = results.pair("vit", "resnet")
    other = {"vit": "resnet", "resnet": "vit"}[source]
    found = pair.examples(n=3, source=source)
    assert found.source == source and found.other == other and len(found)
    # Brute force, with the models themselves in place of the recorded predictions.
    images = results.images("attack")
    models = {name: results.classifier(name) for name in (source, other)}

    def said(name, image):
        return int(models[name](torch.from_numpy(image)[None].float() / 255).argmax())

    expected = {"fools both": [], "fools only its source": []}
    adversarial = results.adversarial(source)
    for image, number, label in zip(adversarial.image, adversarial.id, adversarial.label, strict=True):
        clean = images.image[images.id == number][0]
        if said(other, clean) == label and said(source, image) != label:
            expected["fools both" if said(other, image) != label else "fools only its source"].append(int(number))
    assert found.id.tolist() == [number for numbers in expected.values() for number in numbers[:3]]
    assert list(found.fools) == [kind for kind, numbers in expected.items() for _ in numbers[:3]]
    assert (found.clean.astype(int) + found.perturbation == found.adversarial).all()
    for row in range(len(found)):
        assert said(source, found.adversarial[row]) == found.prediction_source[row] != found.label[row]
        assert said(other, found.adversarial[row]) == found.prediction_other[row]
        for name, guess, sure in (
            (source, found.prediction_source[row], found.confidence_source[row]),
            (other, found.prediction_other[row], found.confidence_other[row]),
        ):
            logits = models[name](torch.from_numpy(found.adversarial[row])[None].float() / 255)
            assert sure == pytest.approx(float(logits.softmax(1)[0, guess]), abs=1e-3)


def test_probabilities_of_results_that_do_not_hold_them_are_unknown(project):
    for path in (project.results / "tiles").glob("*/*.h5"):
        with h5py.File(path, "a") as file:
            del file["confidence"]
    results = library.open_study(project.results)
    found = results.pair("vit", "resnet").examples(n=1)
    assert len(found) and np.isnan([*found.confidence_source, *found.confidence_other]).all()
    assert results.confidence.dtype == np.float16 and (results.predictions >= 0).any()
    titles = [axes.get_title() for axes in results.pair("vit", "resnet").plot(n=1).axes]
    assert "(wrong)" in titles[2] and "nan" not in titles[2]


def test_a_pair_is_drawn_with_class_names_in_a_figure_that_notebooks_show(results):
    pair = results.pair("vit", "resnet")
    figure, examples = pair.plot(n=1), pair.examples(n=1)
    assert len(figure.axes) == 3 * len(examples)
    assert figure.axes[0].get_title() == f"clean: {examples.label[0]}"
    sure = f"(wrong, {100 * examples.confidence_source[0]:.0f} %)"
    assert "vit: " in figure.axes[2].get_title() and sure in figure.axes[2].get_title()
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(pair.plot(n=0).axes) == 0, "no examples, no error"


@pytest.mark.slow
def test_a_variant_has_its_own_matrix_and_predictions(project):
    project.configure(variants={"fgsm": {"attack": {"method": "fgsm"}}, "few": {"attack_images": 20}})
    places = {name: f"results/tiny/variants/{name}/similarity/sat.csv" for name in ("fgsm", "few")}
    project.run(*places.values(), "results/tiny/study.json")
    results = library.open_study(project.folder / "config.yaml")
    assert set(results.variants) == {"fgsm", "few"}
    for name, path in places.items():
        by_hand = pd.read_csv(project.folder / path, index_col=0)
        pd.testing.assert_frame_equal(results.variant(name).matrix, by_hand, check_names=False)
    fgsm, few = results.variant("fgsm"), results.variant("few")
    assert fgsm.predictions.shape == (3, 3, 48) and few.predictions.shape == (3, 3, 20)
    assert (few.predictions == results.predictions[:, :, :20]).all(), "the study's own tiles, on the first images"
    assert (fgsm.predictions != results.predictions).any()
    assert len(few.adversarial("vit")) == (few.predictions.sel(target="vit", source="vit") >= 0).sum()
    for each in (fgsm, few):
        rows = each.pairs.set_index(["source", "target"])
        right = each.clean == each.labels
        both = right.sel(model="vit") & right.sel(model="resnet")
        fooled = both & (each.predictions.sel(source="vit", target="resnet") != each.labels)
        assert int(fooled.sum()) == rows.loc[("vit", "resnet"), "n_fooled"]
    with pytest.raises(SatError, match=r"no variant 'fgms'; did you mean fgsm\?"):
        results.variant("fgms")


@pytest.fixture
def of_matrix(tmp_path, monkeypatch):
    """The results of a study that starts from a matrix, with a name that HTML must not take for a tag."""
    monkeypatch.chdir(tmp_path)
    names = ["R&lt;b", "a", "c", "d"]
    values = np.array([[4.6, 2, 1, 3], [2, 4.6, 2, 1], [1, 2, 4.6, 2], [3, 1, 2, 4.6]])
    pd.DataFrame(values, names, names).to_csv("m.csv")
    (tmp_path / "study.yaml").write_text("{study: tiny, matrix: m.csv, clusters: {k: 2}}")
    study = load_study(["study.yaml"])
    folder = analysed.results_in(tmp_path).relative_to(tmp_path)
    plan = Plan(study, register(study.files, folder))
    assert analysed.call("study", plan.describe().json, words=["--out", folder / "study.json"]) == 0
    out = [word for name in ("sat", "affinity") for word in (f"--{name}", folder / f"similarity/{name}.csv")]
    assert analysed.call("matrix", plan.matrix[0].json, words=["--matrix", "m.csv", *out]) == 0
    return library.open_study("study.yaml"), pd.DataFrame(values, names, names)


def test_a_study_of_a_matrix_has_the_matrix_and_says_what_it_lacks(of_matrix):
    results, matrix = of_matrix
    pd.testing.assert_frame_equal(results.matrix, matrix, check_names=False)
    assert results.affinity.shape == (4, 4)
    for lacking in ("pairs", "models", "most_similar", "predictions", "clean", "labels", "classes"):
        with pytest.raises(SatError, match="a study that starts from an existing matrix has no"):
            getattr(results, lacking)
    for call in (results.images, lambda: results.adversarial("a"), lambda: results.classifier("a")):
        with pytest.raises(SatError, match="a study that starts from an existing matrix has no"):
            call()
    with pytest.raises(SatError, match="'clusters' makes: the study has not been run to its end"):
        _ = results.clusters
    pair = results.pair("a", "c")
    assert pair.sat == 2 and "none: the study starts from a matrix" in repr(pair)
    with pytest.raises(SatError, match="a study that starts from an existing matrix has no"):
        pair.examples()
    assert results.provenance("similarity/sat.csv").stage == "matrix"


def test_names_cannot_put_markup_into_a_notebook(of_matrix):
    results, _ = of_matrix
    for shown in (results, results.pair("R&lt;b", "a")):
        assert "R&lt;b" in repr(shown)
        assert "R&amp;lt;b" in shown._repr_html_()


def test_the_doctests_of_the_interface_hold(finished, monkeypatch):
    import doctest

    from sat.results import opening, study

    monkeypatch.chdir(finished.folder)
    for module in (opening, study):
        done = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        assert done.attempted and not done.failed, module.__name__
