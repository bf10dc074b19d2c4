"""All models of the paper's study, built and differentiated with random weights."""

import csv
import os
import subprocess
import sys

import pytest

from conftest import ROOT

ROWS = list(csv.DictReader((ROOT / "studies/imagenet69.csv").open(encoding="utf-8")))
MEMORY = 6 * 10**9
# In a process of its own: the memory of a net is given back, and a greedy one is stopped alone.
CODE = """
import resource
import sys
import torch
from sat.models.classifier import build, plan_blueprint
architecture, native, device, limit = sys.argv[1:]
if device == "cpu":
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit), int(limit)))
torch.manual_seed(0)
blueprint = plan_blueprint(architecture, 1000)
assert blueprint.input_size == int(native), blueprint
classifier = build(blueprint)
for value in classifier.parameters():
    # Heads and the last layers of residual blocks start at zero, and pass no gradient; trained ones are not.
    if not value.any():
        torch.nn.init.normal_(value, std=0.1)
classifier.freeze(device)
images = torch.rand(1, 3, 224, 224, device=device, requires_grad=True)
logits = classifier(images)
assert logits.shape == (1, 1000) and logits.isfinite().all()
loss = torch.nn.functional.cross_entropy(logits, torch.tensor([1], device=device))
(gradient,) = torch.autograd.grad(loss, images)
assert gradient.isfinite().all(), "the gradient is not finite"
assert (gradient != 0).float().mean() > 0.5, "most of the gradient is zero"
"""


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=[row["model"] for row in ROWS])
def test_it_builds_runs_forward_and_gives_a_gradient(row, request):
    device = "cuda" if request.config.getoption("--gpu") else "cpu"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", CODE, row["architecture"], row["input_size"], device, str(MEMORY)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nine_models_are_normalised_by_a_half():
    import timm

    half = {row["model"] for row in ROWS if timm.get_pretrained_cfg(row["architecture"]).mean == (0.5, 0.5, 0.5)}
    # xception65.tf_in1k, which stands for a net of Gluon with other constants, makes ten.
    assert len(half) == 10 and "xception65" in half
    sizes = [int(row["input_size"]) for row in ROWS]
    assert [sizes.count(size) for size in (224, 240, 256, 299)] == [48, 2, 18, 1]
