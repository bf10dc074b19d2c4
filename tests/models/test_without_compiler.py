"""timm is imported without PyTorch's compiler, and the compiler is there for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm

BEFORE = """
import sys
import sat.models.classifier, sat.stages.clean, sat.stages.gate
import timm
assert not {"torch._dynamo", "sympy", "pydantic"} & set(sys.modules)
"""
AFTER = """
import torch
from torchvision.ops import roi_align
corners = torch.tensor([[0, 0.0, 0.0, 4.0, 4.0]])
assert roi_align(torch.ones(1, 1, 8, 8), corners, 2).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]
assert torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(2)).tolist() == [2.0, 2.0]
from timm.models.naflexvit import NaFlexRopeIterator
assert callable(NaFlexRopeIterator.__next__)
from torch._dynamo.utils import is_compile_supported
assert sys.modules["torch._dynamo"] is torch._dynamo and torch._dynamo.__file__
print(len(timm.list_models()))
"""
TRAINED = """
import sys
import numpy as np
import torch
from sat.models.classifier import plan_blueprint
from sat.models.sizes import size_facts
from sat.models.training import make_optimiser, train
from sat.study.training import Training

class Kept:
    due, state = True, None
    def read(self):
        return self.state
    def write(self, state):
        self.state = state

kept = Kept()
images, labels = np.zeros((16, 3, 32, 32), np.uint8), np.arange(16) % 10
blueprint = plan_blueprint("test_vit", 10, 32)
for name in ("adamw", "sgd", "lamb", "muon"):
    settings = Training(epochs=2, batch_size=8, optimiser=name)
    classifier = train(blueprint, images, labels, settings, seed=(0, name), checkpoint=kept).classifier
    train(blueprint, images, labels, settings, seed=(0, name), checkpoint=kept)
    kept.state = None
assert size_facts(classifier)["gmacs"] > 0
assert not {"torch._dynamo", "torch.distributed.tensor", "sympy"} & set(sys.modules)

optimiser = make_optimiser(classifier.requires_grad_(True).train(), Training())
@torch.compile(backend="eager")
def loss(images):
    return classifier(images).square().mean()
before = classifier.net.head.weight.clone()
loss(torch.ones(2, 3, 32, 32)).backward()
optimiser.step()
optimiser.zero_grad()
assert sys.modules["torch._dynamo"].__file__ and not torch.equal(before, classifier.net.head.weight)
# The compiler is kept away from PyTorch's own function, although it was called without a compiler before.
assert type(optimiser).zero_grad.__wrapped__.__dynamo_disable._torchdynamo_disable

import timm.optim.muon
assert not isinstance(torch.ones(2), timm.optim.muon.DTensor)
import torch.distributed
import torch.distributed.tensor
torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
assert isinstance(torch.distributed.tensor.distribute_tensor(torch.ones(2), mesh), timm.optim.muon.DTensor)
torch.distributed.destroy_process_group()
"""
MORE = """
import sys
from sat.models.without_compiler import _StandIn, without_compiler
with without_compiler():
    {what}
assert not any(isinstance(module, _StandIn) for module in sys.modules.values())
import torch._dynamo
assert torch._dynamo.__file__
"""


def call(code: str) -> str:
    """Run code in a process of its own, which has imported nothing yet."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_compiler_is_not_imported_and_works_when_it_is_asked_for() -> None:
    assert int(call(BEFORE + AFTER)) == len(timm.list_models())


def test_training_and_counting_do_without_the_compiler_which_works_afterwards() -> None:
    call(TRAINED)


@pytest.mark.parametrize(
    "what",
    [
        "from torch._dynamo.eval_frame import is_dynamo_supported; from torch._dynamo.utils import counters",
        "from torch.distributed.tensor.parallel import ColwiseParallel; from torch.distributed.tensor import Replicate",
    ],
)
def test_another_version_of_a_library_that_asks_the_compiler_for_more_gets_the_compiler(what: str) -> None:
    call(MORE.format(what=what))
