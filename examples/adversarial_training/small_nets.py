"""A small convolutional net that normalises images itself: mean 0 and std 1 in the table."""

from torch import Tensor, nn


class Small(nn.Module):
    """Three convolutions and a classifier, from images in [0, 1] to logits."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.fc = nn.Linear(64 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        return self.fc(self.layers(2 * images - 1))


def small(num_classes: int, width: int = 16) -> nn.Module:
    """The net with random weights."""
    return Small(num_classes, width)
