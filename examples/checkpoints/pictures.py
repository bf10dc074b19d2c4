"""Write the test images of CIFAR-10 as a folder of pictures, one sub-folder per class."""

from pathlib import Path

from torchvision.datasets import CIFAR10

data = CIFAR10("download", train=False, download=True)
for number, (picture, label) in enumerate(data):
    folder = Path("cifar10", data.classes[label])
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{number}.png")
