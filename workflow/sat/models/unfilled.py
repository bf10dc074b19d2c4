"""Networks that are built without drawing random weights, since their weights are stored or do not matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

DRAWS = frozenset({"uniform_", "normal_", "erfinv_", "kaiming_uniform_"})
"""What PyTorch and timm draw with. Other functions of torch.nn.init call these."""


class WithoutDrawing(TorchFunctionMode):
    """Context in which parameters are not given random values: they hold what was in memory.

    To be used only where stored weights replace every parameter, or none is ever used. For
    ViT-B, drawing takes 0.6 of the 0.95 CPU seconds until the weights are loaded.

    Constants are still written, and buffers are left alone, so all that a network computes
    from them when it is built is as ever. What follows from random values would be another
    one in every process anyway.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, unless it would draw a parameter's values."""
        kwargs = kwargs or {}
        # Functions of torch.nn.init pass the tensor on by its name.
        given = args[0] if args else kwargs.get("tensor")
        if isinstance(given, nn.Parameter) and getattr(func, "__name__", "") in DRAWS:
            return given
        return func(*args, **kwargs)
