"""A part of the nets. What a code file imports from its own folder belongs to it."""

from torch import nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the sides of an image."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())
