"""A study's models, ready to use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sat.errors import SatError
from sat.results.reading import Folder
from sat.study.code import CONSENT, FOLDER, consents

if TYPE_CHECKING:
    from torch import Tensor

    from sat.models.classifier import Classifier


def read_classifier(folder: Folder, model: str, device: str, trust_code: bool) -> Classifier:
    """Load a model of the study; see `StudyResults.classifier`."""
    from sat.models.classifier import load_classifier, pick_device

    name = f"weights/{model}.safetensors"
    params = folder.check(name)["params"]
    if code := params.get("code", ""):
        check_trusted(folder, model, params["architecture"], code, trust_code)
    with _consent(trust_code):
        classifier = load_classifier(folder.path / name, pick_device(device))
    classifier.register_forward_pre_hook(lambda module, given: check_unit_images(model, given[0]))
    return classifier


def check_trusted(folder: Folder, model: str, architecture: str, digest: str, trust_code: bool) -> None:
    """Stop before the code of a study runs without consent.

    Raises
    ------
    SatError
        With file and digest.
    """
    if trust_code or consents():
        return
    module = architecture.partition(":")[0]
    raise SatError(
        f"model {model!r}: its net {architecture!r} is made by code that came with the study, "
        f"{folder.path / FOLDER / digest / module}.py (digest {digest[:12]}), and runs with all your rights. Read it. "
        "If you trust it, call sat.open_study(..., trust_code=True)."
    )


@contextmanager
def _consent(given: bool) -> Iterator[None]:
    """Let code files run within the block if the caller trusts them, and not after it."""
    before = os.environ.get(CONSENT)
    if given:
        os.environ[CONSENT] = "1"
    try:
        yield
    finally:
        if given and before is None:
            del os.environ[CONSENT]
        elif given:
            os.environ[CONSENT] = str(before)


def check_unit_images(model: str, images: Any) -> None:
    """Refuse what a model of the study would take for images and answer with nonsense.

    Parameters
    ----------
    model : str
        Its name, for messages.
    images : Tensor
        What it was called with.

    Raises
    ------
    SatError
        If they are not float images in [0, 1], shape (n, 3, S, S).
    """
    import torch

    right = "It takes a float tensor of shape (n, 3, S, S) with values in [0, 1]"
    if not isinstance(images, torch.Tensor):
        raise SatError(f"model {model!r}: got a {type(images).__name__} instead of a tensor. {right}: {_CONVERT}")
    shape = tuple(images.shape)
    if not images.is_floating_point():
        raise SatError(f"model {model!r}: got images of type {images.dtype}. {right}: {_CONVERT}")
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
        raise SatError(f"model {model!r}: got images of shape {shape}. {right}.")
    if images.numel() and not _within_unit(images):
        low, high = images.detach().aminmax()
        raise SatError(
            f"model {model!r}: got values from {low:g} to {high:g}. {right}; it normalises them itself. Divide grey "
            "levels by 255, and do not normalise."
        )


def _within_unit(images: Tensor) -> bool:
    low, high = images.detach().aminmax()
    # A comparison with a value that is not a number is false.
    return bool((low >= 0) & (high <= 1))


_CONVERT = "torch.from_numpy(images).float() / 255."
