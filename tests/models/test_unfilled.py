"""Nets that are built for stored weights, compared with nets that were given random weights first."""

import csv
import random
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from forks import apart
from nets import equal_without_drawing
from sat.models.classifier import Blueprint, build, load_classifier, save_classifier
from sat.models.unfilled import WithoutDrawing


def architectures(*tables: Path) -> dict[str, str]:
    """One name for each net: what follows the point says which weights it gets."""
    rows = (row for table in tables for row in csv.DictReader(table.open(encoding="utf-8")))
    named = {row["architecture"] for row in rows if row.get("architecture") and ":" not in row["architecture"]}
    return {name.partition(".")[0]: name for name in sorted(named)}


ALL = architectures(*sorted((ROOT / "studies").glob("*.csv")))
SMALL = [name for name in ALL.values() if name.startswith("test_")]
# Those of the paper's study are loaded in test_imagenet69_nets.py.
LARGE = [ALL[net] for net in sorted(ALL.keys() - architectures(ROOT / "studies/imagenet69.csv")) if net not in SMALL]
SAMPLE = random.Random(0).sample(LARGE, 2)


@pytest.mark.parametrize(
    "architecture",
    [*SMALL, *(pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in LARGE)],
)
def test_values_and_logits_are_those_of_a_net_that_was_drawn_first(architecture, tmp_path):
    apart(equal_without_drawing, architecture, tmp_path / "weights.safetensors")


def test_random_values_are_skipped_for_parameters_alone():
    with WithoutDrawing():
        weight = torch.nn.Parameter(torch.full((50, 50), 7.0))
        for draw in (
            torch.nn.init.kaiming_uniform_,
            torch.nn.init.kaiming_normal_,
            torch.nn.init.xavier_uniform_,
            torch.Tensor.normal_,
        ):
            draw(weight)
            assert (weight == 7).all()
        assert (torch.nn.init.zeros_(weight) == 0).all()
        assert torch.nn.init.normal_(torch.zeros(50)).std() > 0.5
    assert torch.nn.init.normal_(weight).std() > 0.5


def test_a_net_that_is_loaded_draws_nothing(tmp_path):
    save_classifier(build(Blueprint("test_vit", 10, 160, (0.5,) * 3, (0.5,) * 3)), tmp_path / "weights.safetensors")
    before = torch.get_rng_state()
    load_classifier(tmp_path / "weights.safetensors")
    assert (torch.get_rng_state() == before).all()
