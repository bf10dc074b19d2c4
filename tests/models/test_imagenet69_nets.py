"""All models of the paper's study, built and differentiated with random weights, and for other classes."""

import csv

import pytest

from conftest import ROOT
from forks import apart
from nets import differentiate

ROWS = list(csv.DictReader((ROOT / "studies/imagenet69.csv").open(encoding="utf-8")))
MEMORY = 6 * 10**9


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[row["model"] for row in ROWS])
def test_it_is_loaded_as_it_was_has_a_gradient_and_other_classes_change_its_classifier_alone(row, request, tmp_path):
    device = "cuda" if request.config.getoption("--gpu") else "cpu"
    # In a process of its own: the memory of a net is given back, and a greedy one is stopped alone.
    apart(differentiate, row["architecture"], int(row["input_size"]), device, MEMORY, tmp_path / "weights.safetensors")


def test_nine_models_are_normalised_by_a_half():
    import timm

    half = {row["model"] for row in ROWS if timm.get_pretrained_cfg(row["architecture"]).mean == (0.5, 0.5, 0.5)}
    # xception65.tf_in1k, which stands for a net of Gluon with other constants, makes ten.
    assert len(half) == 10 and "xception65" in half
    sizes = [int(row["input_size"]) for row in ROWS]
    assert [sizes.count(size) for size in (224, 240, 256, 299)] == [48, 2, 18, 1]
