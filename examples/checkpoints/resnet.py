"""The ResNets of CIFAR-10, with the names of layers of github.com/akamaster/pytorch_resnet_cifar10."""

from torch import Tensor, nn
from torch.nn.functional import pad


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.more = outputs // inputs, (outputs - inputs) // 2
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's output."""
        kept = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        return (kept + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class ResNet(nn.Module):
    """Three stages of blocks with 16, 32 and 64 channels."""

    def __init__(self, blocks: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = ((16, 16), (16, 32), (32, 64))
        stages = [nn.Sequential(Block(a, b), *(Block(b, b) for _ in range(blocks - 1))) for a, b in widths]
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of normalised images."""
        return self.linear(self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu()))).mean((2, 3)))


def resnet(num_classes: int, depth: int) -> nn.Module:
    """The net of 20, 32, 44 or 56 layers: column option.depth of the table."""
    return ResNet((depth - 2) // 6, num_classes)
