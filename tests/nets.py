"""Small nets and images for tests."""

from __future__ import annotations

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from sat.models.classifier import Blueprint, Classifier, build


def digits(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels with detail at every grey level, both ends included."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    images[:, :, :8] = 0
    images[:, :, 8:12] = 255
    return images, random.integers(0, 10, count)


def classifier(architecture: str) -> Classifier:
    """A frozen net of 32 px with random weights, the same every time."""
    torch.manual_seed(0)
    # Nets with position embeddings are built for one size.
    config = timm.create_model(architecture).pretrained_cfg
    options = {"img_size": 32} if config.get("fixed_input_size") else {}
    return build(Blueprint(architecture, 10, 32, config["mean"], config["std"], options)).freeze()
