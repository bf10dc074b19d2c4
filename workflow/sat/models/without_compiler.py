"""timm and its optimisers, without PyTorch's compiler.

timm, torchvision and the optimisers call for `torch._dynamo` while they are imported or at their first step, although
it matters only where something is compiled. With that module come sympy and torch.distributed: 0.9 of the 2.1 s that
timm takes to start, in every job that runs a model, and as much again in every training. So they get stand-ins, which
import the compiler when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

COMPILER, UTILS = "torch._dynamo", "torch._dynamo.utils"
SHARDED = "torch.distributed.tensor"

_called: list[Callable[..., Any]] = []
"""Functions of PyTorch's own that were called without the compiler, and remember so."""


def import_timm() -> None:
    """Import timm as ``import timm`` does, and leave the compiler to whoever uses it.

    Afterwards, ``import torch._dynamo`` and ``torch.compile`` work as ever.
    """
    if "torchvision" not in sys.modules:
        with without_compiler():
            import timm  # noqa: F401


@contextmanager
def without_compiler() -> Iterator[None]:
    """Context for code of timm and PyTorch that calls for the compiler and compiles nothing.

    Does nothing if the compiler is imported already.
    """
    if COMPILER in sys.modules:
        yield
        return
    stand_ins = [
        # While timm is imported, its optimiser Kron sets a limit of the compiler. The limit is lost, which does not
        # matter: we offer no Kron.
        _StandIn(COMPILER, disable=_disable, graph_break=lambda: None, config=SimpleNamespace()),
        _StandIn(UTILS, is_compile_supported=_is_compile_supported),
    ]
    if SHARDED not in sys.modules:
        stand_ins.append(_StandIn(SHARDED, DTensor=_ShardedTensor))
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        yield
    finally:
        _take_away()


class _StandIn(ModuleType):
    """A module that has some names. Another version of a library may ask it for more."""

    def __init__(self, name: str, **names: Any) -> None:
        super().__init__(name)
        vars(self).update(names, __path__=_Folders(name))

    def __getattr__(self, name: str) -> Any:
        # Import statements look for such names in every module.
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


class _Folders(list[str]):
    """Folders with the modules of a package. Whoever looks into them gets the package itself."""

    def __init__(self, package: str) -> None:
        super().__init__()
        self._package = package

    def __iter__(self) -> Iterator[str]:
        return iter(getattr(_real(self._package), "__path__", ()))


def _real(name: str) -> ModuleType:
    _take_away()
    return import_module(name)


def _take_away() -> None:
    for name in (COMPILER, UTILS, SHARDED):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
    # From their next call on, the compiler is kept away from these.
    while _called:
        vars(_called.pop()).pop("__dynamo_disable", None)


def _disable(function: Any = None, recursive: bool = True, wrapping: bool = True, **_: object) -> Any:
    """Keep the compiler away from a function, as PyTorch does in its own modules: from the first call on."""
    if not wrapping:
        # PyTorch calls the function now, and keeps the answer. Without the compiler, nothing is kept away.
        _called.append(function)
        return function
    torch: Any = import_module("torch")
    return torch._disable_dynamo(function, recursive)


def _is_compile_supported(*arguments: object) -> object:
    return import_module(UTILS).is_compile_supported(*arguments)


class _AsksForSharded(type):
    def __instancecheck__(cls, value: object) -> bool:
        # Whoever has a sharded tensor has imported its module.
        module = sys.modules.get(SHARDED)
        return module is not None and not isinstance(module, _StandIn) and isinstance(value, module.DTensor)


class _ShardedTensor(metaclass=_AsksForSharded):
    """Stands for `DTensor`: timm asks only whether a tensor is one."""
