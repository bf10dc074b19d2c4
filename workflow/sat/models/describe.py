"""Description of a timm architecture by its components, read from the model itself without its weights.

The model is built on PyTorch's meta device, which knows shapes but holds no numbers.
It is run once on an empty image. Every module that is entered during the run is
recorded in order, with the modules around it (`Step`). Each of the paper's components
is then read from this list.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from torch import nn
from torch.overrides import TorchFunctionMode

from sat.models.classifier import create_net
from sat.models.sizes import count_macs
from sat.study.components import COMPONENTS, NONE, join

NORMALISATIONS = {
    "Affine": "Affine",
    "_BatchNorm": "BatchNorm",
    "FrozenBatchNorm2d": "BatchNorm",
    "FrozenBatchNormAct2d": "BatchNorm",
    **{f"EvoNorm2d{kind}": "EvoNorm" for kind in ("B0", "B1", "B2", "S0", "S1", "S2")},
    "FilterResponseNormAct2d": "FilterResponseNorm",
    "FilterResponseNormTlu2d": "FilterResponseNorm",
    "GlobalResponseNorm": "GlobalResponseNorm",
    "GroupNorm": "GroupNorm",
    "_InstanceNorm": "InstanceNorm",
    "LayerNorm": "LayerNorm",
    "RMSNorm": "RMSNorm",
    **{f"RmsNorm{kind}": "RMSNorm" for kind in ("", "Fp32", "2d", "2dFp32")},
    **{f"SimpleNorm{kind}": "SimpleNorm" for kind in ("", "Fp32", "2d", "2dFp32")},
}
"""Word for each class of modules; it also holds for derived classes. Standardised weights are not a normalisation
layer."""

ACTIVATIONS = {
    **{name: name for name in COMPONENTS["activation"].values},
    # These are timm's own forms of the same functions.
    "GELUTanh": "GELU",
    "HardSwish": "Hardswish",
    "HardSwishMe": "Hardswish",
    "HardMishMe": "HardMish",
    "MishMe": "Mish",
    "Swish": "SiLU",
    "SwishMe": "SiLU",
}

ACTIVATION_FUNCTIONS = {name.casefold(): name for name in COMPONENTS["activation"].values}
"""Functions of torch.nn.functional, for the one layer of timm that holds a function: GammaAct of DeepMind's NFNets."""

SELF_ATTENTION_2D = {
    "BatNonLocalAttn": "BAT",
    "BottleneckAttn": "BoT",
    "HaloAttn": "Halo",
    "LambdaLayer": "Lambda",
    "NonLocalAttn": "NonLocal",
}

CHANNEL_ATTENTION = {
    "CbamModule": "CBAM",
    "LightCbamModule": "CBAM",
    "CecaModule": "ECA",
    "EcaModule": "ECA",
    "EffectiveSEModule": "ESE",
    "GatherExcite": "GatherExcite",
    "GlobalContext": "GCA",
    "SEModule": "SE",
    "SqueezeExcite": "SE",
    "SqueezeExciteCl": "SE",
    "SelectiveKernel": "SK",
    "SplitAttn": "Split",
}

ATTENTION_POOLING = dict.fromkeys(
    ("AttentionPool2d", "AttentionPoolLatent", "AttentionPoolPrr", "RotAttentionPool2d"), "attention"
)

FINAL_POOLING = {
    "avg": "average",
    "fast": "average",
    "fastavg": "average",
    "max": "max",
    "fastmax": "max",
    "avgmax": "average-max",
    "fastavgmax": "average-max",
    "catavgmax": "average-max",
    "fastcatavgmax": "average-max",
    "token": "class-token",
    "map": "attention",
}
"""timm's words for the final pooling, and ours."""

SEARCHED = re.compile(
    r"""
    (tf_|gc_)?efficientnet                  # a cell search for accuracy and cost, then scaled; lite, v2, EdgeTPU too
    | (tf_)?mixnet | tinynet                # kernel sizes searched; EfficientNet shrunk by a searched rule
    | mnasnet | semnasnet | spnasnet | fbnet | hardcorenas | nasnet | pnasnet
    | (tf_)?mobilenetv3 | mobilenet_edgetpu | mobilenetv4_conv     # searched for a device
    | regnet | nf_regnet | haloregnet       # the best of a design space that was narrowed by sampling
    | rexnet                                # channels of every stage searched
    | swin_s3                               # the space and the Transformer within it searched
    """,
    re.VERBOSE,
)
"""Beginnings of the names of architectures that come from an architecture search, which no module shows. The list holds
those that the paper counts as searched, and their relatives."""


@dataclass(frozen=True)
class Step:
    """A module that is entered during the forward pass."""

    module: nn.Module
    around: tuple[nn.Module, ...]
    """The modules whose forward was running, from the model inwards to the module."""


