"""Nets of the user's own, from code files.

A net is a function ``name(num_classes, **options)`` that returns an nn.Module from normalised images, shape
(n, 3, S, S), to logits, shape (n, num_classes). It is imported from the copy in the study's results.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sat.errors import SatError
from sat.study.copies import check_modules, find_copy, importable, place_in


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


class WrongArguments(SatError):
    """A function of a code file does not take the arguments that it is called with."""


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
    WrongArguments
        If the function does not take an option.
    """
    module, _, name = architecture.partition(":")
    folder = find_copy(module, code, f"net {architecture!r}", near)
    with importable(folder):
        try:
            found = importlib.import_module(module)
            check_modules(folder)
            function = getattr(found, name, None)
            if not callable(function):
                what = "has no such name" if function is None else f"has a {type(function).__name__} of this name"
                raise SatError(
                    f"net {architecture!r}: {module}.py {what} when it is imported; write a function "
                    f"{name}(num_classes) there that returns an nn.Module."
                )
            _check_arguments(architecture, function, {"num_classes": num_classes, **options})
            net = function(num_classes=num_classes, **options)
        except SatError:
            raise
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            what = "it calls sys.exit" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
            raise SatError(f"net {architecture!r}: {place_in(folder, error)}: {what}") from None
    if not isinstance(net, nn.Module):
        raise SatError(f"net {architecture!r}: the function returns a {type(net).__name__} instead of an nn.Module.")
    return net


def _check_arguments(architecture: str, function: Callable[..., object], given: Mapping[str, Any]) -> None:
    """Refuse arguments that a function does not take, before it runs."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some functions written in C have none
    try:
        signature.bind(**given)
    except TypeError as error:
        raise WrongArguments(
            f"net {architecture!r}: its function takes {signature} and is called with {', '.join(given)} ({error}). It "
            "takes num_classes, and one argument for each column option.<argument> that is filled."
        ) from None


def said_by(net: nn.Module, architecture: str, wanted: Sequence[str]) -> dict[str, Any]:
    """Find what a net says of its input, in an attribute `pretrained_cfg` or `default_cfg` as nets of timm have it.

    Parameters
    ----------
    net : nn.Module
    architecture : str
    wanted : sequence of {'input_size', 'mean', 'std'}

    Returns
    -------
    dict
        What it says: side in pixels; mean and standard deviation of each channel in units of [0, 1].

    Raises
    ------
    SatError
        If a value is impossible.
    """
    settings = getattr(net, "pretrained_cfg", None) or getattr(net, "default_cfg", None) or {}
    found: dict[str, Any] = {}
    for name in wanted:
        raw = settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)
        if raw is None:
            continue
        try:
            found[name] = _READ[name](raw)
        except (TypeError, ValueError, IndexError):
            right = "(3, 224, 224)" if name == "input_size" else "(0.485, 0.456, 0.406), in units of [0, 1]"
            raise SatError(
                f"net {architecture!r}: says {name} = {raw!r} in its pretrained_cfg, and a right value is such as "
                f"{right}. Correct it there, or fill the column {name!r}."
            ) from None
    return found


def _side(raw: Any) -> int:
    sides = {int(side) for side in ([raw] if isinstance(raw, int) else raw[-2:])}
    if len(sides) != 1 or min(sides) < 1:
        raise ValueError("images are square")
    return sides.pop()


def _channels(raw: Any, least: float) -> tuple[float, ...]:
    values = tuple(float(value) for value in ([raw] if isinstance(raw, int | float) else raw))
    if len(values) not in (1, 3) or not all(least <= value <= 1 for value in values):
        raise ValueError("one number or three, in units of [0, 1]")
    return values * 3 if len(values) == 1 else values


_READ: Mapping[str, Callable[[Any], Any]] = {
    "input_size": _side,
    "mean": lambda raw: _channels(raw, 0.0),
    "std": lambda raw: _channels(raw, 1e-6),
}


def not_logits(found: object) -> str:
    """Say what a net returns in place of logits, and how a line makes logits of it; empty for a tensor."""
    if isinstance(found, torch.Tensor):
        return ""
    what = f"returns a {type(found).__name__}"
    if hasattr(found, "logits"):
        line = "return self.net(x).logits"
    elif isinstance(found, Mapping):
        what, line = f"{what} with the keys {', '.join(map(repr, found))}", "return self.net(x)['logits']"
    elif isinstance(found, tuple | list):
        what, line = f"{what} of {len(found)}", "return self.net(x)[0]"
    else:
        line = "return logits"
    return (
        f"{what} in place of one tensor of logits. Let its function return a module around it, whose forward takes "
        f"them out, such as: {line}"
    )


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
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise SatError(
            f"net {architecture!r}: does not take images of shape (2, 3, {size}, {size}) ({type(error).__name__}: "
            f"{error}). Its column 'input_size' says the side."
        ) from None
    finally:
        net.train(training)
    if words := not_logits(found):
        raise SatError(f"net {architecture!r}: {words}.")
    if tuple(found.shape) != (2, num_classes):
        raise SatError(
            f"net {architecture!r}: two images give {tuple(found.shape)} instead of logits of shape (2, {num_classes})."
            " The number of classes is that of the study's images, unless the column 'classes' says another."
        )


def check_layer(net: nn.Module, architecture: str, layer: str) -> None:
    """Refuse a layer in column `features` that a net does not have."""
    # A net has itself under an empty name.
    names = [name for name, _ in net.named_modules() if name]
    if layer not in names:
        raise SatError(
            f"net {architecture!r}: has no layer {layer!r}, which its column 'features' names; its last layers are "
            f"{', '.join(names[-3:])}."
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
