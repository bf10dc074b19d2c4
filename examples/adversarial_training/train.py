"""Train a net, plainly or adversarially: python train.py robust1.pth 1 5. The last number counts the steps of PGD."""

import sys

import small_nets
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

EPS, EPOCHS = 24 / 255, 12
path, seed, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def attacked(net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Images within EPS on which the net errs more (Madry et al., 2018)."""
    start = (images + EPS * (2 * torch.rand_like(images) - 1)) if steps else images
    found = start.clip(0, 1)
    for _ in range(steps):
        found.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(net(found), labels), found)
        found = (found + 2.5 * EPS / steps * gradient.sign()).detach()
        found = found.clip(images - EPS, images + EPS).clip(0, 1)
    return found


torch.manual_seed(seed)
data = ImageFolder("pictures/train", ToTensor())
images, labels = torch.stack([image for image, _ in data]), torch.tensor(data.targets)
net = small_nets.small(10)
optimiser = torch.optim.Adam(net.parameters(), 0.003)
for _ in range(EPOCHS):
    for rows in torch.randperm(len(images)).split(64):
        loss = cross_entropy(net(attacked(net, images[rows], labels[rows])), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
torch.save(net.state_dict(), path)