@dataclass
class Trace:
    """What one forward pass showed."""

    model: nn.Module
    steps: list[Step] = field(default_factory=list)
    """All steps, in order of execution."""
    softmaxes: list[tuple[nn.Module, ...]] = field(default_factory=list)
    """For every softmax, and every attention that PyTorch computes in one call: the modules whose forward was running.
    """
    macs: int = 0
    """Multiply-accumulates."""


class _NoteSoftmax(TorchFunctionMode):
    """Record the calls of softmax, which is more often a function than a module."""

    def __init__(self, trace: Trace, running: list[nn.Module]) -> None:
        super().__init__()
        self.trace, self.running = trace, running

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in ("softmax", "scaled_dot_product_attention"):
            self.trace.softmaxes.append(tuple(self.running))
        return function(*args, **(kwargs or {}))


def describe(architecture: str) -> dict[str, str]:
    """Describe a timm architecture in the words of a model table.

    Parameters
    ----------
    architecture : str
        Name of a timm architecture, with or without a tag.

    Returns
    -------
    dict of str to str
        ``architecture`` with its tag, ``family`` (the module of timm that defines
        it), ``n_parameters``, ``gmacs`` (at the native size), and the components.

    Raises
    ------
    SatError
        If timm knows no such architecture.
    """
    with torch.device("meta"), warnings.catch_warnings():
        # timm warns about names that it has changed; the answer holds the new name.
        warnings.simplefilter("ignore")
        model = create_net(architecture).eval()
    config: Mapping[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    trace = run(model, config["input_size"])
    name, tag = config["architecture"], config.get("tag")
    found = {
        "base_architecture": base_architecture(trace, name),
        "hierarchical": hierarchical(trace),
        "stem": stem(trace),
        "input_size": str(config["input_size"][-1]),
        "normalisation": join(_words(trace, NORMALISATIONS)),
        "activation": activation(trace),
        "stem_pooling": stem_pooling(trace),
        "final_pooling": final_pooling(trace),
        "self_attention_2d": join(_words(trace, SELF_ATTENTION_2D)),
        "channel_attention": join(_words(trace, CHANNEL_ATTENTION)),
        "channel_attention_location": channel_attention_location(trace),
        "depthwise_convolution": depthwise_convolution(trace),
        "group_convolution": group_convolution(trace),
    }
    return {
        "architecture": f"{name}.{tag}" if tag else name,
        "family": timm.models.model_entrypoint(name).__module__.rpartition(".")[2],
        "input_size": found.pop("input_size"),
        "n_parameters": str(sum(parameter.numel() for parameter in model.parameters())),
        "gmacs": f"{trace.macs / 1e9:.3f}",
        **found,
    }


def run(model: nn.Module, input_size: tuple[int, ...]) -> Trace:
    """Run a model once on an empty image, and record what happens.

    Parameters
    ----------
    model : nn.Module
        The model, in evaluation mode.
    input_size : tuple of int
        Channels, height and width of an image.

    Returns
    -------
    Trace
    """
    trace = Trace(model)
    running: list[nn.Module] = []

    def enter(module: nn.Module, _: Any) -> None:
        trace.steps.append(Step(module, tuple(running)))
        running.append(module)

    def leave(*_: Any) -> None:
        running.pop()

    hooks = [
        hook
        for module in model.modules()
        for hook in (module.register_forward_pre_hook(enter), module.register_forward_hook(leave))
    ]
    device = next(model.parameters()).device
    with _NoteSoftmax(trace, running):
        trace.macs = count_macs(model, torch.empty(1, *input_size, device=device))
    for hook in hooks:
        hook.remove()
    return trace


def base_architecture(trace: Trace, name: str) -> str:
    """Find the base architecture.

    A softmax outside channel attention, 2D self-attention and attention pooling counts
    as the self-attention of a Transformer. A convolution after the stem that mixes
    neighbours (its kernel is larger than its stride) makes a model with self-attention
    a hybrid, and a model without self-attention a CNN. With neither, only linear layers
    can mix positions. Attention without softmax is not detected.
    """
    side = {**CHANNEL_ATTENTION, **SELF_ATTENTION_2D, **ATTENTION_POOLING}
    attends = any(not any(_word(module, side) for module in around) for around in trace.softmaxes)
    body = _convolutions(trace.steps[_first_block(trace) :])
    convolves = any(max(conv.kernel_size) > max(conv.stride) for conv in body) or any(_words(trace, SELF_ATTENTION_2D))
    if attends and convolves:
        return "Hybrid"
    if not (attends or convolves):
        return "MLP-Mixer"
    base = "Transformer" if attends else "CNN"
    return f"NAS-{base}" if SEARCHED.match(name) else base


def hierarchical(trace: Trace) -> str:
    """Say whether the features of the body, as timm lists them for extraction, have more than one resolution."""
    info: Any = trace.model.feature_info
    return _yes(len({level["reduction"] for level in (info if isinstance(info, list) else info.info)}) > 1)


def stem(trace: Trace) -> str:
    """Describe the convolutions before the first block, as long as each takes the output of the one before."""
    before = _convolutions(trace.steps[: _first_block(trace)])
    # The stem is one convolution if the model has no blocks, or if its first layer is a block.
    readers = before or _convolutions(trace.steps)
    if not readers:
        return NONE
    # If parallel convolutions read the image, the widest is the main one.
    channels = readers[0].in_channels
    start = max(
        (conv for conv in readers if conv.in_channels == channels),
        key=lambda conv: (conv.out_channels, conv.kernel_size[0]),
    )
    chain = [start]
    for conv in before[before.index(start) + 1 :] if before else []:
        if conv.in_channels != chain[-1].out_channels:
            break
        chain.append(conv)
    first, *others = [(conv.kernel_size[0], conv.stride[0]) for conv in chain]
    return "/".join(["{}s{}".format(*first), *(f"{k}s{s}" if s > 1 else f"{k}" for k, s in others)])


def activation(trace: Trace) -> str:
    """List all activation functions. Sigmoids, hard or not, are gates and are left out."""
    functions = (getattr(getattr(step.module, "act_fn", None), "__name__", "") for step in trace.steps)
    named = (ACTIVATION_FUNCTIONS[name] for name in functions if name in ACTIVATION_FUNCTIONS)
    return join([*_words(trace, ACTIVATIONS), *named])


def stem_pooling(trace: Trace) -> str:
    """Say whether a pooling layer runs before the first block."""
    before = trace.steps[: _first_block(trace)]
    return _yes(any(isinstance(step.module, nn.MaxPool2d | nn.AvgPool2d) for step in before))


def final_pooling(trace: Trace) -> str:
    """Say how features become one vector, from timm's word in the model, its head, or the pooling layer."""
    if any(_word(step.module, ATTENTION_POOLING) for step in trace.steps):
        return "attention"
    layers = [step.module for step in trace.steps if isinstance(step.module, SelectAdaptivePool2d)]
    parts = [trace.model, getattr(trace.model, "head", None), *layers]
    named = [getattr(part, word, None) for part in parts for word in ("global_pool", "pool_type")]
    # If global_pool is the layer itself, or a layer that does nothing, it does not hold the word.
    kinds = [kind for kind in named if isinstance(kind, str) and kind]
    return FINAL_POOLING.get(kinds[0], "other") if kinds else "other"


def channel_attention_location(trace: Trace) -> str:
    """Say whether a convolution of the same block follows the channel attention.

    If any block ends with the channel attention, the location is the end: a block that
    changes the resolution also has a convolution in its shortcut, which may run last.
    """
    places = set()
    for number, step in enumerate(trace.steps):
        if _word(step.module, CHANNEL_ATTENTION):
            block = step.around[-1]
            later = [item for item in trace.steps[number + 1 :] if block in item.around]
            # The attention's own convolutions do not count.
            later = [item for item in later if step.module not in item.around]
            places.add("middle" if _convolutions(later) else "end")
    return "end" if "end" in places else "middle" if places else NONE


def depthwise_convolution(trace: Trace) -> str:
    """Say whether a convolution has as many groups as input channels."""
    return _yes(any(1 < conv.groups == conv.in_channels for conv in _convolutions(trace.steps)))


def group_convolution(trace: Trace) -> str:
    """Say whether a convolution has groups of more than one input channel."""
    return _yes(any(1 < conv.groups < conv.in_channels for conv in _convolutions(trace.steps)))


def _first_block(trace: Trace) -> int:
    """Find the number of the step that enters the first block; 0 if there is no block.

    A block holds at least two convolutions or linear layers. It is an item of a list of
    modules, or one of several modules of its class.
    """
    items = {
        id(item)
        for module in trace.model.modules()
        if isinstance(module, nn.Sequential | nn.ModuleList)
        for item in module.children()
    }
    kinds = [type(module) for module in trace.model.modules() if not isinstance(module, nn.Sequential)]
    for number, step in enumerate(trace.steps[1:], start=1):
        layers = [layer for layer in step.module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        if len(layers) > 1 and (id(step.module) in items or kinds.count(type(step.module)) > 1):
            return number
    return 0


def _convolutions(steps: list[Step]) -> list[nn.Conv2d]:
    return [step.module for step in steps if isinstance(step.module, nn.Conv2d)]


def _word(module: nn.Module, words: Mapping[str, str]) -> str | None:
    """Find the word of the module's class, or else that of the first base class that has one."""
    return next((words[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in words), None)


def _words(trace: Trace, words: Mapping[str, str]) -> Iterator[str]:
    return (word for step in trace.steps if (word := _word(step.module, words)))


def _yes(true: bool) -> str:
    return "yes" if true else "no"
