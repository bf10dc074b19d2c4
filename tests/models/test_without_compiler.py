"""timm is imported without PyTorch's compiler, and the compiler is there for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import timm

BEFORE = """
import sys
import sat.models.classifier
import timm
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
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
MORE = """
import sys
from sat.models.without_compiler import COMPILER, _StandIn
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


def test_another_version_of_a_library_that_asks_the_compiler_for_more_gets_the_compiler() -> None:
    # The process has imported timm by then, so these are stand-ins without any function.
    call(
        MORE.format(
            what="sys.modules.update({name: _StandIn(name) for name in (COMPILER, f'{COMPILER}.utils')})\n"
            "from torch._dynamo.eval_frame import is_dynamo_supported\n"
            "from torch._dynamo.utils import counters"
        )
    )
