"""Expected times of jobs, against closed forms and against what jobs of a finished study took."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import pytest

from conftest import ROOT, TINY
from projects import Project, unwrapped
from sat.errors import SatError
from sat.status.verify import verify
from sat.study.expected import DEVICES, Device, Expected, Passes, device_file
from sat.study.forecast import Forecast
from sat.study.plan import Plan
from sat.study.study import load_study

RATES = [
    {"architecture": "resnet50", "gmacs": 4.0, "precision": "float32", "forward": 1000, "gradient": 250},
    {"architecture": "vit_base_patch16_224", "gmacs": 16.0, "precision": "float32", "forward": 500, "gradient": 200},
    {"architecture": "resnet50", "gmacs": 4.0, "precision": "bfloat16", "forward": 4000, "gradient": 1000},
]
GOOD = {"kind": "cuda", "start_seconds": 7.0, "rates": RATES}


def write_device(folder, **changes):
    path = folder / "made-up.json"
    path.write_text(json.dumps({**GOOD, **changes}))
    return path


def benchmark(results, job, seconds):
    path = results / f"benchmarks/{job}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t1.0\n")


@pytest.fixture
def tiny(write_study, tmp_path):
    """A study of four models of 1, 2, 3 and 6 GMACs, and the folder of its results."""
    rows = [
        {"model": name, "architecture": "test_vit", "weights": "train", "family": "a", "n_parameters": 10**6}
        | {"gmacs": gmacs}
        for name, gmacs in (("a", 1), ("b", 2), ("c", 3), ("d", 6))
    ]
    plan = Plan(load_study([write_study(rows)]))
    return plan, Forecast(plan), tmp_path / "results"


def finished(plan, results, *paths, **run):
    """Sidecars of artefacts as their jobs would have written them."""
    artefacts = plan.artefacts()
    return {str(results / path): {"params": artefacts[path].step.params, "run": run} for path in paths}


def test_a_start_and_a_time_for_the_work_are_learned_from_the_studys_own_jobs(tiny):
    plan, forecast, results = tiny
    for name, gmacs in (("a", 1), ("b", 2), ("c", 3)):
        benchmark(results, f"clean/{name}", 5 + 10 * gmacs)
    sidecars = finished(plan, results, "clean/a.h5", "clean/b.h5", "clean/c.h5", device="cpu", threads=1)
    expected, made = Expected(forecast, results, sidecars), plan.artefacts()
    found = expected(made["clean/d.h5"])
    assert found and found.source == "own jobs" and found.seconds == pytest.approx(65)
    # Nothing is known of another stage.
    assert expected(made["adversarial/d.h5"]) is None
    # Fewer than three jobs do not tell a start from the work.
    few = dict(list(sidecars.items())[:2])
    assert Expected(forecast, results, few)(made["clean/d.h5"]).seconds == pytest.approx((15 + 25) / (1 + 2) * 6)


@pytest.mark.parametrize(("change", "why"), [({"device": "cuda"}, "device"), ({"threads": 4}, "threads")])
def test_jobs_on_another_device_do_not_count(tiny, change, why):
    plan, forecast, results = tiny
    benchmark(results, "clean/a", 10)
    sidecars = finished(plan, results, "clean/a.h5", **{"device": "cpu", "threads": 1, **change})
    assert Expected(forecast, results, sidecars)(plan.artefacts()["clean/d.h5"]) is None, why


def test_a_job_of_other_settings_does_not_count(tiny):
    plan, forecast, results = tiny
    benchmark(results, "attack/a", 10)
    sidecars = finished(plan, results, "adversarial/a.h5")
    assert Expected(forecast, results, sidecars)(plan.artefacts()["adversarial/d.h5"])
    sidecars[str(results / "adversarial/a.h5")]["params"] = {
        **plan.artefacts()["adversarial/a.h5"].step.params,
        "eps": 1,
    }
    assert Expected(forecast, results, sidecars)(plan.artefacts()["adversarial/d.h5"]) is None


def test_a_device_file_says_the_time_of_every_stage(tmp_path):
    plan = Plan(load_study([ROOT / "studies/imagenet69.yaml"]))
    expected = Expected(Forecast(plan), tmp_path, {}, Device.read(write_device(tmp_path)))
    made = plan.artefacts()
    gmacs = plan.study.model["resnet50"].gmacs
    steps = plan.attack("").gradients
    assert expected(made["clean/resnet50.h5"]).seconds == pytest.approx(7 + 55_000 / 1000 * gmacs / 4)
    attack = 7 + 5000 * (1 / 1000 + steps / 250) * gmacs / 4
    assert expected(made["adversarial/resnet50.h5"]).seconds == pytest.approx(attack)
    # Eight targets on eight sources, and on noise where targets are sources.
    tile = plan.members("c1-000", "")
    assert len(tile) == 8
    for source, rounds in (("c1-000", 9), ("c1-001", 8)):
        seconds = sum(
            5000 * rounds / (1000 if abs(size - 4) < abs(16 - size) else 500) * size / (4 if size < 8 else 16)
            for size in (plan.study.model[name].gmacs for name in tile)
        )
        # In logarithms, 8 GMACs lie in the middle of 4 and 16.
        assert expected(made[f"tiles/c1-000/{source}.h5"]).seconds == pytest.approx(7 + seconds, rel=0.35)
    assert expected(made["similarity/sat.csv"]) is None


def test_the_same_architecture_and_precision_come_first(tmp_path):
    device = Device.read(write_device(tmp_path))
    images = Passes("m", 1000, 0)
    assert device.seconds(images, 8.2, "resnet50.a1_in1k") == pytest.approx(2 * 1.025)
    assert device.seconds(images, 15.0, "deit_base") == pytest.approx(1000 / 500 * 15 / 16)
    # Where a precision was not measured, float32 stands for it, which is slower.
    assert device.seconds(Passes("m", 1000, 0, "bfloat16"), 4.0, "resnet50") == pytest.approx(0.25)
    assert device.seconds(Passes("m", 1000, 0, "tf32"), 4.0, "resnet50") == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a file of a device's speed"),
        (json.dumps({"kind": "cpu"}), "'rates' is missing"),
        (json.dumps({**GOOD, "rates": []}), "needs rates"),
        (json.dumps({**GOOD, "rates": [{**RATES[0], "forward": 0}]}), "above 0"),
        (json.dumps({**GOOD, "rates": [{**RATES[0], "gmacs": "big"}]}), "big"),
    ],
)
def test_a_wrong_device_file_is_named(tmp_path, text, says):
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(SatError, match=says) as caught:
        Device.read(path)
    assert "wrong.json" in str(caught.value) and "make bench" in str(caught.value)
    with pytest.raises(SatError, match=r"missing\.json"):
        Device.read(tmp_path / "missing.json")


def test_every_device_file_of_the_project_can_be_read():
    files = sorted(DEVICES.glob("*.json"))
    assert files
    for path in files:
        device = Device.read(path)
        assert path == device_file(json.loads(path.read_text())["device"])
        assert all(rate.gradient < rate.forward for rate in device.rates), "a gradient takes longer"


def test_plan_prints_expected_beside_limits(write_study, sat, tmp_path):
    write_study(compute={"device": "cuda"}, **{key: TINY[key] for key in TINY if key != "compute"})
    said = unwrapped(sat(tmp_path, "plan", "study.yaml").stdout)
    assert "Nothing is known yet of how long" in said and "make bench DEVICE=cuda" in said
    wrong = sat(tmp_path, "plan", "study.yaml", "--speed", str(write_device(tmp_path, kind="cpu")))
    assert wrong.returncode and "kind cpu" in unwrapped(wrong.stderr)


def test_a_finished_study_expects_of_its_stages_what_their_jobs_took(project: Project):
    plan, results = Plan(load_study([project.folder / "config.yaml"])), project.results
    known: dict = {}
    list(verify(plan, results, known=known))
    expected = Expected(Forecast(plan, results), results, known)
    sums = defaultdict(lambda: [0.0, 0.0])
    for job, (artefact, *_) in plan.jobs().items():
        head, row = (results / f"benchmarks/{job}.tsv").read_text().splitlines()[:2]
        found = expected(artefact)
        assert found and found.source == "own jobs" and found.seconds >= 0, job
        took = dict(zip(head.split("\t"), row.split("\t"), strict=True))["s"]
        sums[artefact.step.stage][0] += found.seconds
        sums[artefact.step.stage][1] += float(took)
    assert {"train", "clean", "attack", "evaluate", "similarity"} <= set(sums)
    for stage, (said, took) in sums.items():
        assert took / 2 <= said <= took * 2, stage
    # One attack is done again: the others say how long it takes, and the plan prints it.
    (results / "adversarial/byobnet.h5.json").unlink()
    text = project.sat("plan", "config.yaml").stdout
    line = re.search(r"^attack .*$", text, re.MULTILINE)[0]
    assert len(re.split(r"\s{2,}", line)) == 9, line
    assert re.search(r"Expected: \d+ (s|min) for \d+ of the \d+ job\(s\) that are left", unwrapped(text)), text
