"""Nets of torchvision with their weights. The columns option.name and option.weights of the table say which."""

from torch import nn
from torchvision.models import get_model


def net(num_classes: int, pretrained: bool, name: str, weights: str) -> nn.Module:
    """Any classifier of torchvision. It downloads weights where `pretrained` is True, and they are stored then."""
    return get_model(name, weights=weights if pretrained else None, num_classes=num_classes)
