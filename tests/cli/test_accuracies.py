"""Models that are less accurate than the study asks, or more than was published: all are named at once."""

from __future__ import annotations

import math
import re
from pathlib import Path

import h5py
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from analysed import vouch
from conftest import ROWS
from projects import Project
from sat.analyses.caveats.confounders import above_published
from sat.similarity.similarity import model_table
from sat.statistics.published import is_above_published
from sat.status.accuracies import about_accuracies
from sat.status.summary import _warnings
from sat.study.plan import Plan
from sat.study.study import load_study


def accuracies(plan: Plan, results: Path, right: dict[str, int], images: int = 1000) -> list[str]:
    """What is said after clean predictions of these models."""
    for model, count in right.items():
        clean = plan.clean(model)
        path = results / clean.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["eval_prediction"] = [0]
        vouch(path, clean.step, accuracy=count / images, n_correct=count, n_images=images)
    return about_accuracies(plan, results)


def test_all_models_below_the_minimum_are_named_the_worst_first(write_study, tmp_path):
    plan = Plan(load_study([write_study(min_accuracy=0.9)]))
    assert about_accuracies(plan, tmp_path) == []
    lines = accuracies(plan, tmp_path, {"vit": 899})
    assert lines[:2] == ["1 of 3 models are below min_accuracy (0.9):", "  vit  0.8990 (899 of 1,000 images right)"]
    assert "2 more have no accuracy yet" in lines[2] and "--until gate --keep-going" in lines[2]
    lines = accuracies(plan, tmp_path, {"resnet": 42, "byobnet": 900})
    assert [line.split()[0] for line in lines[1:3]] == ["resnet", "vit"] and lines[0].startswith("2 of 3 models")
    assert "on_low_accuracy: flag" in lines[3] and "no accuracy yet" not in lines[3]
    # An accuracy of other weights or images does not count.
    assert about_accuracies(Plan(load_study([write_study(min_accuracy=0.9, seed=1)])), tmp_path) == []
    flagged = about_accuracies(Plan(load_study([write_study(min_accuracy=0.9, on_low_accuracy="flag")])), tmp_path)
    assert flagged[-1] == "They are flagged and take part (on_low_accuracy: flag)."


def test_models_whose_accuracy_may_be_chance_are_named(write_study, tmp_path):
    plan = Plan(load_study([write_study()]))
    # Three in ten images are of one class, so who always answers it is right in 30 %.
    counts, images, right = [60, 50, 50, 40], 200, {"byobnet": 50, "resnet": 72, "vit": 76}
    assert accuracies(plan, tmp_path, right, images) == [], "nothing is known of the images"
    asked = plan.images("eval")
    (tmp_path / asked.path).parent.mkdir()
    with h5py.File(tmp_path / asked.path, "w") as file:
        file["label"] = [0]
    vouch(tmp_path / asked.path, asked.step, class_counts=counts)
    low = {model: binomtest(n, images).proportion_ci(0.95, "wilson").low for model, n in right.items()}
    assert low["resnet"] < 0.3 < low["vit"]
    lines = about_accuracies(plan, tmp_path)
    assert len(lines) == 1 and lines[0].startswith("accuracy not above chance (30.0 %, ")
    assert lines[0].endswith(": byobnet (25.0 %), resnet (36.0 %)")
    # The summary says it too.
    (tmp_path / "similarity").mkdir()
    table = pd.DataFrame({"model": list(right), "low_whitebox": [False] * 3})
    table.to_csv(tmp_path / "similarity/models.csv", index=False)
    similar = pd.DataFrame({"above_noise": [True], "directions_above": [2]})
    assert _warnings(tmp_path, plan.config, {}, similar) == lines


def test_a_gap_must_exceed_the_margin_and_the_sampling_error():
    # Of 100 images, five points are hardly more than a standard error; of 10,000 they are many.
    assert not is_above_published(0.90, 100, 80.0) and is_above_published(0.90, 10_000, 80.0)
    assert is_above_published(0.93, 100, 80.0) and not is_above_published(0.849, 10**6, 80.0)
    assert not is_above_published(0.70, 10**6, 80.0) and not is_above_published(1.0, 10**6, 100.0)
    # Brute force over all counts: the least that is above is the first beyond both limits.
    for images, published in ((50, 60.0), (400, 75.0), (5000, 82.31)):
        share = published / 100
        least = max(share + 0.05, share + 3 * math.sqrt(share * (1 - share) / images)) * images
        found = [count for count in range(images + 1) if is_above_published(count / images, images, published)]
        assert found == [count for count in range(images + 1) if count > least]
    assert norm.sf(3) * 741 == pytest.approx(1, abs=0.01)


def test_a_model_far_above_its_published_accuracy_may_know_the_images(write_study, tmp_path):
    rows = [
        {**ROWS[0], "weights": "hub", "architecture": "test_resnet.r160_in1k", "published_top1": "80"},
        # What is trained here has no published accuracy.
        {**ROWS[1], "published_top1": "80"},
    ]
    plan = Plan(load_study([write_study(rows)]))
    (line,) = accuracies(plan, tmp_path, {"resnet": 990, "vit": 990})
    assert line == "resnet: accuracy 99.0 %, published 80.0 %: may be images that the model was trained on"
    assert accuracies(plan, tmp_path, {"resnet": 845}) == []
    assert plan.similarity()[0].step.params["above_published"] == {"margin": 5.0, "errors": 3.0}
    assert "above_published" not in Plan(load_study([write_study()])).similarity()[0].step.params


def test_the_caveat_names_the_models():
    names = ["high", "low", "unknown"]
    pairs = pd.DataFrame(
        [
            {"source": one, "target": other, "n_both_correct": 9, "rate": 0.5, "rate_low": 0, "rate_high": 1}
            for one in names
            for other in names
        ]
    ).assign(noise_rate=0.0)
    accuracy, published = dict.fromkeys(names, 0.99), {"high": 80.0, "low": 98.0}
    table = model_table(pairs, {}, accuracy, 0.9, published, 2.0, dict.fromkeys(names, 500))
    assert table.set_index("model")["above_published"].to_dict() == {"high": True, "low": False, "unknown": False}
    of, quantity, n, _, _, share, warning = above_published(table.set_index("model"))
    assert (of, quantity, n, share) == ("accuracy", "above_published", 2, 0.5)
    assert "may be images that the model was trained on: high (99.0 %, published 80.0 %)" in warning
    assert "low" not in warning
    assert above_published(table.set_index("model").drop("high"))[-1] == ""


@pytest.mark.slow
def test_one_run_names_all_models_that_are_not_accurate_enough(project: Project) -> None:
    project.configure(min_accuracy=0.999)
    for path in project.results.glob("clean/[rv]*.h5*"):
        path.unlink()
    done = project.snakemake("--cores", "1")
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "of 3 models are below min_accuracy (0.999)" in said
    done = project.snakemake("--until", "gate", "--keep-going")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    for text in (said[said.index("3 of 3 models are below") :], project.sat("status").stdout):
        assert "3 of 3 models are below min_accuracy (0.999)" in text
        named = dict(re.findall(r"^  (\w+) +(0\.\d{4}) \(\d+ of 719 images right\)$", text, re.MULTILINE))
        assert set(named) == {"resnet", "vit", "byobnet"} and list(named.values()) == sorted(named.values())
    # Other failures do not bring it up.
    project.configure(min_accuracy=0.0)
    (project.results / "weights/vit.safetensors").write_bytes(b"damaged")
    done = project.snakemake("--forcerun", "clean", "--until", "clean")
    assert done.returncode == 1 and "below min_accuracy" not in done.stdout + done.stderr
