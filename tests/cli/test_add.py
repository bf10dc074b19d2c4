"""sat add, and what sat plan then says."""

import csv
import os
import subprocess
import sys

import pytest
import timm
import torch
import yaml

import forks
from conftest import ROOT, ROWS
from projects import unwrapped
from sat.study.plan import Plan
from sat.study.study import load_study


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_model_is_added_under_a_new_cohort_with_its_components(sat, write_study, tmp_path):
    study = write_study()
    before = Plan(load_study([study])).artefacts()
    done = sat(tmp_path, "add", "test_efficientnet", "test_vit2.r160_in1k", "--study", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "test_efficientnet: pinned as test_efficientnet.r160_in1k" in done.stdout
    rows = rows_of(tmp_path / "models.csv")
    assert [row["model"] for row in rows[:3]] == [row["model"] for row in ROWS]
    efficientnet, vit = rows[3:]
    assert (efficientnet["model"], efficientnet["weights"], efficientnet["cohort"]) == (
        "test_efficientnet.r160_in1k",
        "hub",
        "2",
    )
    assert (efficientnet["base_architecture"], efficientnet["channel_attention"]) == ("CNN", "SE")
    assert (vit["base_architecture"], vit["input_size"], vit["n_parameters"]) == ("Transformer", "160", "455720")
    # Nothing of the old models is made of anything else, but for what compares all.
    after = Plan(load_study([study])).artefacts()
    changed = {name for name, made in before.items() if after[name].step.recipe != made.step.recipe}
    assert {name.split("/")[0] for name in changed} == {
        "study.json",
        "similarity",
        "analysis",
        "figures",
        "report",
        "provenance",
    }
    assert {name for name in after if name not in before and name.startswith("tiles/")} == {
        "tiles/c1-000/c2-000.h5",
        "tiles/c1-001/c2-000.h5",
        "tiles/c2-000/c1-000.h5",
        "tiles/c2-000/c1-001.h5",
        "tiles/c2-000/c2-000.h5",
    }


def test_a_checkpoint_of_one_s_own(sat, write_study, tmp_path):
    write_study()
    (tmp_path / "runs").mkdir()
    torch.save(timm.create_model("test_resnet", num_classes=10).state_dict(), tmp_path / "runs/best.pth")
    words = ("add", "test_resnet", "--weights", "best.pth", "--name", "mine", "--study", "../study.yaml")
    done = sat(tmp_path / "runs", *words, "--family", "ours")
    assert done.returncode == 0, done.stderr
    row = rows_of(tmp_path / "models.csv")[-1]
    assert (row["model"], row["weights"], row["family"]) == ("mine", "runs/best.pth", "ours")


def test_a_checkpoint_of_another_architecture_is_not_added(sat, write_study, tmp_path):
    write_study()
    torch.save(timm.create_model("test_vit", num_classes=10).state_dict(), tmp_path / "vit.pth")
    before = (tmp_path / "models.csv").read_bytes()
    words = ("add", "test_resnet", "--weights", "vit.pth", "--name", "mine", "--study", "study.yaml")
    done = sat(tmp_path, *words, "--set", "input_size=32")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for part in (
        "model 'mine'",
        "vit.pth: is not a checkpoint of 'test_resnet.r160_in1k'",
        "missing keys (",
        "unexpected keys (",
    ):
        assert part in done.stderr
    assert (tmp_path / "models.csv").read_bytes() == before
    # The same keys with other shapes.
    done = sat(tmp_path, "add", "test_vit", *words[2:], "--set", "input_size=32")
    assert "pos_embed has the shape (1, 101, 64) instead of (1, 5, 64)" in done.stderr
    assert (tmp_path / "models.csv").read_bytes() == before


NETS = """
from torch import nn
def flat(num_classes, width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, width), nn.ReLU(), nn.Linear(width, num_classes))
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_nets_of_code_files_are_compared_where_their_code_may_run(write_study, tmp_path, trusted):
    write_study(code="my_nets.py")
    (tmp_path / "my_nets.py").write_text(NETS + f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    good = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(192, 8), torch.nn.ReLU(), torch.nn.Linear(8, 10)
    ).state_dict()
    torch.save(good, tmp_path / "good.pth")
    torch.save({**good, "1.weight": torch.ones(9, 192)}, tmp_path / "other.pth")
    trust = ("--config", "trust_code=true") if trusted else ()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}

    def call(command, *words):
        return forks.sat(tmp_path, (command, *words, "--study", "study.yaml", *trust), environment, "")

    def add(file):
        options = ("--weights", file, "--name", "mine", "--set", "input_size=8", "mean=0.5", "std=0.5")
        return call("add", "my_nets:flat", *options)

    before = (tmp_path / "models.csv").read_bytes()
    done = add("other.pth")
    if trusted:
        assert done.returncode == 1 and (tmp_path / "models.csv").read_bytes() == before
        assert "model 'mine'" in done.stderr
        assert "other.pth: is not a checkpoint of 'my_nets:flat': 1.weight has the shape (9, 192)" in done.stderr
        assert add("good.pth").returncode == 0
    else:
        assert done.returncode == 0, done.stderr
        assert "model 'mine': its checkpoint was not compared with the net: the code of the study runs" in done.stdout
    checked = call("check")
    assert checked.returncode == 0, checked.stdout
    fits = "1 of 1 checkpoints fit: mine" if trusted else "1 net(s) were not tried (mine): the code of the study runs"
    assert fits in checked.stdout
    # By the way, check finds a checkpoint that was replaced later.
    torch.save({"1.bias": torch.ones(8)}, tmp_path / "good.pth")
    assert call("check").returncode == int(trusted)
    assert (tmp_path / "ran").exists() == trusted
    assert not (tmp_path / "results").exists()


def test_further_cells_are_those_given(sat, write_study, tmp_path):
    write_study()
    words = ("add", "test_resnet", "--study", "study.yaml", "--set", "input_size=48", "mean=0.5", "recipe=ours")
    done = sat(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    row = rows_of(tmp_path / "models.csv")[-1]
    assert (row["input_size"], row["mean"], row["recipe"]) == ("48", "0.5", "ours")
    before = (tmp_path / "models.csv").read_bytes()
    for wrong in ("cohort=1", "input_size", "mean=128"):
        done = sat(tmp_path, "add", "test_vit", "--study", "study.yaml", "--set", wrong)
        assert done.returncode and wrong.partition("=")[0] in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "models.csv").read_bytes() == before


def test_a_second_call_gives_a_third_cohort_and_keeps_the_file_as_it_was(sat, write_study, tmp_path):
    write_study()
    table = tmp_path / "models.csv"
    assert sat(tmp_path, "add", "test_vit2", "--study", "study.yaml").returncode == 0
    text = table.read_bytes().replace(b"\n", b"\r\n") if b"\r\n" not in table.read_bytes() else table.read_bytes()
    table.write_bytes(text)
    assert sat(tmp_path, "add", "test_convnext", "--weights", "train", "--study", "study.yaml").returncode == 0
    assert table.read_bytes().startswith(text) and table.read_bytes().endswith(b"\r\n")
    row = rows_of(table)[-1]
    assert row["cohort"] == "3" and row["input_size"] == "", "trained on the canvas"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["test_resnt"], "knows no such model"),
        (["test_resnet", "--name", "vit"], "is already in"),
        (["test_mambaout", "--name", "untagged"], "has no tag"),
        (["test_resnet", "--weights", "nowhere.pth"], "there is no file"),
        (["test_resnet", "test_vit2", "--name", "x"], "stands for one model"),
        (["test_resnet", "--table", "other.csv"], "is not a table of the study"),
    ],
)
def test_what_cannot_be_added_leaves_the_table_alone(sat, write_study, tmp_path, words, advice):
    write_study()
    before = (tmp_path / "models.csv").read_bytes()
    done = sat(tmp_path, "add", *words, "--study", "study.yaml")
    assert done.returncode == 1
    assert advice in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "models.csv").read_bytes() == before
    assert not list(tmp_path.glob(".models*"))


def test_plan_counts_jobs_and_pairs(sat, write_study, tmp_path):
    write_study([*ROWS, {**ROWS[0], "model": "retired", "use": "no"}])
    done = sat(tmp_path, "plan", "--study", "study.yaml", "--config", "tile_size=1")
    assert done.returncode == 0, done.stderr
    assert "3 models in 1 cohort(s) and 1 retired, 9 ordered pairs in 9 tiles of up to 1 x 1" in unwrapped(done.stdout)
    jobs = {
        line.split()[0]: line.split()[1:5] for line in done.stdout.splitlines() if line[:1].isalpha() and line.split()
    }
    assert jobs["attack"][:1] == ["3"] and jobs["evaluate"] == ["9", "0", "9", "0"]


def test_plan_of_the_69_models_is_that_of_snakemake(sat, tmp_path):
    study = str(ROOT / "studies/imagenet69.yaml")
    done = sat(tmp_path, "plan", "--study", study)
    assert "69 models" in done.stdout and "4,761 ordered pairs in 81 tiles" in done.stdout
    environment = {**os.environ, "PYTHONPATH": ""}
    dry = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "-n",
            "--quiet",
            "rules",
            "-s",
            str(ROOT / "Snakefile"),
            "--configfile",
            study,
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert dry.returncode == 0, dry.stderr
    counts = {
        line.split()[0]: int(line.split()[1])
        for line in dry.stdout.splitlines()
        if len(line.split()) == 2 and line.split()[1].isdigit()
    }
    planned = {
        line.split()[0]: int(line.split()[1])
        for line in done.stdout.splitlines()
        if line.split() and line.split()[0] in counts and line.split()[1].isdigit() and line.split()[0] != "total"
    }
    assert planned == {rule: count for rule, count in counts.items() if rule not in ("all", "total")}
    assert counts["attack"] == 69 and counts["evaluate"] == 81


@pytest.mark.parametrize(("overlay", "levels"), [("absolute", 16), ("normalised", 6), ("relative", 1)])
def test_readings_of_the_paper_s_step(overlay, levels):
    study = load_study([ROOT / "studies/imagenet69.yaml", ROOT / f"studies/imagenet69_step_{overlay}.yaml"])
    assert study.config.attack.step_levels == levels and study.config.attack.eps_levels == 8
    assert study.name == f"imagenet69_step_{overlay}"
    base = load_study([ROOT / "studies/imagenet69.yaml"]).config.model_dump(exclude={"study": True, "attack": {"step"}})
    assert study.config.model_dump(exclude={"study": True, "attack": {"step"}}) == base
    assert yaml.safe_load((ROOT / f"studies/imagenet69_step_{overlay}.yaml").read_text()).keys() == {"study", "attack"}
