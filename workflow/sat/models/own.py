"""Nets of the user's own, from code files. The only place where code that came with a study runs.

A net is a function ``name(num_classes, **options)`` that returns an nn.Module from normalised images, shape
(n, 3, S, S), to logits, shape (n, num_classes). It is imported from the copy in the study's results.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sat.errors import SatError
from sat.study.code import CONSENT, COPIES, FOLDER, KEY, consents, digest_of, read_copy


@dataclass(frozen=True)
class Own:
    """What a step says of a net from a code file, beside what it says of every net."""

    code: str
    """Digest of the code file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the function."""
    features: str = ""
    """Layer whose input counts as features; empty if the net has `forward_head`, or none is known."""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Own | None:
        """From the params of a step; None for a net of timm."""
        names = ("code", "options", "features")
        return cls(**{name: params[name] for name in names if name in params}) if "code" in params else None


def create_own(
    architecture: str, code: str, num_classes: int, options: Mapping[str, Any], near: Path | str | None = None
) -> nn.Module:
    """Call the function of a code file that makes a net.

    Parameters
    ----------
    architecture : str
        Name of the function, such as `my_nets:resnet20`.
    code : str
        Digest of the code file.
    num_classes : int
    options : mapping
        Arguments of the function.
    near : path, optional
        A file of the study's results, from which the copy of the code file is found.

    Returns
    -------
    nn.Module

    Raises
    ------
    SatError
        If the user does not consent, the copy is missing or another one, or the function fails.
    TypeError
        If the function does not take an option.
    """
    module, _, name = architecture.partition(":")
    folder = _find(code, near, architecture)
    if not consents():
        raise SatError(
            f"net {architecture!r}: is made by code that came with the study, {folder / module}.py, and runs with all "
            f"your rights. Read it. If you trust it, set {CONSENT}=1, or give Snakemake --config {KEY}=true."
        )
    if digest_of(read_copy(folder)) != code:
        raise SatError(f"{folder}: is another code than that of its name; delete the folder and run Snakemake again.")
    with _importable(folder):
        try:
            found = importlib.import_module(module)
            _check_modules(folder)
            function = getattr(found, name)
            net = function(num_classes=num_classes, **options)
        except SatError:
            raise
        except Exception as error:  # the user's code may raise anything
            place = next((frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame), None)
            if isinstance(error, TypeError) and place and place.filename == __file__:
                raise TypeError(str(error)) from None
            where = f"{place.filename}, line {place.lineno}: " if place else ""
            raise SatError(f"net {architecture!r}: {where}{type(error).__name__}: {error}") from None
    if not isinstance(net, nn.Module):
        raise SatError(f"net {architecture!r}: the function returns a {type(net).__name__} instead of an nn.Module.")
    return net


@torch.no_grad()
def check_outputs(net: nn.Module, architecture: str, num_classes: int, size: int) -> None:
    """Compare the outputs of a net with the number of classes.

    Parameters
    ----------
    net : nn.Module
    architecture : str
    num_classes : int
    size : int
        Side of the net's input in pixels.

    Raises
    ------
    SatError
        If the net does not take images of this size, or has another number of outputs.
    """
    training = net.training
    try:
        found = net.eval()(torch.zeros(2, 3, size, size))
    except Exception as error:  # the user's code may raise anything
        raise SatError(
            f"net {architecture!r}: does not take images of shape (2, 3, {size}, {size}) ({type(error).__name__}: "
            f"{error}). Its column 'input_size' says the side."
        ) from None
    finally:
        net.train(training)
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (2, num_classes):
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise SatError(
            f"net {architecture!r}: two images give {shape} instead of logits of shape (2, {num_classes}). The number "
            "of classes is that of the study's images, unless the column 'classes' says another."
        )


@torch.no_grad()
def check_rebuilt(trained: nn.Module, again: nn.Module, architecture: str, size: int) -> None:
    """Load a trained net's weights into the net that is built around stored weights, and compare the logits.

    Parameters
    ----------
    trained, again : nn.Module
        What the function returned where `pretrained` was True, and where it was False.
    architecture : str
    size : int
        Side of the net's input in pixels.

    Raises
    ------
    SatError
        If the weights do not fit, or the two nets compute other logits.
    """
    start = f"net {architecture!r}: with 'pretrained' False, the function returns another net than with True"
    try:
        again.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise SatError(f"{start}, and the weights do not fit it ({' '.join(str(error).split())[:300]}).") from None
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    one, other = trained.eval()(images), again.eval()(images)
    if not torch.allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True):
        raise SatError(
            f"{start}: around the same weights, its logits differ by up to {(one - other).abs().max():.2g}. A setting "
            "that is not among the weights differs, such as an activation; build both nets with the same settings."
        )


def _find(code: str, near: Path | str | None, architecture: str) -> Path:
    """The copy of a code file."""
    places = [Path(os.environ[COPIES])] if COPIES in os.environ else []
    places += [parent / FOLDER for parent in Path(near).resolve().parents] if near else []
    found = next((place / code for place in places if (place / code).is_dir()), None)
    if found is None:
        raise SatError(
            f"net {architecture!r}: the copy of its code (results/<study>/{FOLDER}/{code[:12]}...) is not there. If "
            "the code file has changed since Snakemake started, run it again."
        )
    return found.absolute()


def _check_modules(folder: Path) -> None:
    """Refuse modules that were imported from elsewhere under the names of the copy's files."""
    for path in sorted(folder.rglob("*.py")):
        name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        module = sys.modules.get(name)
        if module and not Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
            raise SatError(
                f"{path}: another module {name!r} is loaded already ({module.__file__}). Rename the code file if it is "
                "an installed package; otherwise read this version of the code in a process of its own."
            )


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python import from a folder. Compiled files are neither read there nor written."""
    # The folder stays in the path, and nothing is compiled any more, since a net may import more when it runs. The
    # files of a study have different names.
    sys.dont_write_bytecode = True
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    prefix, sys.pycache_prefix = sys.pycache_prefix, str(folder.parent / ".none")
    try:
        yield
    finally:
        sys.pycache_prefix = prefix
