"""Image classifiers of Hugging Face transformers. The option columns of the table say which, and with what settings."""

from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForImageClassification


class Logits(nn.Module):
    """A net of transformers returns an object. A study takes its logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of normalised images."""
        return self.net(images).logits


def net(num_classes: int, pretrained: bool, kind: str, repository: str, **settings: Any) -> nn.Module:
    """The net of a repository of the hub; or one that its stored weights fit, which needs no network."""
    if pretrained:
        return Logits(AutoModelForImageClassification.from_pretrained(repository))
    config = AutoConfig.for_model(kind, num_labels=num_classes, **settings)
    return Logits(AutoModelForImageClassification.from_config(config))
