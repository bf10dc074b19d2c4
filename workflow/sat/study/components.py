"""The 13 components by which the paper describes an architecture, and the words for their values.

They are columns of model tables. Values come from a fixed vocabulary, so that two
models differ in a component exactly if their cells differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NONE = "none"


@dataclass(frozen=True)
class Component:
    """The meaning of a component, and its allowed values."""

    description: str
    """Meaning, in one line."""
    values: tuple[str, ...] = ()
    """Allowed words; empty if a pattern says what is allowed."""
    several: bool = False
    """Whether a value is a set of words, joined by `+` in alphabetical order without regard to case."""
    pattern: str = ""
    """Regular expression of the allowed values, if they are too many to list."""
    example: str = ""
    """Description of the values that fit the pattern, with an example."""

    @property
    def allowed(self) -> str:
        """The allowed values in words, for messages."""
        if self.pattern:
            return self.example
        words = ", ".join(self.values)
        return f"{NONE}, or one or more of {words}, joined by '+' in alphabetical order" if self.several else words


_YES_NO = ("yes", "no")

COMPONENTS: dict[str, Component] = {
    "base_architecture": Component(
        "how positions exchange information: convolution, self-attention, MLP, self-attention with convolutions; "
        "NAS where the architecture came out of a search",
        ("CNN", "Transformer", "MLP-Mixer", "Hybrid", "NAS-CNN", "NAS-Transformer"),
    ),
    "hierarchical": Component("whether the stages of the body work at more than one resolution", _YES_NO),
    "stem": Component(
        "kernel and stride of the successive convolutions before the first block",
        pattern=r"none|[1-9]\d*s[1-9]\d*(/[1-9]\d*(s([2-9]|[1-9]\d+))?)*",
        example="kernel `s` stride of each convolution, joined by '/', from the second on without stride where it "
        "is 1, as in 3s2/3/3 or 16s16; none where there is no convolution",
    ),
    "input_size": Component(
        "side in pixels of the images that the weights are meant for",
        pattern=r"[1-9]\d*",
        example="a whole number of pixels, as in 224",
    ),
    "normalisation": Component(
        "normalisation layers anywhere in the model, also within channel attention",
        (
            "Affine",
            "BatchNorm",
            "EvoNorm",
            "FilterResponseNorm",
            "GlobalResponseNorm",
            "GroupNorm",
            "InstanceNorm",
            "LayerNorm",
            "RMSNorm",
            "SimpleNorm",
        ),
        several=True,
    ),
    "activation": Component(
        "activation functions anywhere in the model, also within channel attention; gates (sigmoids) are none",
        (
            "CELU",
            "ELU",
            "GELU",
            "HardMish",
            "Hardswish",
            "LeakyReLU",
            "Mish",
            "PReLU",
            "QuickGELU",
            "ReLU",
            "ReLU6",
            "SELU",
            "SiLU",
            "SquaredReLU",
            "StarReLU",
        ),
        several=True,
    ),
    "stem_pooling": Component("whether a pooling layer stands before the first block", _YES_NO),
    "final_pooling": Component(
        "how the last features become one vector: `attention` is a layer that attends to all positions, "
        "`average-max` both poolings added or side by side",
        ("average", "class-token", "attention", "max", "average-max", "other"),
    ),
    "self_attention_2d": Component(
        "self-attention layers that stand in for convolutions of a CNN's blocks",
        ("BAT", "BoT", "Halo", "Lambda", "NonLocal"),
        several=True,
    ),
    "channel_attention": Component(
        "layers that weigh channels by what the whole map holds",
        ("CBAM", "ECA", "ESE", "GatherExcite", "GCA", "SE", "SK", "Split"),
        several=True,
    ),
    "channel_attention_location": Component(
        "whether a convolution of the block follows on the channel attention (middle) or none (end)",
        (NONE, "middle", "end"),
    ),
    "depthwise_convolution": Component(
        "whether a convolution has as many groups as input channels (and more than one)", _YES_NO
    ),
    "group_convolution": Component("whether a convolution has more groups than one and fewer than channels", _YES_NO),
}
"""In the paper's order. `input_size` is the paper's input resolution."""


def join(words: Iterable[str]) -> str:
    """Write a set of words in its only valid form.

    Parameters
    ----------
    words : iterable of str

    Returns
    -------
    str
        The words joined by ``+``, in alphabetical order without regard to case; ``none`` if there are no words.
    """
    return "+".join(sorted(set(words), key=str.casefold)) or NONE


def check_component(name: str, value: str) -> None:
    """Check a cell of a model table.

    Parameters
    ----------
    name : str
        Name of the component.
    value : str

    Raises
    ------
    ValueError
        If there is no such component, or its vocabulary has no such value. The message says what is allowed.
    """
    if name not in COMPONENTS:
        raise ValueError(f"{name!r} is not a component; they are {', '.join(COMPONENTS)}")
    component = COMPONENTS[name]
    words = value.split("+")
    if component.pattern:
        right = re.fullmatch(component.pattern, value) is not None
    elif component.several:
        right = value == NONE or (set(words) <= set(component.values) and value == join(words))
    else:
        right = value in component.values
    if not right:
        raise ValueError(f"{value!r} is not a value of {name}; write {component.allowed}")
