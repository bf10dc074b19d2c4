"""Nets that timm does not have. A function of this file is an architecture: my_nets:small in the model table."""

from pathlib import Path

import torch
from blocks import block
from torch import Tensor, nn


class Small(nn.Module):
    """Two convolutions and a classifier, from normalised images to logits."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(block(3, width), block(width, 2 * width), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        return self.fc(self.layers(images))


def small(num_classes: int, width: int = 8) -> nn.Module:
    """The net with random weights. The column option.width of the table fills `width`."""
    return Small(num_classes, width)


def ready(num_classes: int, pretrained: bool) -> nn.Module:
    """A net that brings its own weights, as those of a library do: weights `code`. They are asked for once."""
    net = Small(num_classes, 8)
    if pretrained:
        net.load_state_dict(torch.load(Path("ready.pth"), weights_only=True))
    return net
