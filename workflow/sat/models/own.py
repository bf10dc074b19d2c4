"""Nets of the user's own, from code files.

A net is a function ``name(num_classes, **options)`` that returns an nn.Module from normalised images, shape
(n, 3, S, S), to logits, shape (n, num_classes). It is imported from the copy in the study's results.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sat.errors import SatError
from sat.study.copies import check_modules, find_copy, importable


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
    folder = find_copy(module, code, f"net {architecture!r}", near)
    with importable(folder):
        try:
            found = importlib.import_module(module)
            check_modules(folder)
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
