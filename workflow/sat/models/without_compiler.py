"""The import of timm, without PyTorch's compiler.

Two functions of `torch._dynamo` are called for while timm and torchvision are imported, although both matter only
where something is compiled. With that module come sympy and torch.distributed: 0.9 of the 2.1 s that timm takes to
start, in every job that runs a model. So both get a stand-in that imports the compiler when it is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


def import_timm() -> None:
    """Import timm as ``import timm`` does, and leave the compiler to whoever uses it.

    Afterwards, ``import torch._dynamo`` and ``torch.compile`` work as ever.
    """
    if COMPILER in sys.modules or "torchvision" in sys.modules:
        return
    stand_ins = [
        _StandIn(COMPILER, disable=_disable),
        _StandIn(f"{COMPILER}.utils", is_compile_supported=_is_compile_supported),
    ]
    sys.modules.update({module.__name__: module for module in stand_ins})
    try:
        import timm  # noqa: F401
    finally:
        _take_away()


class _StandIn(ModuleType):
    """A module of the compiler that has some functions. Another version of a library may ask it for more."""

    def __init__(self, name: str, **functions: Callable[..., Any]) -> None:
        super().__init__(name)
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        # Import statements look for `__path__` in every module, and only the package has one.
        if name.startswith("__") and (name, self.__name__) != ("__path__", COMPILER):
            raise AttributeError(name)
        _take_away()
        return getattr(import_module(self.__name__), name)


def _take_away() -> None:
    for name in [name for name, module in sys.modules.items() if isinstance(module, _StandIn)]:
        del sys.modules[name]


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **_: object) -> Callable[..., Any]:
    """Keep the compiler away from a function, as PyTorch does in its own modules: from the first call on."""
    torch: Any = import_module("torch")
    disabled: Callable[..., Any] = torch._disable_dynamo(function, recursive)
    return disabled


def _is_compile_supported(*arguments: object) -> object:
    return import_module(f"{COMPILER}.utils").is_compile_supported(*arguments)
