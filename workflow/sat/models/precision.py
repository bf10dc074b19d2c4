"""The precision in which models compute, and what is pinned so that a result depends on nothing else.

PyTorch's defaults depend on the GPU: from NVIDIA's Ampere on, convolutions round their inputs to
TF32, which keeps 10 bits of a float32's 23, and matrix products do not. Here, `float32` is float32
everywhere, and the study says where it is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch

from sat.logs import log

MEMORY_FORMAT = "channels_last"
"""Memory layout of images and of convolutions' weights: see `Classifier.place` and `to_unit`."""
FIRST_WITH_TF32 = 8
"""Compute capability of the first GPUs that have TF32 (Ampere)."""
Result = TypeVar("Result")


def pin(asked: str, device: str) -> dict[str, Any]:
    """Pin everything in this process that decides how models round, and which algorithms they use.

    Parameters
    ----------
    asked : str
        The study's precision: float32, tf32 or bfloat16 (for training, also float16). tf32 allows a GPU to use TF32
        in convolutions and matrix products. A device without TF32 computes in float32, which is more exact.
        For bfloat16, nothing is set for the process: see `forward_in`.
    device : str
        cpu or cuda.

    Returns
    -------
    dict
        What was asked for and what is computed, and the flags, for the sidecars. `tolerate` changes it.
    """
    computed = asked
    if asked == "tf32" and not (device == "cuda" and torch.cuda.get_device_capability()[0] >= FIRST_WITH_TF32):
        computed = "float32"
        log.info("the study allows TF32, which this device does not have; it computes in float32, which is more exact")
    # torch has newer names for these flags. It refuses to read the old ones after the new ones were set, and other
    # packages read the old ones. The first line also pins the CPU's own matrix products.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = computed == "tf32"
    torch.backends.cudnn.allow_tf32 = computed == "tf32"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # cuBLAS needs this for deterministic products, and reads it when it starts.
    if device == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch.use_deterministic_algorithms would do the same, and import a compiler.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _pinned.clear()
    _pinned.update(
        asked=asked,
        computed=computed,
        matmul_tf32=torch.backends.cuda.matmul.allow_tf32,
        convolution_tf32=torch.backends.cudnn.allow_tf32,
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        deterministic=True,
        memory_format=MEMORY_FORMAT,
        compiled=False,
    )
    # These variables overrule the flags within NVIDIA's libraries.
    variables = ("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE")
    _pinned.update({name: os.environ[name] for name in variables if name in os.environ})
    return _pinned


_pinned: dict[str, Any] = {}
"""What `pin` returned last. The flags of torch belong to the process, too."""


def tolerate(operation: str) -> None:
    """Go on with deterministic algorithms only where they exist, and record that.

    Parameters
    ----------
    operation : str
        What has none, or may have none.
    """
    torch.set_deterministic_debug_mode("warn")
    _pinned["deterministic"] = f"except {operation}"


def deterministically(work: Callable[[], Result]) -> Result:
    """Compute something that can be computed twice, with deterministic algorithms.

    If an operation has none, such as the gradient of a bicubic resize on a GPU, it is
    allowed in this process from then on, and everything is computed again.

    Under torch's own warn-only mode, the gradient of attention would not be
    deterministic on a GPU, although it can be.

    Parameters
    ----------
    work : callable

    Returns
    -------
    Result
        What `work` returns.
    """
    try:
        return work()
    except RuntimeError as error:
        # torch has no class of its own for this error.
        if "determinis" not in str(error) or torch.get_deterministic_debug_mode() != 2:
            raise
        operation, says, _ = str(error).partition(" does not have a deterministic implementation")
        operation = operation if says else "an operation"
    log.warning("%s has no deterministic algorithm here; another run may differ in the last bits", operation)
    tolerate(operation)
    return work()


def forward_in(precision: str, device: str) -> AbstractContextManager[object]:
    """Context in which a model computes its outputs in a precision; its weights stay float32.

    Parameters
    ----------
    precision : str
        float32, tf32 or bfloat16. In bfloat16, convolutions and matrix products are computed in it, and operations
        that PyTorch considers unsafe in it are not.
    device : str
        Device of the images.
    """
    # torch.autocast with enabled=False would switch off a context around this one, as in training.
    return torch.autocast(device, torch.bfloat16) if precision == "bfloat16" else nullcontext()
